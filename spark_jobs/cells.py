"""cells: order_facts → the hourly cells of a cube, by the declarations of ``tandem.kpis``, as the stream folds them."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs.lines import lines
from tandem.events import Decision
from tandem.kpis import Aggregate, Cube, Distinct, Measure, measures_of
from tandem.rollups import ROLLUPS, SKETCH_LOG_SIZE, SKETCHES, UNKNOWN, Sketch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column

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


def hourly_distincts(facts: DataFrame, zone: str) -> DataFrame:
    """How many different customers and products every key of a roll-up saw in an hour; ``facts``: counted ones.

    ``business_date, cell_start, rollup, key, counted, value``. By sketches: exact up to 2^SKETCH_LOG_SIZE, beyond that
    an estimate, the same as from the stream's sketches of the same values.
    """
    sketched = [
        _sketched(rollup, [sketch for sketch in SKETCHES if _rows(rollup, sketch) == rows], facts, rows, zone)
        for rollup in ROLLUPS
        for rows in sorted({_rows(rollup, sketch) for sketch in SKETCHES})
    ]
    # A union of one keeps the smallest hashes alone, which is what makes a sketch that of its values.
    value = F.theta_sketch_estimate(F.theta_union("sketch", "sketch", SKETCH_LOG_SIZE))
    return reduce(DataFrame.unionByName, sketched).filter(value > 0).withColumn("value", value).drop("sketch")


def _rows(rollup: Cube, sketch: Sketch) -> str:
    """What a cell's values are gathered from."""
    return "events" if (rollup.rows, sketch.rows) == ("events", "events") else "lines"


def _sketched(rollup: Cube, sketches: Sequence[Sketch], facts: DataFrame, rows: str, zone: str) -> DataFrame:
    keys = ["business_date", "cell_start", "key"]
    cells = (
        (facts if rows == "events" else lines(facts))
        .filter(F.col("event_type").isin(sorted({str(sketch.event_type) for sketch in sketches})))
        .withColumn("cell_start", hour_start(F.col("event_time"), zone))
        .withColumn("key", F.coalesce(F.col(str(rollup.key)), F.lit(UNKNOWN)))
        .groupBy(*keys)
        .agg(*(_sketch(sketch).alias(sketch.name) for sketch in sketches))
    )
    names = [sketch.name for sketch in sketches]
    return cells.unpivot(keys, names, "counted", "sketch").withColumn("rollup", F.lit(rollup.name))


def _sketch(sketch: Sketch) -> Column:
    matches = F.col("event_type") == sketch.event_type
    return F.theta_sketch_agg(F.when(matches, F.col(sketch.column)), SKETCH_LOG_SIZE)


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
