"""Delta tables read and written by Spark without a connector: Spark does Parquet, delta-rs says which files count.

Delta's own connector looks after the files by jobs of Spark, which is a quarter of what a night of few orders costs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from uuid import uuid4

import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction, create_table_with_add_actions
from pyarrow import fs
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.types import StructType

from spark_jobs import storage
from tandem.errors import TandemError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date

    from pyspark.sql import DataFrame, SparkSession

_READABLE = frozenset({"timestampNtz"})
"""Features of a table by which its files still are Parquet and nothing else."""
_DATE = "business_date"


def read(spark: SparkSession, table: DeltaTable, where: Sequence[tuple[str, str, object]] = ()) -> DataFrame:
    """All rows of the files that the table has at its version; ``where``: only of the partitions that these take.

    A column that a file lacks is NULL. Raises TandemError where the table has rows that are taken out without their
    file being written anew, or other names in its files: what is there as Parquet is not what the table says then.
    So is it where a file lies in no folder of its partition.
    """
    features = table.protocol().reader_features
    if table.protocol().min_reader_version == 2 or not _READABLE.issuperset(features or ()):
        raise TandemError(
            f"{table.table_uri} uses {', '.join(features or ['column mapping'])}, which Tandem does not read",
            "write the table anew without it",
        )
    schema = StructType.fromJson(json.loads(table.schema().to_json()))
    files = table.file_uris(file_pruning_predicate=list(where) or None)
    if not files:
        return spark.range(0).select(*(F.lit(None).cast(field.dataType).alias(field.name) for field in schema))
    if odd := [file for name in table.metadata().partition_columns for file in files if f"/{name}=" not in file]:
        # Spark takes the date of a row from there, and would take none.
        raise TandemError(f"{odd[0]} is not in the folder of its date", "write the table anew, as Delta's writers do")
    found = spark.read.schema(schema).option("basePath", _path(table.table_uri)).parquet(*map(_path, files))
    return found.select(*schema.fieldNames())


def replace(rows: DataFrame, uri: str, dates: Collection[date], mark: str, properties: Mapping[str, str]) -> int:
    """Put ``rows`` in place of all that the table at ``uri`` has of ``dates``, in one commit; returns its version.

    ``rows``: of these dates alone. A table that lacks a column of theirs gets it. ``mark``: to find the commit again
    beside those of others. ``properties``: of the table, where there is none yet. Raises TandemError where another
    writes one of the dates meanwhile, or a column has another type.
    """
    table = _find(uri)
    schema = _schema(rows, table)
    # delta-rs lets two appends of a date pass that saw none of it; of two that name the same transaction, only one.
    version = table.version() + 1 if table else 0
    once = [Transaction(f"{_DATE}={day}", version) for day in sorted(dates)]
    commit = CommitProperties(custom_metadata={"userMetadata": mark}, app_transactions=once)
    folder = f"staged-{uuid4()}"
    try:
        rows.write.partitionBy(_DATE).parquet(f"{uri}/{folder}")
        adds = _moved(uri, folder)
        if table is None:
            _create(uri, schema, adds, properties, commit)
        else:
            _overwrite(table, schema, adds, dates, commit)
    except CommitFailedError as error:
        raise TandemError(
            f"another job has written facts of {min(dates)} to {max(dates)} meanwhile", "run it again"
        ) from error
    finally:
        storage.delete(rows.sparkSession, f"{uri}/{folder}")
    return max(int(past["version"]) for past in DeltaTable(uri).history(20) if past.get("userMetadata") == mark)


def _find(uri: str) -> DeltaTable | None:
    try:
        return DeltaTable(uri)
    except TableNotFoundError:
        return None


def _path(uri: str) -> str:
    """An address of delta-rs as Spark takes it. Of a local one a space is no ``%20``."""
    return unquote(uri) if uri.startswith(("/", "file://")) else uri


def _schema(rows: DataFrame, table: DeltaTable | None) -> Schema:
    """The table's columns, and after them those of ``rows`` that it lacks; all of them may be NULL."""
    wanted: list[dict[str, Any]] = _nullable(rows.schema.jsonValue())["fields"]
    had: list[dict[str, Any]] = json.loads(table.schema().to_json())["fields"] if table else []
    types = {field["name"]: field["type"] for field in had}
    for field in wanted:
        if types.setdefault(field["name"], field["type"]) != field["type"]:
            raise TandemError(
                f"the column {field['name']} is {types[field['name']]} in the table, and now {field['type']}",
                "point TANDEM_ORDER_FACTS_URI to a new table",
            )
    known = {field["name"] for field in had}
    fields = had + [field for field in wanted if field["name"] not in known]
    return Schema.from_json(json.dumps({"type": "struct", "fields": fields}))


def _nullable(kind: Any) -> Any:
    """Spark's description of a type, in which whatever can be NULL may be."""
    if isinstance(kind, list):
        return [_nullable(part) for part in kind]
    if isinstance(kind, dict):
        may = ("nullable", "containsNull", "valueContainsNull")
        return {name: True if name in may else _nullable(part) for name, part in kind.items()}
    return kind


def _moved(uri: str, folder: str) -> list[AddAction]:
    """Move what Spark wrote to where the table has its files; nobody reads them there before a commit names them.

    In the folder of its date each has to be: Spark takes the date from there.
    """
    held = fs.PyFileSystem(DeltaStorageHandler(uri))
    written = held.get_file_info(fs.FileSelector(folder, recursive=True))
    adds = []
    for file in (info for info in written if info.path.endswith(".parquet")):
        path = file.path.split(f"{folder}/", 1)[1]
        footer = pq.read_metadata(held.open_input_file(file.path))
        held.move(file.path, path)
        day = path.partition("=")[2].partition("/")[0]
        modified = int(file.mtime.timestamp() * 1000)
        adds.append(AddAction(path, file.size, {_DATE: day}, modified, True, json.dumps(_stats(footer))))
    return adds


def _stats(footer: pq.FileMetaData) -> dict[str, object]:
    """What a reader may leave a file out by: the number of its rows, and between which texts and integers they are."""
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    least: dict[str, object] = {}
    most: dict[str, object] = {}
    for nth in range(footer.num_columns):
        columns = [group.column(nth) for group in groups]
        found = [column.statistics for column in columns]
        if any(part is None or not part.has_min_max or not isinstance(part.min, str | int) for part in found):
            continue
        name = columns[0].path_in_schema if columns else ""
        if found and "." not in name:
            least[name], most[name] = min(part.min for part in found), max(part.max for part in found)
    return {"numRecords": footer.num_rows, "minValues": least, "maxValues": most}


def _create(
    uri: str, schema: Schema, adds: list[AddAction], properties: Mapping[str, str], commit: CommitProperties
) -> None:
    try:
        create_table_with_add_actions(
            uri, schema, adds, partition_by=[_DATE], configuration=dict(properties), commit_properties=commit
        )
    except DeltaError as error:
        raise CommitFailedError(str(error)) from error


def _overwrite(
    table: DeltaTable, schema: Schema, adds: list[AddAction], dates: Collection[date], commit: CommitProperties
) -> None:
    own = [(_DATE, "in", [str(day) for day in sorted(dates)])]
    table.create_write_transaction(adds, "overwrite", schema, [_DATE], partition_filters=own, commit_properties=commit)
