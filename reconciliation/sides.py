"""Read both sides of a date: the speed layer's cells at the cut with the corrections since, and a batch run's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import polars as pl
import psycopg

from reconciliation import books, compare
from reconciliation.books import Books
from tandem import clock, database, kpis
from tandem.settings import Settings

HOURLY_DISTINCTS = pl.Schema({"rollup": pl.String, "counted": pl.String, "batch": pl.Int64, "speed": pl.Int64})


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
    """What a date's comparison takes: both sides' cells, and the day's KPIs.

    ``hourly_distincts``: as ``agreement.of_distincts`` takes them; none for a run from before they were counted.
    ``speed`` is ``counted`` with ``corrections`` (compare.CELLS), those decided so far, whose ids are ``corrected_by``.
    A side's KPIs are None where it has none of the date.
    """

    batch: Books
    counted: Books
    speed: Books
    batch_day: dict[str, int | None] | None
    corrections: pl.DataFrame
    corrected_by: tuple[str, ...] = ()
    hourly_distincts: pl.DataFrame = field(default_factory=HOURLY_DISTINCTS.to_frame)

    @property
    def speed_day(self) -> dict[str, int | None] | None:
        """The speed layer's KPIs, corrections included."""
        return self.speed.day_values()

    @property
    def counted_day(self) -> dict[str, int | None] | None:
        """The speed layer's KPIs as it counted them."""
        return self.counted.day_values()


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
    *,
    cubes: Sequence[kpis.Cube] = kpis.CUBES,
) -> Sides:
    """Both sides of a date at the cut of ``run_id``, with all corrections decided so far or only with those named.

    ``cubes``: read the cells of these alone; the KPIs of a date are all in those of the orders.
    """
    queries = database.queries("reconciliation")
    ids = None if corrections_by_id is None else list(corrections_by_id)
    where = {"run_id": run_id, "business_date": business_date, "ids": ids}
    start, _ = clock.day_bounds(business_date, settings.zone)
    names = [kpi.name for kpi in kpis.KPIS]
    day = connection.execute(queries.batch_day, where).fetchone()
    batch = _cells(connection, "batch", where, cubes)
    # A run of a date without events leaves a row of zeros, which is no figure to compare.
    batch_day = None if day is None or batch.is_empty() else dict(zip(names, day, strict=True))
    distinct = {} if batch_day is None else {kpis.UNIQUE_CUSTOMERS.name: batch_day[kpis.UNIQUE_CUSTOMERS.name] or 0}
    counted = _cells(connection, "cut", where, cubes)
    counted_distinct = dict(connection.execute(queries.cut_distincts, where).fetchall())
    decided = connection.execute(queries.decided, where).fetchall()
    corrections = pl.DataFrame([cell for _, *cell in decided], schema=compare.CELLS, orient="row")
    corrections = corrections.filter(pl.col("cube").is_in([*(cube.name for cube in cubes), compare.DISTINCT]))
    counted = _with_distinct(counted, counted_distinct, start)
    return Sides(
        batch=_with_distinct(batch, distinct, start),
        counted=counted,
        speed=books.with_corrections(counted, corrections),
        batch_day=batch_day,
        corrections=corrections,
        corrected_by=tuple(correction_id for correction_id, *_ in decided),
        hourly_distincts=pl.DataFrame(
            connection.execute(queries.hourly_distincts, where).fetchall(), schema=HOURLY_DISTINCTS, orient="row"
        ),
    )


def _cells(connection: psycopg.Connection[Any], side: str, where: dict[str, Any], cubes: Sequence[kpis.Cube]) -> Books:
    found = {}
    for cube in cubes:
        query = getattr(database.queries("reconciliation"), f"{side}_{cube.name}")
        found[cube.name] = _from_csv("".join(text for (text,) in connection.execute(query, where)), cube)
    return Books({**books.NOTHING.cubes, **found})


def _from_csv(text: str, cube: kpis.Cube) -> pl.DataFrame:
    """A cube's cells from instants in microseconds, key and measures; a key may be empty, and is never NULL."""
    schema = books.schema(cube.name)
    if not text:
        return schema.to_frame()
    read = {name: pl.Int64() if name == "cell_start" else type_ for name, type_ in schema.items()}
    rows = pl.read_csv(text.encode(), has_header=False, schema=read, empty_string_is_null=False)
    return rows.with_columns(pl.from_epoch("cell_start", "us").dt.replace_time_zone("UTC"))


def _with_distinct(cells: Books, values: dict[str, int], start: datetime) -> Books:
    """With the distinct counts, which are one cell at the start of the date."""
    row = {"cell_start": start, "key": "", **values}
    rows = pl.DataFrame([row] if values else [], schema=books.schema(compare.DISTINCT))
    return Books({**cells.cubes, compare.DISTINCT: rows})
