"""Products of a business date ranked by revenue, units, orders and buyers: overall and within their category.

Revenue and units are net: what the date's orders created, minus what its cancellations took back, plus what its
amendments changed. Orders and buyers count the orders created. Equal values share a rank, and the next rank is skipped
(1, 2, 2, 4). The rank before is that of the day before, from its facts (spark_jobs.sources); NEW was not ranked then,
DROPPED is not ranked now. What a date only takes back or amends is ranked there too. Shares are of the sum of all
positive values; the cumulative share adds them up by rank, then product_id.

Usage: spark-submit spark_jobs/product_rankings.py --date 2017-12-23
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs import job, sources, staging
from spark_jobs.cells import counted
from spark_jobs.lines import lines
from tandem.events import EventType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import Column, DataFrame

MEASURES = ("revenue_cents", "units", "order_count", "buyers")
_SIGNS = {EventType.ORDER_CREATED: 1, EventType.ORDER_CANCELLED: -1, EventType.ORDER_AMENDED: 1}
_RANKING = ("business_date", "scope", "scope_key", "measure")
_KEY = (*_RANKING, "product_id")
_SUMMED = ("revenue_cents", "units", "order_count")
_AT_ONCE = 31
"""Dates ranked together: each core holds its share of their rows, so a year at once runs out of the default heap."""


def compute(asked: job.Job) -> None:
    """Stage ``batch.product_rankings`` for the dates of the job."""
    for reading in sources.readings(asked):
        for first in range(0, len(reading.runs), _AT_ONCE):
            runs = reading.runs[first : first + _AT_ONCE]
            dates = [run.business_date for run in runs]
            # First, so that what is noted is never said of rows that are there already.
            staging.begin(asked.settings, "product_rankings", runs)
            reading.note("product_rankings", runs, back=1)
            sold = reading.frame(dates[0] - timedelta(days=1), dates[-1])
            staging.write(product_rankings(sold, dates), "product_rankings", asked.settings, runs, reading.versions)
    asked.say("batch.product_rankings staged")


def product_rankings(events: DataFrame, dates: Iterable[date]) -> DataFrame:
    """One row per date, scope, measure and product; see the columns of ``batch.product_rankings``.

    ``events``: order_facts of ``dates`` and of the day before each.
    """
    wanted = sorted(dates)
    needed = sorted({day - timedelta(days=back) for day in wanted for back in (0, 1)})
    held = ranked(sales(events.filter(F.col("business_date").isin(needed))))
    over_time = Window.partitionBy("product_id", *_RANKING[1:]).orderBy("business_date")
    next_day = F.date_add("business_date", 1)
    known_before = F.lag("business_date").over(over_time) == F.date_sub("business_date", 1)
    sold_next_day = F.coalesce(F.lead("business_date").over(over_time) == next_day, F.lit(False))
    with_before = held.select(
        "*",
        F.when(known_before, F.lag("rank").over(over_time)).alias("previous_rank"),
        sold_next_day.alias("sold_next_day"),
    )
    # A row stands for its date and, where the product is not sold on the next, for that it is gone there.
    today = F.struct("business_date", "value", "rank", "previous_rank", "share", "cumulative_share")
    gone = F.struct(
        next_day.alias("business_date"),
        *(F.lit(None).alias(name) for name in ("value", "rank")),
        F.col("rank").alias("previous_rank"),
        *(F.lit(None).alias(name) for name in ("share", "cumulative_share")),
    )
    rows = F.when(F.col("sold_next_day"), F.array(today)).otherwise(F.array(today, gone))
    rank, previous = F.col("rank"), F.col("previous_rank")
    return (
        with_before.select(*_KEY[1:], "category", F.inline(rows))
        .filter(F.col("business_date").isin(wanted))
        .select(
            *_KEY,
            "category",
            "value",
            "rank",
            "previous_rank",
            (previous - rank).alias("rank_change"),
            _movement(rank, previous).alias("movement"),
            "share",
            "cumulative_share",
        )
    )


def sales(events: DataFrame) -> DataFrame:
    """``business_date, scope, scope_key, measure, product_id, category, value``: what is ranked."""
    scopes = F.array(
        _scope("overall", key=F.lit(""), orders="orders_overall"),
        _scope("category", key=F.col("category"), orders="orders_within"),
    )
    ranked_as = ["business_date", "scope", "scope_key", "product_id"]
    return (
        _lines(events)
        # One shuffle: whatever is summed or counted below is of one product on one date.
        .repartition("business_date", "product_id")
        .select("*", F.inline(scopes))
        .groupBy(*ranked_as, "customer_id")
        .agg(F.min("category").alias("category"), *_sums("bought", *_SUMMED))
        .groupBy(*ranked_as)
        # A customer who bought a product in two categories is one buyer of it.
        .agg(F.min("category").alias("category"), *_sums(*_SUMMED), F.count_if(F.col("bought") > 0).alias("buyers"))
        .unpivot([*ranked_as, "category"], list(MEASURES), "measure", "value")
    )


def _scope(name: str, key: Column, orders: str) -> Column:
    """Where a line is ranked; ``orders``: the column that counts its order there."""
    return F.struct(F.lit(name).alias("scope"), key.alias("scope_key"), F.col(orders).alias("order_count"))


def _lines(events: DataFrame) -> DataFrame:
    """The lines that are ranked, with what each adds to a product's sums, and 1 or 0 as ``bought``."""
    sign: Column = F.lit(0)
    for event_type, factor in _SIGNS.items():
        sign = F.when(F.col("event_type") == event_type, factor).otherwise(sign)
    created = F.col("event_type") == EventType.ORDER_CREATED
    return lines(counted(events).filter(F.col("event_type").isin([str(t) for t in _SIGNS]))).select(
        "business_date",
        "product_id",
        "category",
        "customer_id",
        created.cast("int").alias("bought"),
        (F.col("amount_cents") * sign).alias("revenue_cents"),
        (F.col("quantity") * sign).alias("units"),
        (created & F.col("first_of_both")).cast("int").alias("orders_within"),
        (created & F.col("first_of_product_id")).cast("int").alias("orders_overall"),
    )


def _sums(*names: str) -> list[Column]:
    return [F.sum(name).alias(name) for name in names]


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


def _movement(now: Column, before: Column) -> Column:
    return (
        F.when(before.isNull(), "NEW")
        .when(now.isNull(), "DROPPED")
        .when(now < before, "UP")
        .when(now > before, "DOWN")
        .otherwise("SAME")
    )


if __name__ == "__main__":
    job.main("product_rankings", compute, views=("product_rankings",))
