"""Delta tables read by Spark without a connector: delta-rs says which files a version has, and Spark reads Parquet.

Delta's own connector finds them by jobs of Spark, which is a fifth of what a night of few orders costs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.types import StructType

from tandem import delta
from tandem.errors import TandemError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltalake import DeltaTable
    from pyspark.sql import DataFrame, SparkSession

_READABLE = frozenset({"timestampNtz"})
"""Features of a table by which its files still are Parquet and nothing else."""


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
    found = spark.read.schema(schema).option("basePath", delta.plain(table.table_uri)).parquet(*map(delta.plain, files))
    return found.select(*schema.fieldNames())
