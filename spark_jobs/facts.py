"""The ``order_facts`` table: every event of a business date below a cut, decoded, checked, and with its decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import DataFrame, SparkSession

    from tandem.settings import Settings

COLUMNS = (
    "run_id", "partition", "offset", "kafka_time", "event_id", "event_type", "event_time", "order_id", "customer_id",
    "total_cents", "previous_total_cents", "units", "items", "decision", "reasons", "payment_method", "region",
    "business_date",
)  # fmt: skip
"""``run_id``: the run that wrote the row. ``items``: array of struct<product_id, category, quantity, amount_cents>.
``decision``: tandem.events.Decision, never late. ``reasons``: codes of failed checks, sorted, joined by commas."""


def read(
    spark: SparkSession,
    settings: Settings,
    first: date | None = None,
    last: date | None = None,
    *,
    version: int | None = None,
) -> DataFrame:
    """COLUMNS of the dates from ``first`` to ``last``, both included, at a Delta version; all and newest by default."""
    reader = spark.read.format("delta")
    if version is not None:
        reader = reader.option("versionAsOf", version)
    table = reader.load(settings.order_facts)
    if first is not None:
        table = table.filter(F.col("business_date") >= F.lit(first))
    if last is not None:
        table = table.filter(F.col("business_date") <= F.lit(last))
    return table
