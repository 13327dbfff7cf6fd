"""The seam of the speed layer: an operator turns counted events into rows and messages, a micro-batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import polars as pl
import psycopg

from stream.marks import MarksState
from stream.tables import Table
from stream.types import Rules

MESSAGES = pl.Schema({"dedupe_id": pl.String(), "topic": pl.String(), "key": pl.Binary(), "value": pl.Binary()})
"""What goes out to Kafka through the outbox. ``dedupe_id`` is deterministic, so that a reader can drop what was sent
twice: made of what happened, never of a micro-batch. ``topic``: as declared in ``tandem.topics``."""


class Reader(Protocol):
    """To look up in Postgres what all micro-batches before have written."""

    def execute(self, query: Any, parameters: dict[str, Any], /) -> psycopg.Cursor[Any]:
        """As psycopg does, in autocommit. Raises what a commit before raised."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What operators are given of a micro-batch, by partition and offset.

    ``events``: the counted ones, EVENT_COLUMNS but for the items, and ``row``. ``lines``: their items, LINE_COLUMNS and
    the ``row`` of their event. ``decided``: every record, with ``decision``, ``reasons`` and ``watermark`` (of its
    partition before it). All three have the columns stream.fold.PLACED. ``watermarks_us``: of each partition in this
    micro-batch, after it; stream.dedupe.NO_WATERMARK before the first counted event. ``late``, ``late_lines``: like
    ``events`` and ``lines``, of what came too late. ``marks``: what was written down of each partition while it was
    idle. ``customers``: who orders in it, and what their orders came to before it (stream.so_far.totals). ``reader``:
    to look up what a state does not hold in memory. Without it there is no database, so a state must hold everything:
    only where nothing was restored.
    """

    events: pl.DataFrame
    lines: pl.DataFrame
    decided: pl.DataFrame
    watermarks_us: Mapping[int, int]
    late: pl.DataFrame
    late_lines: pl.DataFrame
    marks: Mapping[int, MarksState]
    customers: pl.DataFrame
    reader: Reader | None = None


@dataclass(frozen=True, slots=True)
class Emitted:
    """What an operator wants written. ``frames`` hold the columns of their table; ``messages`` are of MESSAGES."""

    frames: Mapping[Table, pl.DataFrame] = field(default_factory=dict)
    messages: pl.DataFrame = field(default_factory=MESSAGES.to_frame)


class Operator(Protocol):
    """One capability of the speed layer. Its rows and messages are the same however the log is cut into micro-batches.

    A partition has a state of its own, made new by ``restore`` when a worker is granted the partition and thrown away
    when the worker loses it or a commit fails. So ``fold`` may change it before the commit. Nothing in it comes from a
    clock.
    """

    @property
    def name(self) -> str:
        """Of the capability."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """What it writes, in this order. A table belongs to one operator."""

    def empty(self) -> Any:
        """The state of a partition of which nothing was counted yet; None where the operator remembers nothing."""

    def restore(self, reader: psycopg.Connection[Any], partition: int, watermark: datetime, rules: Rules) -> Any:
        """The state of a partition that others have worked on up to ``watermark``; ``reader`` in autocommit."""

    def fold(self, batch: Batch, states: Mapping[int, Any], rules: Rules) -> Emitted:
        """Rows and messages of a micro-batch. ``states``: of the partitions in it, to be changed."""


def together(emitted: Iterable[Emitted]) -> Emitted:
    """What all operators want written; a table belongs to one of them."""
    parts = list(emitted)
    frames = {table: frame for part in parts for table, frame in part.frames.items()}
    return Emitted(frames, pl.concat([MESSAGES.to_frame(), *(part.messages for part in parts)]))
