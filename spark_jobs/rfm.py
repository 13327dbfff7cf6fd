"""RFM segmentation as of a business date: recency, frequency, money → scores → segments, one row per customer and grid.

Counts the orders created up to and on the date; what was cancelled later stays a purchase that the customer made. Of
earlier dates it reads the published facts (spark_jobs.sources). The previous segment is the segment as of the day
before, computed from the same facts, whatever segments were published of that day.

Usage: spark-submit spark_jobs/rfm.py --date 2017-12-23
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import Window
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs import job, sources, staging
from spark_jobs.rfm_grids import Grid, grids
from spark_jobs.rfm_scores import DIMENSIONS, with_scores
from tandem.events import Decision, EventType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyspark.sql import DataFrame

_SCORES = [dimension.score for dimension in DIMENSIONS]
_VALUES = [dimension.value for dimension in DIMENSIONS]


def compute(asked: job.Job) -> None:
    """Stage ``batch.rfm`` for the dates of the job."""
    for reading in sources.readings(asked):
        dates = [run.business_date for run in reading.runs]
        # First, so that what is noted is never said of rows that are there already.
        staging.begin(asked.settings, "rfm", reading.runs)
        reading.note("rfm", reading.runs)
        staging.write(rfm(reading.frame(last=dates[-1]), dates), "rfm", asked.settings, reading.runs, reading.versions)
    asked.say("batch.rfm staged")


def rfm(events: DataFrame, dates: Iterable[date], every_grid: Iterable[Grid] | None = None) -> DataFrame:
    """``business_date, customer_id``, values, scores, ``grid, grid_version, segment, previous_segment, flags``.

    ``events``: order_facts of every date up to the last of ``dates``.
    """
    wanted = sorted(dates)
    as_of = sorted({day - timedelta(days=back) for day in wanted for back in (0, 1)})
    segments = with_segments(with_scores(customers_as_of(events, as_of)), every_grid or grids())
    in_time = Window.partitionBy("grid", "customer_id").orderBy("as_of")
    day_before = F.lag("as_of").over(in_time) == F.date_sub("as_of", 1)
    return (
        segments.withColumn("previous_segment", F.when(day_before, F.lag("segment").over(in_time)))
        .filter(F.col("as_of").isin(wanted))
        .withColumnRenamed("as_of", "business_date")
        .select("business_date", "customer_id", *_VALUES, *_SCORES, "grid", "grid_version", "segment",
                "previous_segment", "flags")
    )  # fmt: skip


def customers_as_of(events: DataFrame, dates: list[date]) -> DataFrame:
    """``as_of, customer_id, recency_days, frequency, monetary_cents`` (average order value, rounded half up)."""
    bought = (F.col("decision") == Decision.COUNTED) & (F.col("event_type") == EventType.ORDER_CREATED)
    # What a customer had bought by ``since`` stands until the next of their rows: no date adds up the history anew.
    changes = (
        events.filter(bought & (F.col("business_date") <= max(dates)))
        .groupBy("customer_id", F.greatest("business_date", F.lit(min(dates))).alias("since"))
        .agg(F.count("*").alias("orders"), F.sum("total_cents").alias("cents"), F.max("business_date").alias("last"))
    )
    so_far = Window.partitionBy("customer_id").orderBy("since")
    grown = changes.select(
        "customer_id",
        "since",
        F.lead("since").over(so_far).alias("until"),
        F.max("last").over(so_far).alias("last"),
        F.sum("orders").over(so_far).alias("frequency"),
        F.sum("cents").over(so_far).alias("cents"),
    )
    as_of = _frame(events, {"as_of": dates})
    stands = (F.col("since") <= F.col("as_of")) & (F.col("until").isNull() | (F.col("as_of") < F.col("until")))
    return grown.join(F.broadcast(as_of), stands).select(
        "as_of",
        "customer_id",
        F.date_diff("as_of", "last").alias("recency_days"),
        "frequency",
        F.expr("(2 * cents + frequency) div (2 * frequency)").alias("monetary_cents"),
    )


def with_segments(scored: DataFrame, every_grid: Iterable[Grid]) -> DataFrame:
    """One row per grid, with ``grid, grid_version, segment``."""
    rows = [(*cell, grid.name, grid.version, name) for grid in every_grid for cell, name in grid.segments.items()]
    columns = dict(zip((*_SCORES, "grid", "grid_version", "segment"), zip(*rows, strict=True), strict=True))
    return scored.join(F.broadcast(_frame(scored, columns)), _SCORES)


def _frame(beside: DataFrame, columns: Mapping[str, Sequence[Any]]) -> DataFrame:
    # By Arrow: rows would go through a Python worker, which takes longer to start than the job.
    return beside.sparkSession.createDataFrame(pa.table(columns))


if __name__ == "__main__":
    job.main("rfm", compute, views=("rfm",))
