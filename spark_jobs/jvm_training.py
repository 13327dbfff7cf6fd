"""What a job does, in small and on nothing: the classes that it loads are kept for those of all jobs (jvm_classes)."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime

import pyarrow as pa
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs import delta_commit, delta_files
from spark_jobs.decode import business_date, decode
from spark_jobs.dedupe import KEYS, decide
from spark_jobs.session import open_session
from spark_jobs.validate import validate
from tandem.settings import settings

DAY = date(2017, 12, 23)
_EVENT = (
    '{"event_id":"%s","event_type":"order_created","event_time":"2017-12-23T09:05:00Z","order_id":"o-%s",'
    '"customer_id":"c-1","total_amount":"1.00","items":[{"product_id":"milk","category":"dairy","quantity":1,'
    '"amount":"1.00"}]}'
)


def train(spark: SparkSession, folder: str) -> int:
    """Decode, check and deduplicate a few orders into a table, and rank what is in it; returns how many there are."""
    dated = decode(_records(spark), "USD").withColumn("business_date", business_date(F.col("event_time"), "UTC"))
    events = dated.filter(F.col("business_date") == F.lit(DAY))
    none = spark.createDataFrame(events.select(*KEYS).limit(0).toArrow())
    decided = decide(validate(events), none, 7).withColumn("run_id", F.lit("training"))
    delta_commit.replace(decided.hint("rebalance", "business_date"), f"{folder}/facts", [DAY], "training", {})
    rows = delta_files.read(spark, DeltaTable(f"{folder}/facts"), [("business_date", "=", DAY)])
    return int(_ranked(rows).toArrow().num_rows)


def _records(spark: SparkSession) -> DataFrame:
    values = [_EVENT % (number, number) for number in range(3)] + [_EVENT % ("\\u0041", 4), "no JSON"]
    columns = {
        "partition": pa.array([0] * len(values), pa.int32()),
        "offset": pa.array(range(len(values)), pa.int64()),
        "kafka_time": pa.array([datetime(2017, 12, 23, 9, 5, tzinfo=UTC)] * len(values), pa.timestamp("us", "UTC")),
        "value": pa.array([value.encode() for value in values], pa.binary()),
    }
    return spark.createDataFrame(pa.table(columns))


def _ranked(rows: DataFrame) -> DataFrame:
    lines = rows.select("customer_id", "order_id", F.inline("items"))
    totals = lines.groupBy("product_id", "category").agg(
        F.sum("amount_cents").alias("cents"), F.count_distinct("order_id").alias("orders"), F.max("quantity")
    )
    first = F.rank().over(Window.partitionBy("category").orderBy(F.desc("cents")))
    ranked = totals.withColumn("rank", first).withColumn("share", F.percent_rank().over(Window.orderBy("cents")))
    return ranked.join(F.broadcast(lines.select("product_id").distinct()), "product_id").orderBy("rank")


if __name__ == "__main__":
    train(open_session("training", settings()), sys.argv[1])
