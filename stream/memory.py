"""What a partition remembers: the ids to dedupe by, and a state per operator. Lives as long as the session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from stream.dedupe import PartitionState
from stream.registry import OPERATORS
from stream.restore import restore as restore_ids
from stream.types import Rules


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one partition. ``states``: by the name of the operator."""

    ids: PartitionState = field(default_factory=PartitionState)
    states: Mapping[str, Any] = field(default_factory=lambda: {of.name: of.empty() for of in OPERATORS})


def restore(
    reader: psycopg.Connection[Any], topic: str, partition: int, watermark: datetime | None, rules: Rules
) -> Memory:
    """The memory of a partition whose accepted events reach up to ``watermark``; None where there are none."""
    if watermark is None:
        return Memory()
    ids = restore_ids(reader, topic, partition, watermark, rules.dedupe_horizon)
    return Memory(ids, {of.name: of.restore(reader, partition, watermark, rules) for of in OPERATORS})
