"""The cells that events make: what each measure adds up, by hour and key."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from reconciliation import books
from reconciliation.books import Books
from tandem import events, kpis

_AT_ONCE = 200_000
"""Events whose lines are in memory at the same time."""
_CELLS_WAITING = 2_000_000


def of_events(frames: Iterable[pl.DataFrame]) -> Books:
    """The cells that these events make, but for the distinct counts.

    Columns: event_type, cell_start, total_cents (of an amendment its change), units, items (evidence.FACTS).
    """
    total, waiting, height = books.NOTHING, list[Books](), 0
    for frame in frames:
        for rows in frame.iter_slices(_AT_ONCE):
            part = _of_events(rows)
            waiting.append(part)
            height += sum(cells.height for cells in part.cubes.values())
            if height > _CELLS_WAITING:
                total, waiting, height = books.total([total, *waiting]), [], 0
    return books.total([total, *waiting])


def _of_events(rows: pl.DataFrame) -> Books:
    rows = rows.with_columns(previous_total_cents=pl.lit(0, pl.Int64)).with_row_index("event")
    lines = rows.select(pl.exclude("units")).explode("items").drop_nulls("items").unnest("items")
    lines = lines.with_columns(pl.col("category").fill_null(events.UNCATEGORISED))
    cells = {cube.name: _of_cube(lines if cube.rows == "lines" else rows, cube) for cube in kpis.CUBES}
    return Books({**books.NOTHING.cubes, **cells})


def _of_cube(rows: pl.DataFrame, cube: kpis.Cube) -> pl.DataFrame:
    key = pl.col(cube.key) if cube.key else pl.lit("")
    sums = [_total(measure).alias(measure.name) for measure in kpis.measures_of(cube)]
    return rows.group_by("cell_start", key.alias("key")).agg(sums)


def _total(measure: kpis.Measure) -> pl.Expr:
    """A measure over a group of rows that ``event`` numbers by event."""
    of_type = pl.col("event_type") == measure.event_type
    if measure.aggregate is kpis.Aggregate.EVENTS:
        return pl.col("event").filter(of_type).n_unique().cast(pl.Int64)
    return pl.sql_expr(measure.value).cast(pl.Int64).filter(of_type).sum()
