"""The stream's sketches and Spark's are the same: each reads the other's, and all count the same number."""

from __future__ import annotations

import polars as pl
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from reconciliation import distincts
from spark_jobs.cells import hourly_distincts
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


@pytest.mark.parametrize("count", COUNTS)
def test_the_batch_layer_counts_what_reconciliation_reads_from_the_streams_sketches(
    spark: SparkSession, count: int
) -> None:
    customer, at = f"concat('c', id % {count})", "timestamp'2017-12-23 09:30:00'"
    item = "named_struct('product_id', concat('p', id % 7), 'category', 'dairy', 'quantity', 1, 'amount_cents', 100L)"
    facts = spark.range(2 * count).selectExpr(
        "date'2017-12-23' AS business_date", f"{at} AS event_time", "'order_created' AS event_type",
        f"{customer} AS customer_id", "'card' AS payment_method", "CAST(NULL AS string) AS region",
        f"array({item}, {item}) AS items",
    )  # fmt: skip
    rows = hourly_distincts(facts, "UTC").select("rollup", "key", "counted", "value").collect()
    values = [f"c{number}" for number in range(count)]
    of_stream = distincts.estimate([sketch_of(values[start::3]) for start in range(3) if start < count])
    assert abs(of_stream - count) <= (0 if count <= 4_096 else 0.05 * count)
    products = min(7, 2 * count)
    assert sorted(map(tuple, rows)) == [
        ("category_minutes", "dairy", "customers", of_stream),
        ("category_minutes", "dairy", "products", products),
        ("payment_method_minutes", "card", "customers", of_stream),
        ("payment_method_minutes", "card", "products", products),
        ("region_minutes", "unknown", "customers", of_stream),
        ("region_minutes", "unknown", "products", products),
    ]
