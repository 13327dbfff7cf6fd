"""Products of a business date ranked by revenue, units, orders and buyers: overall and within their category.

Revenue and units are net: what the date's orders created, minus what its cancellations took back, plus what its
amendments changed. Orders and buyers count the orders created. Equal values share a rank, and the next rank is skipped
(1, 2, 2, 4). The rank before is that of the day before, from its facts; NEW was not sold then, DROPPED is not sold now.
Shares are of the sum of all positive values; the cumulative share adds them up by rank, then product_id.

Usage: spark-submit spark_jobs/product_rankings.py --date 2017-12-23
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs import facts, job, staging
from tandem.events import Decision, EventType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import Column, DataFrame

MEASURES = ("revenue_cents", "units", "order_count", "buyers")
_SIGNS = {EventType.ORDER_CREATED: 1, EventType.ORDER_CANCELLED: -1, EventType.ORDER_AMENDED: 1}
_RANKING = ("business_date", "scope", "scope_key", "measure")
_KEY = (*_RANKING, "product_id")


def compute(asked: job.Job) -> None:
    """Stage ``batch.product_rankings`` for the dates of the job."""
    first = asked.dates[0] - timedelta(days=1)
    sold = facts.read(asked.spark, asked.settings, first, asked.dates[-1], version=asked.facts_version())
    staging.write(product_rankings(sold, asked.dates), "product_rankings", asked.settings, asked.runs)
    asked.say("batch.product_rankings staged")


def product_rankings(events: DataFrame, dates: Iterable[date]) -> DataFrame:
    """One row per date, scope, measure and product; see the columns of ``batch.product_rankings``.

    ``events``: order_facts of ``dates`` and of the day before each.
    """
    wanted = sorted(dates)
    needed = sorted({day - timedelta(days=back) for day in wanted for back in (0, 1)})
    today = ranked(sales(events.filter(F.col("business_date").isin(needed))))
    before = today.select(
        F.date_add("business_date", 1).alias("business_date"),
        *_KEY[1:],
        F.col("category").alias("category_before"),
        F.col("rank").alias("previous_rank"),
    )
    both = today.join(before, list(_KEY), "full").filter(F.col("business_date").isin(wanted))
    return both.select(
        *_KEY,
        F.coalesce("category", "category_before").alias("category"),
        "value",
        "rank",
        "previous_rank",
        (F.col("previous_rank") - F.col("rank")).alias("rank_change"),
        _movement().alias("movement"),
        "share",
        "cumulative_share",
    )


def sales(events: DataFrame) -> DataFrame:
    """``business_date, scope, scope_key, measure, product_id, category, value``: what is ranked."""
    lines = (
        events.filter((F.col("decision") == Decision.COUNTED) & F.col("event_type").isin([str(t) for t in _SIGNS]))
        .select("business_date", "event_type", "partition", "offset", "customer_id", F.inline("items"))
        .withColumn("created", F.col("event_type") == EventType.ORDER_CREATED)
    )
    overall = _totals(lines, F.lit("overall"), F.lit(""))
    within = _totals(lines, F.lit("category"), F.col("category"))
    return overall.unionByName(within).unpivot(
        [name for name in (*_KEY, "category") if name != "measure"], list(MEASURES), "measure", "value"
    )


def _totals(lines: DataFrame, scope: Column, key: Column) -> DataFrame:
    sign: Column = F.lit(0)
    for event_type, factor in _SIGNS.items():
        sign = F.when(F.col("event_type") == event_type, factor).otherwise(sign)
    order = F.when(F.col("created"), F.struct("partition", "offset"))
    return (
        lines.withColumns({"scope": scope, "scope_key": key})
        .groupBy("business_date", "scope", "scope_key", "product_id")
        .agg(
            F.min("category").alias("category"),
            F.sum(F.col("amount_cents") * sign).alias("revenue_cents"),
            F.sum(F.col("quantity") * sign).alias("units"),
            F.count_distinct(order).alias("order_count"),
            F.count_distinct(F.when(F.col("created"), F.col("customer_id"))).alias("buyers"),
        )
    )


def ranked(values: DataFrame) -> DataFrame:
    """Adds ``rank``, ``share`` and ``cumulative_share``."""
    by_value = Window.partitionBy(*_RANKING).orderBy(F.desc("value"))
    running = Window.partitionBy(*_RANKING).orderBy(F.desc("value"), "product_id")
    whole = Window.partitionBy(*_RANKING)
    positive = F.greatest(F.col("value"), F.lit(0))
    total = F.sum(positive).over(whole)
    return values.select(
        "*",
        F.rank().over(by_value).alias("rank"),
        F.try_divide(positive, total).alias("share"),
        F.try_divide(F.sum(positive).over(running), total).alias("cumulative_share"),
    )


def _movement() -> Column:
    now, before = F.col("rank"), F.col("previous_rank")
    return (
        F.when(before.isNull(), "NEW")
        .when(now.isNull(), "DROPPED")
        .when(now < before, "UP")
        .when(now > before, "DOWN")
        .otherwise("SAME")
    )


if __name__ == "__main__":
    job.main("product_rankings", compute, views=("product_rankings",))
