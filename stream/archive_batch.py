"""What the archiver has read and not yet committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from stream.archive_dates import business_dates
from stream.archive_table import SCHEMA, Move, Offsets, covers

_MESSAGE_BYTES = 100
"""What a record costs beside its key and value."""


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """When a batch is committed: at so many events or bytes, or when its first offset has waited so long."""

    events: int
    size_bytes: int
    linger: timedelta


@dataclass(slots=True)
class PendingState:
    """Records in the order of reading, and per partition the range of offsets that has been read.

    The range is what counts, not the records: it also covers transaction markers and aborted records.
    """

    committed: Offsets = field(default_factory=dict)
    reached: Offsets = field(default_factory=dict)
    partitions: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    times_ms: list[int | None] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    size_bytes: int = 0
    since: float | None = None

    def start(self, positions: Mapping[int, int]) -> None:
        """Forget everything; read these partitions from these offsets."""
        self.committed, self.reached = dict(positions), dict(positions)
        self._clear()

    def add(self, message: Message, now: float) -> None:
        """One record. ``now`` in seconds of a clock that only goes forward."""
        partition, offset = message.partition(), message.offset()
        self.reach(partition, offset + 1, now)
        kind, time_ms = message.timestamp()
        key, value = message.key(), message.value()
        self.partitions.append(partition)
        self.offsets.append(offset)
        self.times_ms.append(None if kind == TIMESTAMP_NOT_AVAILABLE else time_ms)
        self.keys.append(key)
        self.values.append(value)
        self.size_bytes += _MESSAGE_BYTES + len(key or b"") + len(value or b"")

    def reach(self, partition: int, next_offset: int, now: float) -> None:
        """All of the partition below ``next_offset`` has been read."""
        if next_offset < self.reached[partition]:
            raise AssertionError(f"partition {partition} went back from {self.reached[partition]} to {next_offset}")
        if next_offset > self.reached[partition]:
            self.reached[partition] = next_offset
            self.since = now if self.since is None else self.since

    def is_due(self, now: float, limit: BatchLimit) -> bool:
        """Whether it is time to commit."""
        if self.since is None:
            return False
        full = len(self.offsets) >= limit.events or self.size_bytes >= limit.size_bytes
        return full or now - self.since >= limit.linger.total_seconds()

    def completes(self, target: Offsets) -> bool:
        """Whether a commit now brings these partitions to the target, so that nothing is gained by waiting."""
        own = {partition: target.get(partition, 0) for partition in self.reached}
        return covers(self.reached, own) and not covers(self.committed, own)

    def moves(self) -> dict[int, Move]:
        """The partitions that have advanced."""
        return {p: Move(self.committed[p], end) for p, end in self.reached.items() if end > self.committed[p]}

    def table(self, topic: str, zone: ZoneInfo) -> pa.Table:
        """The records in the archive's schema, by date, partition and offset."""
        kafka_time = pl.Series("kafka_time", self.times_ms, dtype=pl.Datetime("ms", "UTC")).dt.cast_time_unit("us")
        dates = business_dates(self.values, kafka_time, zone)
        columns = [
            pa.array([topic] * len(self.offsets), pa.string()),
            pa.array(self.partitions, pa.int32()),
            pa.array(self.offsets, pa.int64()),
            kafka_time.to_arrow(),
            pa.array(self.keys, pa.binary()),
            pa.array(self.values, pa.binary()),
            dates.to_arrow().cast(pa.string()),
        ]
        table = pa.Table.from_arrays(columns, schema=SCHEMA)
        # In order, a file's statistics tell which offsets it can hold, and similar values lie side by side.
        return table.sort_by([("business_date", "ascending"), ("partition", "ascending"), ("offset", "ascending")])

    def done(self) -> None:
        """What was pending is committed."""
        self.committed = dict(self.reached)
        self._clear()

    def _clear(self) -> None:
        for column in (self.partitions, self.offsets, self.times_ms, self.keys, self.values):
            column.clear()
        self.size_bytes, self.since = 0, None
