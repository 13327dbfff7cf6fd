"""cells: order_facts → the hourly cells of a cube, by the declarations of ``tandem.kpis``, as the stream folds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs.lines import lines
from tandem.events import Decision
from tandem.kpis import Aggregate, Cube, Distinct, Measure, measures_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_HOUR_US = 3_600_000_000


def hour_start(instant: Column, zone: str) -> Column:
    """Start of the hour an instant falls into, on the clock of the business time zone.

    The offset from UTC at the instant counts, so the hour that the clocks repeat is two cells, and hours start at half
    past in zones half an hour off. The session's own zone is UTC.
    """
    micros = F.unix_micros(instant)
    local = F.unix_micros(F.from_utc_timestamp(instant, zone))
    return F.timestamp_micros(micros - F.pmod(local, F.lit(_HOUR_US)))


def counted(facts: DataFrame) -> DataFrame:
    """The events that the books are made of."""
    return facts.filter(F.col("decision") == Decision.COUNTED)


def cells(facts: DataFrame, cube: Cube, zone: str) -> DataFrame:
    """``business_date, cell_start``, the cube's key if it has one, and its measures; ``facts``: counted ones."""
    measures = measures_of(cube)
    rows = facts if cube.rows == "events" else lines(facts)
    types = sorted({str(measure.event_type) for measure in measures})
    keys = ["business_date", "cell_start", *([cube.key] if cube.key else [])]
    return (
        rows.filter(F.col("event_type").isin(types))
        .withColumn("cell_start", hour_start(F.col("event_time"), zone))
        .groupBy(*keys)
        .agg(*(_aggregate(measure) for measure in measures))
    )


def distincts(facts: DataFrame, declared: Distinct) -> DataFrame:
    """``business_date`` and the exact number of different values, under the name of the declaration."""
    rows = facts.filter(F.col("event_type") == declared.event_type)
    return rows.groupBy("business_date").agg(F.count_distinct(declared.column).alias(declared.name))


def _aggregate(measure: Measure) -> Column:
    matches = F.col("event_type") == measure.event_type
    match measure.aggregate:
        case Aggregate.SUM:
            total = F.coalesce(F.sum(F.when(matches, F.expr(measure.value))), F.lit(0))
        case Aggregate.EVENTS:
            # An event has a row per line, of which the first of the key stands for it.
            once = F.col(f"first_of_{measure.cube.key}") if measure.cube.rows == "lines" else F.lit(True)
            total = F.count_if(matches & once)
        case Aggregate.MIN | Aggregate.MAX:
            raise NotImplementedError(f"{measure.name}: only the speed layer keeps minima and maxima")
    return total.cast("bigint").alias(measure.name)
