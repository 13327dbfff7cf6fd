"""fold: counted events → deltas of the cells they fall into. Interprets the declarations of ``tandem.kpis``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from zoneinfo import ZoneInfo

import polars as pl

from stream.types import EPOCH
from tandem.kpis import UNIQUE_CUSTOMERS, Aggregate, Cube, Measure
from tandem.rollups import measures_of

_UTC = pl.Datetime("us", "UTC")
PANE_STARTS = {"minute": "minute_start", "hour": "hour_start"}
PLACED = ("business_date", *PANE_STARTS.values())
"""What ``placed`` adds."""


def business_date(time: pl.Expr, zone: ZoneInfo) -> pl.Expr:
    """The date of instants in the business time zone; NULL in the year 10000, which only a zone can reach."""
    day = _filled(time).dt.convert_time_zone(zone.key).dt.date()
    return pl.when(time.is_not_null() & (day.dt.year() <= 9999)).then(day)


def pane_start(time: pl.Expr, unit: str, zone: ZoneInfo) -> pl.Expr:
    """Start of the minute or hour an instant falls into, on the clock of the business time zone.

    As Postgres's date_trunc with a zone: the offset from UTC at the instant counts, so the hour that the clocks repeat
    is two panes, and hours start at half past in zones half an hour off.
    """
    step = {"minute": "1m", "hour": "1h"}[unit]
    if unit == "minute" or zone.key == "UTC":
        return time.dt.truncate(step)
    local = _filled(time).dt.convert_time_zone(zone.key)
    offset = local.dt.base_utc_offset() + local.dt.dst_offset()
    return (time + offset).dt.truncate(step) - offset


def _filled(time: pl.Expr) -> pl.Expr:
    """Without NULLs: polars looks up the time zone for what lies beneath them too, and panics where it is no date."""
    return time.fill_null(EPOCH)


def placed(events: pl.DataFrame, zone: ZoneInfo) -> pl.DataFrame:
    """The events with the cells of time that they fall into, worked out once for all cubes: ``business_date``,
    ``minute_start``, ``hour_start``.
    """
    time = pl.col("event_time")
    starts = (pane_start(time, unit, zone).cast(_UTC).alias(name) for unit, name in PANE_STARTS.items())
    return events.with_columns(business_date(time, zone).alias("business_date"), *starts)


def lines_of(events: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """LINE_COLUMNS and ``row`` of the lines of these events, placed as they; ``lines`` of other events are left out."""
    own = events.select("row", "partition", "offset", "event_type", "event_time", "customer_id", *PLACED)
    return lines.join(own, on="row", how="inner")


def cells(rows: pl.DataFrame, cube: Cube, pane: str | None = None, *, by_partition: bool = True) -> pl.DataFrame:
    """Deltas of a cube, in its own panes unless others are given. ``rows``: the events, or their lines, ``placed``.

    Not ``by_partition``: all of them together, as it is settled where the table is packed.
    """
    names = [*([cube.key] if cube.key else []), *(["partition"] if by_partition else [])]
    start = pl.col(PANE_STARTS[pane or cube.pane]).alias("pane_start")
    return measured(rows, cube, ["business_date", start, *names])


def measured(
    rows: pl.DataFrame, cube: Cube, keys: Sequence[str | pl.Expr], more: Iterable[pl.Expr] = ()
) -> pl.DataFrame:
    """The measures of a cube by any keys, of rows as the cube folds them; and ``more`` aggregates."""
    measures = measures_of(cube)
    wanted = {str(measure.event_type) for measure in measures}
    present = _types(rows)
    counted = rows if present <= wanted else rows.filter(pl.col("event_type").is_in(wanted))
    if cube.rows == "lines":
        counted = counted.with_columns(_stands_for_event(cube).alias("stands_for_event"))
    totals = (_total(measure) for measure in measures if measure.event_type in present)
    cells = counted.group_by(keys).agg(*totals, *more)
    # Most micro-batches hold one type: what there is none of costs nothing.
    return cells.with_columns(_of_none(measure) for measure in measures if measure.event_type not in present)


def _types(rows: pl.DataFrame) -> set[str]:
    """The event types that occur."""
    types = rows["event_type"]
    alike = rows.height > 0 and (types == types[0]).all()
    return {types[0]} if alike else set(types.unique())


def _stands_for_event(cube: Cube) -> pl.Expr:
    """True on one line per event and cell: lines of an event share its time, so only their key tells cells apart."""
    return pl.struct("row", cube.key).is_first_distinct()


@cache
def _total(measure: Measure) -> pl.Expr:
    matches = pl.col("event_type") == measure.event_type
    match measure.aggregate:
        case Aggregate.EVENTS:
            total = (matches & pl.col("stands_for_event") if measure.cube.rows == "lines" else matches).sum()
        case Aggregate.SUM:
            total = pl.when(matches).then(pl.sql_expr(measure.value)).otherwise(0).sum()
        case Aggregate.MIN:
            total = pl.when(matches).then(pl.sql_expr(measure.value)).min()
        case Aggregate.MAX:
            total = pl.when(matches).then(pl.sql_expr(measure.value)).max()
    return total.cast(pl.Int64).alias(measure.name)


@cache
def _of_none(measure: Measure) -> pl.Expr:
    is_sum = measure.aggregate in {Aggregate.EVENTS, Aggregate.SUM}
    return pl.lit(0 if is_sum else None, pl.Int64).alias(measure.name)


def customer_days(events: pl.DataFrame) -> pl.DataFrame:
    """The customers with an order created, by date."""
    created = events.filter(pl.col("event_type") == UNIQUE_CUSTOMERS.event_type)
    return created.select("business_date", UNIQUE_CUSTOMERS.column).unique()


def outcomes(events: pl.DataFrame) -> pl.DataFrame:
    """How many events came to which decision, for which reasons, by hour of their event time (NULL where unread)."""
    keys = (pl.col("hour_start").alias("pane_start"), "partition", "decision", pl.col("reasons").alias("reason"))
    return events.group_by(*keys).agg(pl.len().cast(pl.Int64).alias("events"))
