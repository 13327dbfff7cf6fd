"""The Parquet files of the master dataset: which there are, and one in place of several, with the same rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction, RemoveAction

_LOOKED_UP = ("topic", "partition", "offset", "kafka_time")
"""Columns by which readers leave out files and parts of files; the values themselves are nobody's filter."""
_ROWS_READ_AT_ONCE = 50_000


@dataclass(frozen=True, slots=True)
class File:
    """A file of the table. ``day``: its ``business_date``; ``oldest``, ``newest``: its first and last Kafka time,
    None where it has none.
    """

    path: str
    day: str
    size_bytes: int
    records: int
    first_offset: int
    oldest: datetime | None
    newest: datetime | None

    def removed(self, now: datetime, *, data_change: bool) -> RemoveAction:
        """The action that takes it out of the table; it stays on the storage until vacuum."""
        partition = {"business_date": self.day}
        return RemoveAction(self.path, data_change, int(now.timestamp() * 1000), self.size_bytes, partition)


def files_of(table: DeltaTable) -> list[File]:
    """The files that the handle's version consists of."""
    rows = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    return [
        File(
            path=row["path"],
            day=row["partition.business_date"],
            size_bytes=row["size_bytes"],
            records=row["num_records"],
            first_offset=row["min.offset"] or 0,
            oldest=row["min.kafka_time"],
            newest=row["max.kafka_time"],
        )
        for row in rows
    ]


def rewritten(
    table: DeltaTable,
    old: Sequence[File],
    now: datetime,
    *,
    keep: Callable[[pa.Table], pa.ChunkedArray] | None = None,
    data_change: bool = False,
) -> AddAction | None:
    """Write the rows of ``old``, files of one date, into one new file in the order of the log; returns its action.

    ``keep`` gives a mask of the rows that stay; None where none does. Nothing of the table changes until the action is
    committed with the removal of ``old``.
    """
    storage = pyarrow.fs.PyFileSystem(DeltaStorageHandler(table.table_uri, table._storage_options))  # noqa: SLF001 - what the handle itself uses; nothing public tells
    schema = pa.schema([field for field in pa.schema(table.schema().to_arrow()) if field.name != "business_date"])
    rows = pa.concat_tables([_read(storage, file.path, schema) for file in old])
    rows = rows.filter(keep(rows)) if keep else rows
    if rows.num_rows == 0:
        return None
    rows = rows.sort_by([("partition", "ascending"), ("offset", "ascending")])
    path = f"business_date={old[0].day}/part-00000-{uuid4()}-c000.zstd.parquet"
    pq.write_table(
        rows,
        path,
        filesystem=storage,
        compression="zstd",
        compression_level=3,
        row_group_size=_ROWS_READ_AT_ONCE,
        use_dictionary=["topic"],
        write_statistics=list(_LOOKED_UP),
    )
    size = storage.get_file_info(path).size
    return AddAction(path, size, {"business_date": old[0].day}, int(now.timestamp() * 1000), data_change, _stats(rows))


def _read(storage: pyarrow.fs.FileSystem, path: str, schema: pa.Schema) -> pa.Table:
    """The rows of a file; NULL in columns that the table did not have yet when it was written."""
    found = pq.read_table(path, filesystem=storage, partitioning=None)
    columns = [
        found[field.name].cast(field.type) if field.name in found.column_names else pa.nulls(found.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _stats(rows: pa.Table) -> str:
    bounds = {name: pc.min_max(rows[name]).as_py() for name in _LOOKED_UP}
    return json.dumps(
        {
            "numRecords": rows.num_rows,
            "minValues": {name: _plain(found["min"]) for name, found in bounds.items() if found["min"] is not None},
            "maxValues": {name: _plain(found["max"]) for name, found in bounds.items() if found["max"] is not None},
            "nullCount": {name: rows[name].null_count for name in _LOOKED_UP},
        }
    )


def _plain(value: object) -> object:
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}" if isinstance(value, datetime) else value
