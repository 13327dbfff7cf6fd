"""Put a date's report together from what was kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import psycopg

from reconciliation import bias, certificate, lateness, sides, store
from reconciliation.compare import Status, Verdict
from reconciliation.explain import Cause
from reconciliation.report import (
    Bias,
    CauseTotal,
    Certified,
    Corrections,
    DayInTrend,
    DifferingEvent,
    Figure,
    Gate,
    Report,
    Run,
    Serving,
    Standing,
)
from reconciliation.store import Reconciliation
from tandem import database, kpis, pages
from tandem.amounts import count
from tandem.errors import TandemError
from tandem.settings import Settings

TOP_EVENTS = 12
TREND_DAYS = 30
TREND_METRIC = "revenue_cents"


def report(connection: psycopg.Connection[Any], settings: Settings, business_date: date) -> Report:
    """The report of a date's newest comparison, with the corrections since. Raises TandemError where there is none.

    ``connection``: a ``database.snapshot``, or what one statement finds may not be what the next one tells of.
    """
    if connection.isolation_level is not psycopg.IsolationLevel.REPEATABLE_READ:
        raise ValueError("a report is read in several statements: give it a database.snapshot")
    found = store.latest(connection, business_date)
    if found is None:
        raise TandemError(f"{business_date} was never reconciled", f"run 'tandem reconcile --date {business_date}'")
    queries = database.queries("reconciliation")
    where = {
        "reconciliation_id": found.reconciliation_id,
        "business_date": business_date,
        "run_id": found.run_id,
        "limit": TOP_EVENTS,
    }
    counts = connection.execute(queries.correction_counts, where).fetchone() or (0, 0, 0, 0)
    run = connection.execute(queries.run, where).fetchone()
    serving = connection.execute(queries.serving_status, where).fetchone()
    causes = _causes(connection, where)
    reason, remedy = _overtaken(connection, found) or (found.reason, found.remedy)
    return Report(
        business_date=business_date,
        reconciliation_id=found.reconciliation_id,
        verdict=found.verdict,
        reason=reason,
        remedy=remedy,
        compared_at=found.compared_at,
        currency=settings.currency,
        timezone=settings.business_timezone,
        figures=_figures(connection, settings, found),
        causes=causes,
        events=differing_events(connection, found.reconciliation_id, limit=TOP_EVENTS),
        events_total=sum(cause.events for cause in causes),
        cells_compared=found.cells_compared,
        cells_differing=found.cells_differing,
        speed_hash=found.speed_hash,
        batch_hash=found.batch_hash,
        certificate=_certified(connection, found.reconciliation_id),
        corrections=Corrections(*counts),
        gates=_gates(connection, where),
        run=Run(*run) if run else None,
        serving=Serving(*serving) if serving else Serving("missing", None, None, "neither layer has this date"),
        trend=_trend(connection, business_date),
        bias=_bias(connection, business_date),
        lateness=lateness.of_dates(connection, settings, business_date),
        standing=tuple(Standing(*row) for row in connection.execute(database.queries("reports").standing, where)),
        agreement=store.agreement(connection, found.reconciliation_id),
        link=link(settings),
        gates_link=_gates_link(connection, settings, where),
    )


def link(settings: Settings) -> str:
    """Where Airflow shows the nightly runs."""
    base = settings.public_base_url.rstrip("/") or f"http://{settings.host}:{settings.airflow_port}"
    return f"{base}/dags/nightly"


def differing_events(
    connection: psycopg.Connection[Any],
    reconciliation_id: int,
    *,
    limit: int | None = None,
) -> tuple[DifferingEvent, ...]:
    """The events of a comparison on which the layers differ, the largest first."""
    where = {"reconciliation_id": reconciliation_id, "limit": limit}
    rows = connection.execute(database.queries("reconciliation").differing_events, where).fetchall()
    return tuple(replace(event, cause=Cause(event.cause)) for event in (DifferingEvent(*row) for row in rows))


def _overtaken(connection: psycopg.Connection[Any], found: Reconciliation) -> tuple[str, str] | None:
    """Why the figures are no longer those compared, and what to do; None where they are.

    Corrections since count where both agreed: of a mismatch they are what was done about it.
    """
    again = f"compare again: tandem reconcile --date {found.business_date}"
    published = sides.published_run(connection, found.business_date)
    # A comparison without a run was stopped by something else, unless nothing was published then.
    if published and published.run_id != found.run_id and (found.run_id or published.published_at > found.compared_at):
        return f"version {published.version} of the batch figures was published since and is not compared yet", again
    beneath = connection.execute(
        database.queries("reconciliation").rebuilt_beneath, {"run_id": found.run_id}
    ).fetchone()
    if found.verdict is not Verdict.NOT_COMPARABLE and beneath and beneath[0]:
        compute = f"run the date in Airflow, or: tandem batch --date {found.business_date}; then reconcile it"
        return "the stream was rebuilt since and is not compared yet", compute
    if found.verdict is Verdict.MATCH:
        where = {"business_date": found.business_date, "compared_at": found.compared_at}
        row = connection.execute(database.queries("reconciliation").decided_since, where).fetchone()
        if row and row[0]:
            since = count(row[0], "correction came since and is", "corrections came since and are")
            return f"{since} not compared yet", again
    return None


def _figures(connection: psycopg.Connection[Any], settings: Settings, found: Reconciliation) -> tuple[Figure, ...]:
    query = database.queries("reconciliation").day_comparisons
    rows = {name: row for name, *row in connection.execute(query, {"reconciliation_id": found.reconciliation_id})}
    now: dict[str, int | None] = {}
    if found.verdict is not Verdict.NOT_COMPARABLE:
        both = sides.read(connection, settings, found.business_date, found.run_id, cubes=[kpis.ORDERS])
        now = both.speed_day or {}
    figures = []
    for kpi in kpis.KPIS:
        if kpi.name not in rows:  # declared since the comparison
            continue
        batch, speed, corrected, allowed, status, decides = rows[kpi.name]
        figures.append(
            Figure(
                name=kpi.name,
                label=kpi.name.removesuffix("_cents").replace("_", " "),
                unit=kpi.unit,
                batch=batch,
                counted=None if speed is None else speed - corrected,
                speed=speed,
                speed_now=now.get(kpi.name),
                allowed=allowed,
                status=Status(status),
                decides=decides,
            )
        )
    return tuple(figures)


def _causes(connection: psycopg.Connection[Any], where: dict[str, Any]) -> tuple[CauseTotal, ...]:
    queries = database.queries("reconciliation")
    events = dict(connection.execute(queries.events_by_cause, where).fetchall())
    amounts: dict[str, dict[str, int]] = {cause: {} for cause in events}
    for cause, measure, amount in connection.execute(queries.cause_totals, where):
        amounts.setdefault(cause, {})[measure] = amount
    return tuple(CauseTotal(cause, events.get(cause, 0), amounts[cause]) for cause in Cause if cause.value in amounts)


def _certified(connection: psycopg.Connection[Any], reconciliation_id: int) -> Certified | None:
    document = certificate.newest(connection, reconciliation_id)
    if document is None:
        return None
    after, corrections = document["after"], document["corrections"]
    entries = len(corrections["before"]) + len(corrections["since"])
    return Certified(document["sha256"], after["speed_sha256"], after["batch_sha256"], entries)


def _gates(connection: psycopg.Connection[Any], where: dict[str, Any]) -> tuple[Gate, ...]:
    """The checks of the run that was compared; where none is published, those of the newest run that had any."""
    if where["run_id"]:
        query = database.queries("reconciliation").gate_results
    else:
        query = database.queries("reports").newest_gate_results
    rows = connection.execute(query, where).fetchall()
    return tuple(Gate(name, level, success, observed) for _, name, level, success, observed in rows)


def _gates_link(connection: psycopg.Connection[Any], settings: Settings, where: dict[str, Any]) -> str:
    """Where the checks are shown that ``_gates`` names; '' where there are none."""
    newest = connection.execute(database.queries("reports").newest_checked_run, where).fetchone()
    run_id = where["run_id"] or (newest[0] if newest else "")
    return pages.address(settings, pages.Kind.GATES, run_id) if run_id else ""


def _trend(connection: psycopg.Connection[Any], business_date: date) -> tuple[DayInTrend, ...]:
    where = {"business_date": business_date, "days": TREND_DAYS, "metric": TREND_METRIC}
    rows = connection.execute(database.queries("reconciliation").trend, where).fetchall()
    return tuple(
        DayInTrend(day, 100 * (batch - counted) / batch, 100 * (batch - counted - corrected) / batch, Verdict(verdict))
        for day, batch, counted, corrected, verdict in rows
    )


def _bias(connection: psycopg.Connection[Any], business_date: date) -> tuple[Bias, ...]:
    where = {"business_date": business_date, "days": bias.DAYS, "metrics": list(bias.WATCHED)}
    errors: dict[str, list[tuple[date, float]]] = {}
    for name, day, percent in connection.execute(database.queries("reports").signed_errors, where):
        errors.setdefault(name, []).append((day, percent))
    return bias.alarms(errors)
