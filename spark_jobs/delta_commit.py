"""Rows of Spark put into a Delta table without a connector: Spark writes Parquet, and delta-rs commits the files."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import DeltaError
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction, create_table_with_add_actions
from pyarrow import fs
from pyspark.sql import Observation
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs import storage
from tandem import delta
from tandem.errors import TandemError, first_line

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date

    from pyspark.sql import DataFrame

_DATE = "business_date"
_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class _Held:
    """What a table has of some dates: its files, and who of us has written each of them last."""

    files: frozenset[str]
    written: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class _Change:
    """Files to put in place of all that the table at ``uri`` has of ``dates``, and the columns that they have."""

    uri: str
    dates: tuple[date, ...]
    columns: list[dict[str, Any]]
    adds: list[AddAction]
    mark: str
    properties: Mapping[str, str]


def replace(rows: DataFrame, uri: str, dates: Collection[date], mark: str, properties: Mapping[str, str]) -> int:
    """Put ``rows`` in place of all that the table at ``uri`` has of ``dates``, in one commit; returns its version.

    ``rows``: of these dates alone. A table that lacks a column of theirs gets it. ``mark``: to find the commit again
    beside those of others. ``properties``: of the table, where there is none yet. Raises TandemError where another
    writes one of the dates meanwhile, not all rows have come to the storage, or a column has another type.

    What a killed one leaves, ``tandem history prune`` deletes like a file that no version names.
    """
    days = tuple(sorted(dates))
    columns: list[dict[str, Any]] = _nullable(rows.schema.jsonValue())["fields"]
    try:
        table = delta.find(uri)
        _schema(columns, table)
        change = _Change(uri, days, columns, _written(rows, uri, days), mark, properties)
        _commit(table, change)
        now = DeltaTable(uri)
        since = now.history(now.version() - (table.version() if table else -1))
        version = max(int(past["version"]) for past in since if past.get("userMetadata") == mark)
        now.load_as_version(version)
        # delta-rs sees no conflict with a program that adds files of a date, or merges them, and knows nothing of ours.
        if _held(now, days).files != {add.path for add in change.adds}:
            raise _overtaken(days)
    except (DeltaError, OSError) as error:
        raise TandemError(f"{uri} cannot be written ({first_line(error)})", "check the storage") from error
    return version


def _written(rows: DataFrame, uri: str, dates: Collection[date]) -> list[AddAction]:
    """Let Spark write ``rows`` to where the table has its files; nobody reads them there before a commit names them."""
    folder, seen = f"staged-{uuid4()}", Observation()
    try:
        rows.observe(seen, F.count(F.lit(1)).alias("rows")).write.partitionBy(_DATE).parquet(f"{uri}/{folder}")
        return _moved(uri, folder, dates, seen.get["rows"])
    finally:
        # What made it fail is what to tell of, not that this fails too.
        with suppress(Exception):
            storage.delete(rows.sparkSession, f"{uri}/{folder}")


def _schema(columns: list[dict[str, Any]], table: DeltaTable | None) -> Schema:
    """The table's columns, and after them those of ``columns`` that it lacks. Raises TandemError where types differ."""
    had: list[dict[str, Any]] = json.loads(table.schema().to_json())["fields"] if table else []
    types = {field["name"]: field["type"] for field in had}
    for field in columns:
        if types.get(field["name"], field["type"]) != field["type"]:
            raise TandemError(
                f"the column {field['name']} is {types[field['name']]} in the table, and now {field['type']}",
                "point TANDEM_ORDER_FACTS_URI to a new table",
            )
    fields = had + [field for field in columns if field["name"] not in types]
    return Schema.from_json(json.dumps({"type": "struct", "fields": fields}))


def _nullable(kind: Any) -> Any:
    """Spark's description of a type, in which whatever can be NULL may be."""
    if isinstance(kind, list):
        return [_nullable(part) for part in kind]
    if isinstance(kind, dict):
        may = ("nullable", "containsNull", "valueContainsNull")
        return {name: True if name in may else _nullable(part) for name, part in kind.items()}
    return kind


def _moved(uri: str, folder: str, dates: Collection[date], rows: int) -> list[AddAction]:
    """Move each file into the folder of its date, where Spark takes the date from.

    Raises TandemError where they do not have ``rows`` rows in all.
    """
    held = fs.PyFileSystem(DeltaStorageHandler(uri))
    found = held.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
    days = {f"{_DATE}={day}": str(day) for day in dates}
    adds, records = [], 0
    for file in (info for info in found if info.path.endswith(".parquet")):
        path = file.path.split(f"{folder}/", 1)[1]
        parent, _, _ = path.rpartition("/")
        if parent not in days:
            raise TandemError(f"Spark wrote {path}, which is of none of the dates", "run it again")
        count = pq.read_metadata(held.open_input_file(file.path)).num_rows
        held.move(file.path, path)
        modified = int(file.mtime.timestamp() * 1000)
        # No least and greatest values: what lacks some of them, some readers leave out.
        stats = json.dumps({"numRecords": count})
        adds.append(AddAction(path, file.size, {_DATE: days[parent]}, modified, True, stats))
        records += count
    if records != rows:
        raise TandemError(
            f"Spark wrote {rows} rows, of which {records} are at {uri}", "let driver and executors use one storage"
        )
    return adds


def _held(table: DeltaTable | None, dates: Collection[date]) -> _Held:
    if table is None:
        return _Held(frozenset(), (None,) * len(dates))
    days = {f"{_DATE}={day}" for day in dates}
    paths = pa.table(table.get_add_actions(flatten=True))["path"].to_pylist()
    files = frozenset(path for path in paths if path.rpartition("/")[0] in days)
    return _Held(files, tuple(table.transaction_version(name) for name in sorted(days)))


def _overtaken(dates: Collection[date]) -> TandemError:
    return TandemError(f"another program has written facts of {min(dates)} to {max(dates)} meanwhile", "run it again")


def _commit(table: DeltaTable | None, change: _Change) -> None:
    """Commit; again where others were quicker by a commit that leaves these dates as ``table`` has them."""
    before = _held(table, change.dates)
    for _ in range(_ATTEMPTS):
        try:
            _commit_once(table, change)
        except DeltaError:
            now = delta.find(change.uri)
            if now is None or (table is not None and now.version() == table.version()):
                raise
            if _held(now, change.dates) != before:
                break
            table = now
        else:
            return
    raise _overtaken(change.dates)


def _commit_once(table: DeltaTable | None, change: _Change) -> None:
    # delta-rs lets two appends of a date pass that saw none of it; of two that name the same transaction, only one.
    version = table.version() + 1 if table else 0
    once = [Transaction(f"{_DATE}={day}", version) for day in change.dates]
    commit = CommitProperties(custom_metadata={"userMetadata": change.mark}, app_transactions=once)
    schema = _schema(change.columns, table)
    if table is None:
        create_table_with_add_actions(
            change.uri,
            schema,
            change.adds,
            partition_by=[_DATE],
            configuration=dict(change.properties),
            commit_properties=commit,
        )
    else:
        own = [(_DATE, "in", [str(day) for day in change.dates])]
        table.create_write_transaction(
            change.adds, "overwrite", schema, [_DATE], partition_filters=own, commit_properties=commit
        )
