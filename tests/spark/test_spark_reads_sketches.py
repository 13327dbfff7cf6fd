"""The stream's sketches and Spark's are the same: each reads the other's, and both print the same number."""

from __future__ import annotations

import polars as pl
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from stream import sketches
from stream.murmur import theta_hashes

pytestmark = pytest.mark.spark

COUNTS = [1, 2, 300, 9_000]


def sketch_of(values: list[str]) -> bytes:
    rows = pl.DataFrame({"cell": [""] * len(values), "hash": pl.Series(theta_hashes(pl.Series(values)))})
    return sketches.sketched(rows, ["cell"], "hash")["sketch"].item()


def test_spark_reads_and_merges_the_sketches_of_the_stream(spark: SparkSession) -> None:
    values = {count: [f"customer-{number}-ü" for number in range(count)] for count in COUNTS}
    rows = [
        (count, bytearray(sketch_of(values[count][start::2]))) for count in COUNTS for start in (0, 1) if count > start
    ]
    frame = spark.createDataFrame(rows, "count int, sketch binary")
    merged = frame.groupBy("count").agg(F.theta_sketch_estimate(F.theta_union_agg("sketch")).alias("estimate"))
    found = {row["count"]: row["estimate"] for row in merged.collect()}
    assert found == {count: round(sketches.estimate(sketch_of(values[count]))) for count in COUNTS}
    assert [found[count] for count in COUNTS[:3]] == COUNTS[:3]


def test_the_stream_reads_and_merges_the_sketches_of_spark(spark: SparkSession) -> None:
    frame = spark.range(sum(COUNTS)).selectExpr("cast(id as string) AS customer", "id % 3 AS part")
    made = frame.groupBy("part").agg(F.theta_sketch_agg("customer").alias("sketch")).collect()
    together = sketches.merged(bytes(row["sketch"]) for row in made)
    assert together == sketch_of([str(number) for number in range(sum(COUNTS))])
