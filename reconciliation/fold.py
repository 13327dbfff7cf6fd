"""The cells that events make: what each measure adds up, by hour and key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from reconciliation import books
from reconciliation.ahead import ahead
from reconciliation.books import Books
from tandem import events, kpis

_AT_ONCE = 250_000
"""Events whose lines one thread has in memory at the same time."""
_THREADS = 2
_CELLS_WAITING = 2_000_000
_FEW_LINES = 16
_MEASURES = {
    cube.name: {kind: [m for m in kpis.measures_of(cube) if m.event_type == kind] for kind in events.ORDER_TYPES}
    for cube in kpis.CUBES
}
"""The measures of each cube that an event of each type adds to."""


def of_events(frames: Iterable[pl.DataFrame]) -> Books:
    """The cells that these events make, but for the distinct counts.

    Columns: event_type (NULL: adds to nothing), cell_start, total_cents (of an amendment its change), units, items
    (evidence.FACTS).
    """
    total, waiting, height = books.NOTHING, list[Books](), 0
    for part in ahead(_of_events, _gathered(frames), _THREADS):
        waiting.append(part)
        height += sum(cells.height for cells in part.cubes.values())
        if height > _CELLS_WAITING:
            total, waiting, height = books.total([total, *waiting]), [], 0
    return books.total([total, *waiting])


def _gathered(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same rows, about _AT_ONCE of them together: the more there are, the fewer cells have to be added up again."""
    waiting, height = list[pl.DataFrame](), 0
    for frame in frames:
        for rows in frame.iter_slices(_AT_ONCE):
            if height + rows.height > _AT_ONCE:
                yield pl.concat(waiting)
                waiting, height = [], 0
            waiting.append(rows)
            height += rows.height
    if waiting:
        yield pl.concat(waiting)


def _of_events(rows: pl.DataFrame) -> Books:
    """The cells of some events, several rows of one cell where events of several types make it."""
    rows = rows.with_columns(previous_total_cents=pl.lit(0, pl.Int64), first=pl.lit(value=True)).with_row_index("event")
    longest = rows.select(pl.col("items").list.len().max()).item() or 0
    lines = rows.select(pl.exclude("units", "first")).explode("items").drop_nulls("items").unnest("items")
    lines = lines.with_columns(pl.col("category").fill_null(events.UNCATEGORISED))
    cells = {
        cube.name: _of_cube(lines.with_columns(first=_first_of(cube.key or "event", longest)), cube)
        if cube.rows == "lines"
        else _of_cube(rows, cube)
        for cube in kpis.CUBES
    }
    return Books({**books.NOTHING.cubes, **cells})


def _first_of(key: str, longest: int) -> pl.Expr:
    """Whether no line of the event before it has its ``key``, where an event has at most so many lines, side by side.

    To look a few lines back costs a tenth of what it takes to find all lines by event and key.
    """
    if longest > _FEW_LINES:
        return pl.struct("event", key).is_first_distinct()
    same = [
        (pl.col("event") == pl.col("event").shift(back)) & pl.col(key).eq_missing(pl.col(key).shift(back))
        for back in range(1, longest)
    ]
    return ~pl.any_horizontal(pl.lit(value=False), *same).fill_null(value=False)


def _of_cube(rows: pl.DataFrame, cube: kpis.Cube) -> pl.DataFrame:
    """One row a cell and type of event; types apart, so that a sum passes only over what it adds up."""
    key = pl.col(cube.key) if cube.key else pl.lit("")
    schema = books.schema(cube.name)
    parts = [schema.to_frame()]
    for kind, measures in _MEASURES[cube.name].items():
        of_kind = rows.filter(pl.col("event_type") == kind)
        parts.append(of_kind.group_by("cell_start", key.alias("key")).agg(_total(m).alias(m.name) for m in measures))
    return pl.concat(parts, how="diagonal").select(pl.col(list(schema)[:2]), pl.col(list(schema)[2:]).fill_null(0))


def _total(measure: kpis.Measure) -> pl.Expr:
    """A measure over a group of rows of its type, of which ``first`` says whether they are their event's first."""
    if measure.aggregate is kpis.Aggregate.EVENTS:
        return pl.col("first").sum().cast(pl.Int64)
    return pl.sql_expr(measure.value).cast(pl.Int64).sum()
