"""Keep what a comparison found, all of it in one transaction, and hold a date while working on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, replace
from datetime import date, datetime
from typing import Any

import polars as pl
import psycopg
from psycopg import IsolationLevel

from reconciliation.agreement import Agreement, Subject
from reconciliation.behind import Curve
from reconciliation.compare import ROWS, Status, Verdict
from reconciliation.discrepancies import DISCREPANCIES
from reconciliation.ledger import LEDGER
from tandem import database, topics
from tandem.errors import TandemError
from tandem.settings import Settings

_LOCK_TIMEOUT = "5min"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one comparison of a date found. ``rows`` as compare.ROWS: every KPI, and every base cell that differs."""

    business_date: date
    run_id: str
    verdict: Verdict
    reason: str
    remedy: str
    rows: pl.DataFrame
    cells_compared: int = 0
    speed_hash: str = ""
    batch_hash: str = ""
    corrected_by: tuple[str, ...] = ()
    """Ids of the corrections that the speed side holds."""
    discrepancies: pl.DataFrame = field(default_factory=DISCREPANCIES.to_frame)
    ledger: pl.DataFrame = field(default_factory=LEDGER.to_frame)
    lateness: Curve | None = None
    """What each allowed lateness would have made of the date; None where the journal was not looked at."""
    agreement: tuple[Agreement, ...] = ()
    """How far the layers agree on rankings, and on each customer."""

    @property
    def cells_differing(self) -> int:
        """How many base cells are not equal."""
        return self.rows.filter(pl.col("level") == "cell").height


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """A comparison as it was kept, without its rows."""

    reconciliation_id: int
    business_date: date
    run_id: str
    verdict: Verdict
    reason: str
    remedy: str
    cells_compared: int
    cells_differing: int
    speed_hash: str
    batch_hash: str
    compared_at: datetime


@contextmanager
def held(settings: Settings, business_date: date) -> Iterator[psycopg.Connection[Any]]:
    """A connection that alone works on the date's comparison and corrections; a killed process lets go at once.

    Autocommit: ``connection.transaction()`` groups statements, and what it reads is of one instant. Raises TandemError
    after waiting five minutes.
    """
    with database.connect(settings, database.RECONCILIATION, autocommit=True) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [_LOCK_TIMEOUT])
        try:
            name = {"name": f"reconciliation.{business_date}"}
            connection.execute(database.queries("reconciliation").lock_session, name)
        except psycopg.errors.LockNotAvailable as error:
            raise TandemError(
                f"another reconciliation of {business_date} is running", "wait for it, or end it"
            ) from error
        yield connection


def keep(connection: psycopg.Connection[Any], found: Finding) -> int:
    """Keep a finding; returns its reconciliation_id."""
    queries = database.queries("reconciliation")
    parameters = {
        name: getattr(found, name)
        for name in ("business_date", "run_id", "reason", "remedy", "cells_compared", "speed_hash", "batch_hash")
    }
    parameters |= {"verdict": found.verdict.value, "cells_differing": found.cells_differing}
    with connection.transaction(), connection.cursor() as cursor:
        row = cursor.execute(queries.insert_reconciliation, parameters).fetchone()
        reconciliation_id = int(row[0]) if row else 0
        _copy(cursor, queries.copy_comparisons, (reconciliation_id,), found.rows.select(list(ROWS)))
        origin = (reconciliation_id, topics.ORDER_EVENTS)
        _copy(cursor, queries.copy_discrepancies, origin, found.discrepancies.select(list(DISCREPANCIES)))
        _copy(cursor, queries.copy_ledger, (reconciliation_id,), found.ledger.select(list(LEDGER)))
        if found.lateness is not None:
            _keep_curve(cursor, reconciliation_id, found.lateness)
        with cursor.copy(queries.copy_agreement) as copy:
            for one in found.agreement:
                copy.write_row((reconciliation_id, *astuple(one)))
    return reconciliation_id


def _keep_curve(cursor: psycopg.Cursor[Any], reconciliation_id: int, curve: Curve) -> None:
    with cursor.copy(database.queries("lateness").copy_curve) as copy:
        for grace, (events, removed) in curve.by_grace.items():
            copy.write_row((reconciliation_id, grace, events, removed, curve.gross_cents))


def _copy(cursor: psycopg.Cursor[Any], statement: str, first: tuple[Any, ...], rows: pl.DataFrame) -> None:
    with cursor.copy(statement) as copy:
        for row in rows.iter_rows():
            copy.write_row((*first, *row))


def read(connection: psycopg.Connection[Any], reconciliation_id: int) -> Reconciliation:
    """A comparison that was kept. Raises TandemError where there is none of that number."""
    query = database.queries("reconciliation").reconciliation
    row = connection.execute(query, {"reconciliation_id": reconciliation_id}).fetchone()
    if row is None:
        raise TandemError(f"no reconciliation {reconciliation_id}", "run 'tandem reconcile --date D'")
    kept = Reconciliation(*row)
    return replace(kept, verdict=Verdict(kept.verdict))


def latest(connection: psycopg.Connection[Any], business_date: date) -> Reconciliation | None:
    """The newest comparison of a date."""
    query = database.queries("reconciliation").latest_reconciliation
    row = connection.execute(query, {"business_date": business_date}).fetchone()
    return None if row is None or row[0] is None else read(connection, row[0])


def agreement(connection: psycopg.Connection[Any], reconciliation_id: int) -> tuple[Agreement, ...]:
    """How far the layers agreed on rankings and customers; empty for a comparison from before that was asked."""
    query = database.queries("reconciliation").agreement
    rows = connection.execute(query, {"reconciliation_id": reconciliation_id}).fetchall()
    found = (Agreement(*row) for row in rows)
    return tuple(replace(one, subject=Subject(one.subject), status=Status(one.status)) for one in found)
