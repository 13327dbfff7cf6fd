"""Read both sides of a date: the speed layer's cells at the cut with the corrections since, and a batch run's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import polars as pl
import psycopg

from reconciliation import compare
from tandem import clock, database, kpis
from tandem.settings import Settings

_PLACE: compare.Types = {"cell_start": compare.CELL["cell_start"], "key": pl.String}


@dataclass(frozen=True, slots=True)
class PublishedRun:
    """The batch run that readers see for a date. ``read_below``: where it stopped reading the archive, by partition."""

    run_id: str
    version: int
    published_at: datetime
    rule_version: str
    code_version: str
    archive_version: int | None
    facts_version: int | None
    read_below: dict[int, int] | None


@dataclass(frozen=True, slots=True)
class Sides:
    """What a date's comparison takes: cells as in compare.CELLS, and the day's KPIs.

    ``speed`` is ``counted`` with the corrections decided so far, whose ids are ``corrected_by``. A side's KPIs are None
    where it has none of the date.
    """

    batch: pl.DataFrame
    counted: pl.DataFrame
    speed: pl.DataFrame
    batch_day: dict[str, int | None] | None
    corrected_by: tuple[str, ...] = ()

    @property
    def speed_day(self) -> dict[str, int | None] | None:
        """The speed layer's KPIs, corrections included."""
        return compare.day_values(self.speed)

    @property
    def counted_day(self) -> dict[str, int | None] | None:
        """The speed layer's KPIs as it counted them."""
        return compare.day_values(self.counted)


def published_run(connection: psycopg.Connection[Any], business_date: date) -> PublishedRun | None:
    """The current version of a date's daily metrics, None where nothing is published."""
    query = database.queries("reconciliation").published_run
    row = connection.execute(query, {"business_date": business_date}).fetchone()
    if row is None:
        return None
    run = PublishedRun(*row)
    below = {int(partition): offset for partition, offset in (run.read_below or {}).items()}  # JSON has only text keys
    return replace(run, read_below=below or None)


def read(
    connection: psycopg.Connection[Any],
    settings: Settings,
    business_date: date,
    run_id: str,
    corrections_by_id: Sequence[str] | None = None,
) -> Sides:
    """Both sides of a date at the cut of ``run_id``, with all corrections decided so far or only with those named."""
    queries = database.queries("reconciliation")
    ids = None if corrections_by_id is None else list(corrections_by_id)
    where = {"run_id": run_id, "business_date": business_date, "ids": ids}
    start, _ = clock.day_bounds(business_date, settings.zone)
    names = [kpi.name for kpi in kpis.KPIS]
    day = connection.execute(queries.batch_day, where).fetchone()
    batch = _cells(connection, "batch", where)
    # A run of a date without events leaves a row of zeros, which is no figure to compare.
    batch_day = None if day is None or batch.is_empty() else dict(zip(names, day, strict=True))
    distinct = {} if batch_day is None else {kpis.UNIQUE_CUSTOMERS.name: batch_day[kpis.UNIQUE_CUSTOMERS.name] or 0}
    counted = _cells(connection, "cut", where)
    counted_distinct = dict(connection.execute(queries.cut_distincts, where).fetchall())
    decided = connection.execute(queries.decided, where).fetchall()
    corrections = pl.DataFrame([cell for _, *cell in decided], schema=compare.CELLS, orient="row")
    counted = pl.concat([counted, _distinct_cells(counted_distinct, start)])
    return Sides(
        batch=pl.concat([batch, _distinct_cells(distinct, start)]),
        counted=counted,
        speed=compare.with_corrections(counted, corrections),
        batch_day=batch_day,
        corrected_by=tuple(correction_id for correction_id, *_ in decided),
    )


def _cells(connection: psycopg.Connection[Any], side: str, where: dict[str, Any]) -> pl.DataFrame:
    cubes = []
    for cube in kpis.CUBES:
        names = [m.name for m in kpis.measures_of(cube)]
        rows = connection.execute(getattr(database.queries("reconciliation"), f"{side}_{cube.name}"), where).fetchall()
        schema: compare.Types = {**_PLACE, **dict.fromkeys(names, pl.Int64)}
        wide = pl.DataFrame(rows, schema=schema, orient="row")
        long = wide.unpivot(names, index=["cell_start", "key"], variable_name="measure", value_name="value")
        cubes.append(long.with_columns(cube=pl.lit(cube.name)).select(list(compare.CELLS)))
    return pl.concat(cubes)


def _distinct_cells(values: dict[str, int], start: datetime) -> pl.DataFrame:
    rows = [(compare.DISTINCT, start, "", name, value) for name, value in values.items()]
    return pl.DataFrame(rows, schema=compare.CELLS, orient="row")
