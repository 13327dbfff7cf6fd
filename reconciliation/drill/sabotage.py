"""Faults in the layers themselves, planted from outside: in the drill's own rows, archive and settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql

from reconciliation.drill.expect import DECODER, Booked, Logged, booked
from tandem import database, delta, kpis
from tandem.local import postgres
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

_APPEND_ONLY = "delta.appendOnly"
_CUBES = {cube.name: cube for cube in kpis.CUBES}


def skip(settings: Settings, partition: int, end: int) -> None:
    """A worker commits the offset ``end`` of a partition and skips what lies before it."""
    _execute(settings, "skip", {"topic": ORDER_EVENTS, "partition": partition, "next_offset": end})


@contextmanager
def in_zone(settings: Settings, zone: ZoneInfo) -> Iterator[dict[str, str]]:
    """A layer works in another zone than the business's; what to change in its environment.

    The setting alone is refused, so the installation says that zone too for so long.
    """
    _execute(settings, "say_zone", {"business_timezone": zone.key})
    try:
        yield {"TANDEM_BUSINESS_TIMEZONE": zone.key}
    finally:
        _execute(settings, "say_zone", {"business_timezone": settings.business_timezone})


def drop_product(settings: Settings, day: date, product: str) -> None:
    """The fold of a date leaves out a product."""
    _execute(settings, "drop_product", {"business_date": day, "product_id": product})


def lose_segments(settings: Settings, partition: int, first: int, end: int) -> None:
    """The journal loses the segments that hold anything of a partition from offset ``first`` up to ``end``."""
    where = {"topic": ORDER_EVENTS, "partition": partition, "first_offset": first, "next_offset": end}
    _execute(settings, "lose_segments", where)


def lose_archived(settings: Settings, day: date, partition: int) -> None:
    """The archive loses a date's records of one Kafka partition, so that Spark reads one partition less."""
    table = delta.at(settings.archive, None)
    table.alter.set_table_properties({_APPEND_ONLY: "false"})  # or nothing can be lost
    table.delete(f"business_date = '{day}' AND partition = {partition}")
    table.alter.set_table_properties({_APPEND_ONLY: "true"})


def leave_out(
    settings: Settings, day: date, records: Iterable[Logged], others: Iterable[Logged], zone: ZoneInfo
) -> None:
    """The batch layer's published sums of a date lack ``records``; ``others`` are the date's other counted records."""
    less: Counter[Booked] = Counter()
    for logged in records:
        less.update(dict(booked(DECODER.decode(logged.value), zone)))
    customers = {DECODER.decode(logged.value).customer_id for logged in others}
    with postgres.connect_admin(settings, settings.postgres_database) as admin, admin.transaction():
        row = admin.execute(database.queries("drill").published_run, {"business_date": day}).fetchone()
        run_id = row[0] if row else ""
        for (_, cube, hour, key, measure), amount in less.items():
            place = (amount, run_id, hour, *([key] if key else []))
            admin.execute(_take_off(_CUBES[cube], measure), place)
        _restate_day(admin, run_id, len(customers))


def _restate_day(admin: psycopg.Connection[Any], run_id: str, customers: int) -> None:
    """Make the day's figures follow from its hours."""
    names = [m.name for m in kpis.measures_of(kpis.ORDERS)]
    totals = sql.SQL("SELECT {} FROM batch.order_hours WHERE run_id = %s").format(
        sql.SQL(", ").join(sql.SQL("sum({})::bigint").format(sql.Identifier(name)) for name in names)
    )
    sums = admin.execute(totals, (run_id,)).fetchone() or ()
    day = kpis.daily_kpis(dict(zip(names, sums, strict=True)), {kpis.UNIQUE_CUSTOMERS.name: customers})
    restated = sql.SQL("UPDATE batch.daily_metrics SET {} WHERE run_id = %s").format(
        sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in day)
    )
    admin.execute(restated, (*day.values(), run_id))


def _take_off(cube: kpis.Cube, measure: str) -> sql.Composed:
    key = sql.SQL(" AND {} = %s").format(sql.Identifier(cube.key)) if cube.key else sql.SQL("")
    return sql.SQL("UPDATE batch.{} SET {} = {} - %s WHERE run_id = %s AND cell_start = %s{}").format(
        sql.Identifier(cube.hour_table), sql.Identifier(measure), sql.Identifier(measure), key
    )


def _execute(settings: Settings, query: str, parameters: dict[str, object]) -> None:
    with postgres.connect_admin(settings, settings.postgres_database) as admin:
        done = admin.execute(getattr(database.queries("drill"), query), parameters)
        if not done.rowcount:
            raise AssertionError(f"nothing to plant by {query}: {parameters}")
