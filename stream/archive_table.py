"""The master dataset as a Delta table, with the next offset of each Kafka partition in the commit that moved it.

The next offsets are Delta application transactions. delta-rs refuses a commit when another one since the handle's
version names the same application transaction, however often it has to retry, and lets unrelated appends pass. So
compare-and-set per partition is: look at the handle's own version, compare, commit through the same handle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Schema, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from tandem import delta, master_dataset
from tandem.errors import TandemError, first_line

Offsets = dict[int, int]
"""Next offset by partition: all below it is in the archive, the offset itself is not."""

SCHEMA = pa.schema(
    [
        pa.field("topic", pa.string(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("kafka_time", pa.timestamp("us", "UTC")),
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field("business_date", pa.string(), nullable=False),
    ]
)
"""``topic`` is the platform's name for it, without the installation's prefix; key and value are the bytes as they
came; ``kafka_time`` is the broker's."""

_PARTITIONED_BY = ["business_date"]
_PROPERTIES = {
    # Nothing is ever edited; compaction, which changes no row, stays allowed.
    "delta.appendOnly": "true",
    "delta.dataSkippingStatsColumns": "topic,partition,offset,kafka_time",
}
_PARQUET = WriterProperties(compression="ZSTD", compression_level=3)


class FencedError(Exception):
    """Another archiver has moved a partition since: nothing was committed."""


@dataclass(frozen=True, slots=True)
class Move:
    """What a commit does to one partition: it takes ``first`` up to but not including ``next``."""

    first: int
    next: int


class StorageError(TandemError):
    """The storage refuses, as a disk that is full does. It may take the same later."""


class MasterDataset:
    """One handle on the table. Raises StorageError where the storage refuses, and TandemError where it is opened."""

    def __init__(self, table: DeltaTable, topic: str) -> None:
        self._table = table
        self._topic = topic

    @classmethod
    def find(cls, uri: str, topic: str) -> MasterDataset | None:
        """The table at ``uri``, or None where there is none yet."""
        table = delta.find(uri)
        return cls(table, topic) if table else None

    @classmethod
    def find_or_create(cls, uri: str, topic: str) -> MasterDataset:
        """The table at ``uri``, created where there is none. Safe beside another that creates it too."""
        if found := cls.find(uri, topic):
            return found
        try:
            DeltaTable.create(
                uri,
                schema=Schema.from_arrow(SCHEMA),
                partition_by=_PARTITIONED_BY,
                mode="ignore",
                configuration=_PROPERTIES,
            )
        except (DeltaError, OSError) as error:
            if found := cls.find(uri, topic):
                return found
            raise _refused(uri, error) from error
        return cls(DeltaTable(uri), topic)

    @property
    def version(self) -> int:
        """The Delta version that this handle sees."""
        return int(self._table.version())

    def refresh(self) -> None:
        """See what others have committed."""
        try:
            self._table.update_incremental()
        except (DeltaError, OSError) as error:
            raise _refused(self._table.table_uri, error) from error

    def next_offsets(self) -> Offsets:
        """The next offset of every partition that was opened, as this handle sees them."""
        return master_dataset.next_offsets(self._table, self._topic)

    def start(self, partition: int) -> int:
        """Where the archive of a partition begins: nothing below it was there to be archived."""
        return master_dataset.start(self._table, self._topic, partition)

    def last(self, partition: int) -> tuple[int, int] | None:
        """Offset, and the broker's time in ms, of the last record of a partition; None where that was never noted."""
        names = (
            master_dataset.last_name(self._topic, partition),
            master_dataset.last_time_name(self._topic, partition),
        )
        offset, time_ms = map(self._table.transaction_version, names)
        return None if offset is None or time_ms is None else (offset, time_ms)

    @property
    def kept_from(self) -> date | None:
        """The first date that retention has left whole; None where it has never taken anything."""
        return master_dataset.kept_from(self._table)

    @property
    def topic_id(self) -> int | None:
        """The id that Kafka gave the topic; None where no partition was opened since ids are noted."""
        return master_dataset.topic_id(self._table, self._topic)

    def open_partitions(self, topic_id: int, starts: Mapping[int, int]) -> None:
        """Set where the archive of new partitions begins, so that what expires unread later is noticed, and of which
        topic they are.

        ``starts`` continues the partitions already open without a gap. Raises FencedError.
        """
        begun = [Transaction(master_dataset.start_name(self._topic, at), offset) for at, offset in starts.items()]
        known = Transaction(master_dataset.topic_id_name(self._topic), topic_id)
        self._commit(self._transactions(dict(starts), known, *begun))

    def append(self, events: pa.Table, moves: Mapping[int, Move]) -> None:
        """Append ``events`` (of SCHEMA) and move the partitions, in one commit. Raises FencedError."""
        self.refresh()
        held = self.next_offsets()
        if any(held[partition] != move.first for partition, move in moves.items()):
            raise FencedError
        after = {partition: move.next for partition, move in moves.items()}
        if events.num_rows == 0:
            self._commit(self._transactions(after))
            return
        transactions = self._transactions(after, *_last_records(self._topic, events))
        try:
            write_deltalake(
                self._table,
                events,
                mode="append",
                schema_mode="merge",  # a table that has gained a column is written beside a newer archiver, or by one
                writer_properties=_PARQUET,
                commit_properties=transactions,
            )
        except CommitFailedError as error:
            raise FencedError from error
        except (DeltaError, OSError) as error:
            raise _refused(self._table.table_uri, error) from error

    @property
    def delta_table(self) -> DeltaTable:
        """The table at the version that this handle sees, for readers."""
        return self._table

    def _commit(self, transactions: CommitProperties) -> None:
        """A commit of no rows."""
        try:
            self._table.create_write_transaction(
                [], "append", Schema.from_arrow(SCHEMA), _PARTITIONED_BY, commit_properties=transactions
            )
        except CommitFailedError as error:
            raise FencedError from error
        except (DeltaError, OSError) as error:
            raise _refused(self._table.table_uri, error) from error
        self.refresh()  # unlike an append, this commit does not move the handle

    def _transactions(self, after: Offsets, *others: Transaction) -> CommitProperties:
        ids = {master_dataset.next_offset_id(self._topic, partition): offset for partition, offset in after.items()}
        moved = [Transaction(name, offset) for name, offset in ids.items()]
        return CommitProperties(app_transactions=[*moved, *others])


def _last_records(topic: str, events: pa.Table) -> list[Transaction]:
    """What ``MasterDataset.last`` reads. Of a record without a time nothing is noted: the one before it stands."""
    timed = events.select(["partition", "offset", "kafka_time"]).filter(pc.is_valid(events["kafka_time"]))
    ends = timed.group_by("partition").aggregate([("offset", "max")])
    found = timed.join(ends, ["partition", "offset"], ["partition", "offset_max"], join_type="inner")
    times_ms = found["kafka_time"].cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64())
    noted = []
    for partition, offset, time_ms in zip(
        found["partition"].to_pylist(), found["offset"].to_pylist(), times_ms.to_pylist(), strict=True
    ):
        noted.append(Transaction(master_dataset.last_name(topic, partition), offset))
        noted.append(Transaction(master_dataset.last_time_name(topic, partition), time_ms))
    return noted


def covers(held: Mapping[int, int], wanted: Mapping[int, int]) -> bool:
    """Whether everything below ``wanted`` is below ``held``."""
    return all(held.get(partition, 0) >= offset for partition, offset in wanted.items())


def missing(held: Mapping[int, int], wanted: Mapping[int, int]) -> int:
    """How many offsets below ``wanted`` are not below ``held``."""
    return sum(max(0, offset - held.get(partition, 0)) for partition, offset in wanted.items())


def _refused(uri: str, error: Exception) -> StorageError:
    return StorageError(
        f"the archive at {uri} cannot be used ({first_line(error)})", "check the storage and TANDEM_ARCHIVE_URI"
    )
