"""What a partition remembers: the ids to dedupe by, and a state per operator. Lives as long as the session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from stream import so_far
from stream.dedupe import PartitionState
from stream.held import HeldState
from stream.marks import MarksState, marks
from stream.registry import OPERATORS
from stream.restore import restore as restore_ids
from stream.types import Rules


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one partition. ``states``: by the name of the operator; ``marks``: of when it was idle; ``customers``: what
    their orders have come to, see stream.so_far.
    """

    ids: PartitionState = field(default_factory=PartitionState)
    states: Mapping[str, Any] = field(default_factory=lambda: {of.name: of.empty() for of in OPERATORS})
    marks: MarksState = field(default_factory=MarksState)
    customers: HeldState = field(default_factory=so_far.nobody)


def restore(
    reader: psycopg.Connection[Any], topic: str, partition: int, watermark: datetime | None, rules: Rules
) -> Memory:
    """The memory of a partition whose accepted events reach up to ``watermark``; None where there are none."""
    of_idleness = marks(reader, partition)
    if watermark is None:
        return Memory(marks=of_idleness)
    ids = restore_ids(reader, topic, partition, watermark, rules.dedupe_horizon)
    states = {of.name: of.restore(reader, partition, watermark, rules) for of in OPERATORS}
    return Memory(ids, states, of_idleness, so_far.anybody())
