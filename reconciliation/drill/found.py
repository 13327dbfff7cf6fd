"""What the platform made of the planted faults, read from its tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl
import psycopg

from reconciliation.drill.expect import Cell, Place
from tandem import database, delta, journal
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS


@dataclass(frozen=True, slots=True)
class Day:
    """A date's first comparison, its last one, and the corrections between them."""

    verdict: str
    reason: str
    cells_differing: int
    verdict_after: str
    differing_after: int
    sent: int = 0
    applied: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Differing:
    """An event on which the layers differ. ``cents``: batch - speed."""

    business_date: date
    place: Place
    cause: str
    cents: int


@dataclass(frozen=True, slots=True)
class Decided:
    """What a layer did with a record; ``reasons``: the checks it failed."""

    decision: str
    reasons: str


@dataclass(frozen=True, slots=True)
class Found:
    """All of it. ``cells``: the ledgers of all dates; ``speed``, ``batch``: the decisions on the records asked for."""

    days: Mapping[date, Day] = field(default_factory=dict)
    differing: tuple[Differing, ...] = ()
    cells: Mapping[Cell, int] = field(default_factory=dict)
    speed: Mapping[Place, Decided] = field(default_factory=dict)
    batch: Mapping[Place, Decided] = field(default_factory=dict)


def read(settings: Settings, places: Collection[Place]) -> Found:
    """What was found on every date that was compared, and the decisions on the records at ``places``."""
    queries = database.queries("drill")
    with database.connect(settings, database.READER, options="-c TimeZone=UTC") as connection:
        corrections = {day: rest for day, *rest in connection.execute(queries.corrections)}
        rows = connection.execute(queries.comparisons).fetchall()
        ids = {"ids": [number for _, number, *_ in rows]}
        return Found(
            days={day: Day(*rest, *corrections.get(day, ())) for day, _, *rest in rows},
            differing=tuple(
                Differing(day, (partition, offset), cause, cents)
                for day, partition, offset, cause, cents in connection.execute(queries.discrepancies, ids)
            ),
            cells={tuple(cell): amount for *cell, amount in connection.execute(queries.ledger, ids)},
            speed=_decided(journal.read(connection, ORDER_EVENTS), places),
            batch=_decided(_facts(settings, connection), places),
        )


def failed_gates(settings: Settings) -> dict[date, list[str]]:
    """The checks that kept dates from being published."""
    with database.connect(settings, database.READER) as connection:
        return dict(connection.execute(database.queries("drill").failed_gates).fetchall())


def _facts(settings: Settings, connection: psycopg.Connection[Any]) -> pl.DataFrame:
    """The published facts of every date: ``partition, offset, decision, reasons``."""
    columns = {"partition": pl.Int32, "offset": pl.Int64, "decision": pl.String, "reasons": pl.String}
    dates_of: dict[int, list[date]] = {}
    for day, version in connection.execute(database.queries("drill").facts_versions):
        dates_of.setdefault(version, []).append(day)
    frames = [pl.DataFrame(schema=columns)]
    for version, dates in dates_of.items():
        table = delta.scan(delta.at(settings.order_facts, version))
        of_dates = table.filter(pl.col("business_date").cast(pl.Date).is_in(dates))
        frames.append(of_dates.select(pl.col(name).cast(kind) for name, kind in columns.items()).collect())
    return pl.concat(frames)


def _decided(rows: pl.DataFrame, places: Collection[Place]) -> dict[Place, Decided]:
    wanted = pl.DataFrame(list(places), schema={"partition": pl.Int32, "offset": pl.Int64}, orient="row")
    found = rows.join(wanted, on=["partition", "offset"], how="semi")
    return {
        (partition, offset): Decided(decision, reasons or "")
        for partition, offset, decision, reasons in found.select(
            "partition", "offset", "decision", "reasons"
        ).iter_rows()
    }
