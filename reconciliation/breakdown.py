"""What the ledger says of a date's cells: per metric and hour, and product or category, the causes and what they add.

The amounts of a cell sum to batch - stream as counted there, to the cent; ``Cell.adds_up`` says whether they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl
import psycopg

from reconciliation import compare, gather, sides, store
from reconciliation.explain import Cause
from reconciliation.ledger import LEDGER
from reconciliation.report import DifferingEvent
from tandem import database, kpis
from tandem.errors import TandemError
from tandem.kpis import Unit
from tandem.settings import Settings

CUBES = {"hours": "orders", "products": "products", "categories": "categories"}
"""By what the cells of a date can be shown, and the cube that holds them."""

_PLACE = ["metric", "cell_start", "key"]
_Place = tuple[str, datetime, str]
Factors = Mapping[str, int]
"""How often a measure is in a metric, by the measure's name."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one cause adds to a cell: batch - stream."""

    cause: Cause
    events: int
    amount: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One metric of one hour, and product or category where ``key`` names it. Money is cents.

    ``counted``: the stream's, without corrections. Of the distinct counts there is one cell a date, at its start.
    """

    metric: str
    unit: Unit
    cell_start: datetime
    key: str
    batch: int
    counted: int
    lines: tuple[Line, ...]

    @property
    def difference(self) -> int:
        """batch - stream as counted."""
        return self.batch - self.counted

    @property
    def adds_up(self) -> bool:
        """Whether the causes make the difference."""
        return sum(line.amount for line in self.lines) == self.difference


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The cells of a comparison that were asked for and differ, and the events in them, the largest first."""

    business_date: date
    reconciliation_id: int
    by: str
    cells: tuple[Cell, ...]
    events: tuple[DifferingEvent, ...]


def metrics() -> dict[str, Factors]:
    """Every KPI that is a sum over cells: its measures."""
    return {kpi.name: _factors(kpi) for kpi in kpis.KPIS if not isinstance(kpi.source, kpis.Ratio)}


def _factors(kpi: kpis.Kpi) -> Factors:
    if isinstance(kpi.source, str):
        return {kpi.source: 1}
    return {kpi.source.name: 1} if isinstance(kpi.source, kpis.Distinct) else dict(kpi.source)  # type: ignore[arg-type]


def named(metric: str) -> str:
    """The KPI that is meant; ``revenue`` stands for ``revenue_cents``. Raises TandemError where it has no cells."""
    found = next((name for name in metrics() if metric in {name, name.removesuffix("_cents")}), None)
    if found is None:
        known = ", ".join(name.removesuffix("_cents") for name in metrics())
        raise TandemError(f"no sum over orders is called '{metric}'", f"name one of {known}")
    return found


def of_date(
    connection: psycopg.Connection[Any],
    settings: Settings,
    business_date: date,
    *,
    metric: str = "",
    hour: int | None = None,
    by: str = "hours",
) -> Breakdown:
    """The cells of the date's newest comparison that differ: of one metric and one hour where they are given.

    Raises TandemError where the date, or the metric in it, was never compared, or the figures that were are gone.
    """
    found = store.latest(connection, business_date)
    if found is None:
        raise TandemError(f"{business_date} was never reconciled", f"run 'tandem reconcile --date {business_date}'")
    if found.verdict is compare.Verdict.NOT_COMPARABLE:
        raise TandemError(f"{business_date} could not be compared: {found.reason}", found.remedy)
    where = {"reconciliation_id": found.reconciliation_id}
    compared = {name for name, *_ in connection.execute(database.queries("reconciliation").day_comparisons, where)}
    if metric and named(metric) not in compared:
        raise TandemError(
            f"'{metric}' was declared after {business_date} was compared",
            f"run the date again, and compare it: tandem batch --date {business_date}",
        )
    asked = {named(metric): metrics()[named(metric)]} if metric else metrics()
    both = sides.read(connection, settings, business_date, found.run_id)
    if found.cells_compared and both.batch.is_empty() and both.counted.is_empty():
        again = f"compare again: tandem reconcile --date {business_date}"
        raise TandemError(f"the figures that reconciliation {found.reconciliation_id} compared are gone", again)
    rows = connection.execute(database.queries("reconciliation").ledger_rows, where).fetchall()
    lines = pl.DataFrame(rows, schema=LEDGER, orient="row")
    zone = settings.business_timezone
    wanted = [
        _of_metrics(frame, asked, CUBES[by], hour, zone) for frame in (lines, both.batch.cells(), both.counted.cells())
    ]
    events = gather.differing_events(connection, found.reconciliation_id)
    return Breakdown(
        business_date,
        found.reconciliation_id,
        by,
        tuple(_cells(*wanted)),
        tuple(event for event in events if _is_in(event, asked, hour, settings)),
    )


def _of_metrics(
    frame: pl.DataFrame, asked: Mapping[str, Factors], cube: str, hour: int | None, zone: str
) -> pl.DataFrame:
    """The rows of the metrics' measures in the cube and hour, amounts times how often the metric holds the measure.

    Distinct counts are of the date: they have no hour, no product and no category.
    """
    factors = pl.DataFrame(
        [(metric, measure, factor) for metric, parts in asked.items() for measure, factor in parts.items()],
        schema={"metric": pl.String, "measure": pl.String, "factor": pl.Int64},
        orient="row",
    )
    cubes = [cube, compare.DISTINCT] if cube == CUBES["hours"] and hour is None else [cube]
    rows = frame.filter(pl.col("cube").is_in(cubes)).join(factors, on="measure")
    if hour is not None:
        rows = rows.filter(pl.col("cell_start").dt.convert_time_zone(zone).dt.hour() == hour)
    amount = "amount" if "amount" in rows.columns else "value"
    return rows.with_columns(amount=pl.col(amount) * pl.col("factor"))


def _cells(lines: pl.DataFrame, batch: pl.DataFrame, counted: pl.DataFrame) -> list[Cell]:
    units = {kpi.name: kpi.unit for kpi in kpis.KPIS}
    order = {kpi.name: number for number, kpi in enumerate(kpis.KPIS)}
    causes: dict[_Place, list[Line]] = {}
    grouped = lines.group_by(*_PLACE, "cause").agg(pl.col("events").sum(), pl.col("amount").sum())
    for metric, start, key, cause, events, amount in grouped.iter_rows():
        causes.setdefault((metric, start, key), []).append(Line(Cause(cause), events, amount))
    values = [_values(side) for side in (batch, counted)]
    made = []
    for place in {*causes, *values[0], *values[1]}:
        batch_value, counted_value = (side.get(place, 0) for side in values)
        if place in causes or batch_value != counted_value:
            ranked = tuple(sorted(causes.get(place, []), key=lambda line: (-abs(line.amount), line.cause)))
            metric, start, key = place
            made.append(Cell(metric, units[metric], start, key, batch_value, counted_value, ranked))
    return sorted(made, key=lambda cell: (order[cell.metric], cell.cell_start, -abs(cell.difference), cell.key))


def _values(side: pl.DataFrame) -> dict[_Place, int]:
    rows = side.group_by(_PLACE).agg(pl.col("amount").sum()).iter_rows()
    return {(metric, start, key): value for metric, start, key, value in rows}


def _is_in(event: DifferingEvent, asked: Mapping[str, Factors], hour: int | None, settings: Settings) -> bool:
    """Whether an event is of a type that the metrics count, in the hour. One of another hour in each layer is in the
    batch layer's.
    """
    types: dict[str, set[str]] = {kpis.UNIQUE_CUSTOMERS.name: {kpis.UNIQUE_CUSTOMERS.event_type}}
    for measure in kpis.MEASURES:
        types.setdefault(measure.name, set()).add(measure.event_type)
    counted = set().union(*(types[measure] for parts in asked.values() for measure in parts))
    if event.event_type is not None and event.event_type not in counted:
        return False
    return hour is None or (event.event_time is not None and event.event_time.astimezone(settings.zone).hour == hour)


def lines(found: Breakdown, settings: Settings, limit: int | None) -> list[str]:
    """The breakdown as text: each cell, its causes, and whether they add up."""
    from reconciliation import tables
    from tandem.amounts import count, show, show_change

    said = []
    for cell in found.cells[:limit]:
        local = cell.cell_start.astimezone(settings.zone)
        place = f"{local:%Y-%m-%d}" if cell.metric == kpis.UNIQUE_CUSTOMERS.name else f"{local:%Y-%m-%d %H:%M %Z}"
        label = cell.metric.removesuffix("_cents").replace("_", " ")
        amounts = (show(value, cell.unit, settings.currency) for value in (cell.batch, cell.counted))
        said.append(
            " ".join(filter(None, (label, place, cell.key))) + ": batch {}, stream as counted {}".format(*amounts)
        )
        rows = [
            [
                f"  {line.cause.replace('_', ' ')}",
                count(line.events, "event"),
                show_change(line.amount, cell.unit, settings.currency),
            ]
            for line in cell.lines
        ]
        total = show_change(cell.difference, cell.unit, settings.currency)
        rows.append(["  batch - stream", "" if cell.adds_up else "THE CAUSES DO NOT ADD UP TO", total])
        said += [tables.columns(rows), ""]
    if left := len(found.cells[limit:] if limit else ()):
        said.append(f"{left:,} more: --limit 0 shows all")
    return said
