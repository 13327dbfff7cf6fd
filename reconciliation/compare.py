"""Compare two sets of books: pure functions from frames to rows, one per KPI of the day and one per base cell.

A cell that a side has, it has with all measures of its cube, zeros included; a cell that is not there is missing, which
is a status and never a zero (reconciliation.books).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import polars as pl

from tandem import kpis
from tandem.kpis import Tolerance


class Status(StrEnum):
    """What the comparison of two values says."""

    MATCH = "match"
    MISMATCH = "mismatch"
    MISSING_IN_SPEED = "missing_in_speed"
    MISSING_IN_BATCH = "missing_in_batch"
    NOT_COMPARABLE = "not_comparable"


class Verdict(StrEnum):
    """What the comparison of a date says."""

    MATCH = "match"
    MISMATCH = "mismatch"
    NOT_COMPARABLE = "not_comparable"


DISTINCT = "distinct"
"""Cube of the distinct counts: one cell per date, at its start."""
DAY = "day"
"""Stands as level and as cube of a date's KPIs."""

_TIME = pl.Datetime("us", "UTC")
Types = dict[str, type[pl.DataType] | pl.DataType]
CELL: Types = {
    "cube": pl.String,
    "cell_start": _TIME,
    "key": pl.String,
    "measure": pl.String,
}
CELLS = pl.Schema({**CELL, "value": pl.Int64})
_ROWS: Types = {
    "level": pl.String,
    "cube": pl.String,
    "cell_start": _TIME,
    "key": pl.String,
    "metric": pl.String,
    "batch_value": pl.Int64,
    "speed_value": pl.Int64,
    "corrected": pl.Int64,
    "allowed": pl.Int64,
    "status": pl.String,
    "decides": pl.Boolean,
}
ROWS = pl.Schema(_ROWS)
"""One comparison. ``speed_value`` holds ``corrected``, the sum of the corrections emitted so far."""

_PPM = 1_000_000


def _tolerance_columns(tolerances: dict[tuple[str, ...], Tolerance], names: tuple[str, ...]) -> pl.DataFrame:
    rows = [
        (*key, round(tolerance.relative * _PPM), tolerance.absolute, tolerance.minimum_base)
        for key, tolerance in tolerances.items()
    ]
    schema = {**dict.fromkeys(names, pl.String), "relative_ppm": pl.Int64, "absolute": pl.Int64, "base": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def judge(frame: pl.DataFrame) -> pl.DataFrame:
    """Add ``allowed``, ``status`` and ``decides`` to batch_value and speed_value, by relative_ppm, absolute and base.

    Whole numbers throughout: |batch - speed| <= max(absolute, relative × |batch|), with no rounding in between.
    """
    batch, speed = pl.col("batch_value"), pl.col("speed_value")
    relative = (batch.abs().cast(pl.Int128) * pl.col("relative_ppm") // _PPM).cast(pl.Int64)
    status = (
        pl.when(batch.is_null() & speed.is_null())
        .then(pl.lit(Status.MATCH))
        .when(batch.is_null())
        .then(pl.lit(Status.MISSING_IN_BATCH))
        .when(speed.is_null())
        .then(pl.lit(Status.MISSING_IN_SPEED))
        .when((batch - speed).abs() <= pl.col("allowed"))
        .then(pl.lit(Status.MATCH))
        .otherwise(pl.lit(Status.MISMATCH))
    )
    larger = pl.max_horizontal(batch.abs(), speed.abs())
    return frame.with_columns(allowed=pl.max_horizontal(pl.col("absolute"), relative)).with_columns(
        status=status, decides=larger.is_not_null() & (larger >= pl.col("base"))
    )


def cells(differing: pl.DataFrame, corrections: pl.DataFrame) -> pl.DataFrame:
    """The base values that are not equal, judged: missing and zero are equal, though their status is not.

    ``differing``: CELL, batch_value, speed_value. ``corrections``: as CELLS, all that ``speed_value`` holds.
    """
    tolerances: dict[tuple[str, ...], Tolerance] = {(m.cube.name, m.name): m.cell_tolerance for m in kpis.MEASURES}
    tolerances[DISTINCT, kpis.UNIQUE_CUSTOMERS.name] = Tolerance()
    corrected = corrections.group_by(list(CELL)).agg(corrected=pl.col("value").sum())
    joined = differing.join(_tolerance_columns(tolerances, ("cube", "measure")), on=["cube", "measure"])
    judged = judge(joined).join(corrected, on=list(CELL), how="left")
    return judged.with_columns(pl.col("corrected").fill_null(0), level=pl.lit("cell"), metric=pl.col("measure")).select(
        list(ROWS)
    )


def days(
    batch: Mapping[str, int | None] | None,
    speed: Mapping[str, int | None] | None,
    counted: Mapping[str, int | None] | None,
    day_start: datetime,
) -> pl.DataFrame:
    """Every KPI of a date compared, in declared order. None: the side has nothing of the date.

    ``counted`` is the speed side before corrections. Where neither side has anything, nothing was compared; a side
    whose values are all 0, as after corrections, agrees with one that has nothing.
    """
    values = [
        (
            kpi.name,
            None if batch is None else batch[kpi.name],
            None if speed is None else speed[kpi.name],
            0 if speed is None else (speed[kpi.name] or 0) - ((counted or {}).get(kpi.name) or 0),
            kpi.decides,
        )
        for kpi in kpis.KPIS
    ]
    schema = {
        "metric": pl.String,
        "batch_value": pl.Int64,
        "speed_value": pl.Int64,
        "corrected": pl.Int64,
        "declared": pl.Boolean,
    }
    tolerances = _tolerance_columns({(kpi.name,): kpi.tolerance for kpi in kpis.KPIS}, ("metric",))
    judged = judge(
        pl.DataFrame(values, schema=schema, orient="row").join(tolerances, on="metric", maintain_order="left")
    )
    if batch is None and speed is None:
        judged = judged.with_columns(status=pl.lit(Status.NOT_COMPARABLE), decides=pl.lit(value=False))
    elif (batch is None or speed is None) and not any((batch or speed or {}).values()):
        judged = judged.with_columns(status=pl.lit(Status.MATCH))
    return judged.with_columns(
        level=pl.lit(DAY),
        cube=pl.lit(DAY),
        cell_start=pl.lit(day_start).cast(_TIME),
        key=pl.lit(""),
        decides=pl.col("decides") & pl.col("declared"),
    ).select(list(ROWS))


def not_comparable(rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows where the sides cannot be held against each other: shown, deciding nothing."""
    return rows.with_columns(status=pl.lit(Status.NOT_COMPARABLE), decides=pl.lit(value=False))


def verdict(day_rows: pl.DataFrame) -> Verdict:
    """What a date's KPIs say. A side that is missing is a mismatch; two that are missing were not compared."""
    statuses = set(day_rows["status"])
    if statuses == {Status.NOT_COMPARABLE}:
        return Verdict.NOT_COMPARABLE
    decisive = day_rows.filter(pl.col("decides") & (pl.col("status") != Status.MATCH))
    return Verdict.MATCH if decisive.is_empty() else Verdict.MISMATCH


def percent_off(difference: int | None, batch: int | None) -> float | None:
    """A difference in percent of batch, with its own sign; None where there is none or batch is 0."""
    return None if difference is None or not batch else 100 * difference / abs(batch)
