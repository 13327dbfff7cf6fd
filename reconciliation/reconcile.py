"""The reconciliation of a date: compare both layers at the cut, explain the difference, keep it, correct it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, timedelta
from typing import Any

import polars as pl
import psycopg

from reconciliation import (
    agreement,
    behind,
    books,
    certificate,
    compare,
    correct,
    corrections,
    cut,
    holes,
    sides,
    sift,
    store,
)
from reconciliation.compare import Verdict
from reconciliation.correct import Corrected
from reconciliation.cut import Cut, Offsets
from reconciliation.discrepancies import discrepancies
from reconciliation.explain import Cause, explain
from reconciliation.ledger import LEDGER, clear_up, ledger
from reconciliation.sides import PublishedRun, Sides
from reconciliation.store import Finding
from tandem import clock, database, journal
from tandem.amounts import count
from tandem.errors import TandemError
from tandem.settings import Settings

_SETTLE = timedelta(seconds=15)
"""How long to wait for the speed layer to apply corrections that were sent before."""


_NOTHING = Corrected()
_RESULTS = (Verdict.MATCH, Verdict.MISMATCH)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the reconciliation of a date came to. ``reason``: why it could not be compared; ``remedy``: what to do."""

    business_date: date
    verdict: Verdict
    reconciliation_id: int
    run_id: str
    cells_differing: int
    reason: str = ""
    remedy: str = ""
    corrected: Corrected = _NOTHING

    @property
    def exit_status(self) -> int:
        """0 match, 1 mismatch, 2 could not compare."""
        return {Verdict.MATCH: 0, Verdict.MISMATCH: 1, Verdict.NOT_COMPARABLE: 2}[self.verdict]


def run(
    settings: Settings,
    business_date: date,
    *,
    dry_run: bool = False,
    apply_timeout: timedelta = correct.APPLY_TIMEOUT,
) -> Outcome:
    """Compare, explain, correct unless ``dry_run``, and certify a date. A difference is an outcome, not an error.

    Raises TandemError where the stream's journal of the date has expired, and what is published of it was compared.
    """
    with store.held(settings, business_date) as connection:
        corrections.adopt(connection, business_date)
        if not dry_run:
            correct.send_pending(connection, settings, business_date)
        _keep_what_was_found(connection, business_date)
        found = look(connection, settings, business_date)
        number = store.keep(connection, found)
        outcome = Outcome(
            business_date=business_date,
            verdict=found.verdict,
            reconciliation_id=number,
            run_id=found.run_id,
            cells_differing=found.cells_differing,
            reason=found.reason,
            remedy=found.remedy,
        )
        if not dry_run:
            outcome = replace(outcome, corrected=correct.run_held(connection, settings, number, apply_timeout))
        certificate.issue(connection, settings, number, found.corrected_by)
        return outcome


def _keep_what_was_found(connection: psycopg.Connection[Any], business_date: date) -> None:
    """A result of what is published now is not hidden behind one that says that there can be none any more."""
    gone = journal.expired(connection, [business_date])
    published, newest = sides.published_run(connection, business_date), store.latest(connection, business_date)
    if gone and published and newest and newest.run_id == published.run_id and newest.verdict in _RESULTS:
        expired = gone[business_date]
        remedy = f"what was found stands, see tandem report --date {business_date}; {expired.remedy}"
        raise TandemError(f"{business_date} cannot be compared again: {expired.problem}", remedy)


def look(connection: psycopg.Connection[Any], settings: Settings, business_date: date) -> Finding:
    """Compare and explain a date at one instant, without keeping anything."""
    if not_applied := correct.wait_until_applied(connection, business_date, _SETTLE):
        remedy = "see that 'tandem stream' runs, then reconcile again"
        return _not_comparable(
            settings, business_date, "", f"{count(not_applied, 'correction')} not yet applied", remedy
        )
    with connection.transaction():
        published = sides.published_run(connection, business_date)
        if published is None:
            remedy = f"run the date in Airflow, or: tandem batch --date {business_date}"
            return _not_comparable(settings, business_date, "", f"no batch run of {business_date} is published", remedy)
        taken = cut.read(connection, published.run_id)
        both = sides.read(connection, settings, business_date, published.run_id)
        reason, remedy = _why_not(business_date, published, taken, both)
        if taken is not None and not reason:
            reason, remedy = (
                _rebuilt_beneath(connection, taken)
                or _declared_later(connection, taken, both)
                or _expired(connection, business_date)
            )
        if taken is None or reason:
            return _not_comparable(settings, business_date, published.run_id, reason, remedy, batch=both.batch_day)
        return _explained(connection, settings, published, taken, both)


def _why_not(business_date: date, published: PublishedRun, taken: Cut | None, both: Sides) -> tuple[str, str]:
    """Why the sides cannot be compared, and what to do; empty where they can."""
    again = f"run the date in Airflow, or: tandem batch --date {business_date}"
    if taken is None:
        return f"the published run {published.run_id} was computed without a cut", again
    if not taken.comparable:
        return taken.reason, f"when 'tandem stream' has caught up, {again}"
    if published.read_below is not None and _filled(published.read_below) != _filled(taken.offsets):
        return "the batch run read the archive up to other offsets than the cut", again
    if both.batch_day is None and both.speed_day is None:
        return f"neither layer has an order of {business_date}", "see that orders arrive: tandem status"
    return "", ""


def _expired(connection: psycopg.Connection[Any], business_date: date) -> tuple[str, str]:
    """What is found without the journal has no causes, and might correct the stream by what nobody can look at."""
    gone = journal.expired(connection, [business_date])
    return (gone[business_date].problem, f"{gone[business_date].remedy}; then reconcile it") if gone else ("", "")


def _rebuilt_beneath(connection: psycopg.Connection[Any], taken: Cut) -> tuple[str, str] | None:
    row = connection.execute(database.queries("reconciliation").rebuilt_beneath, {"run_id": taken.run_id}).fetchone()
    if row is None or row[0] is None:
        return None
    at = f"{row[0].astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return (
        f"the stream was rebuilt at {at}, beneath the figures at the cut",
        f"run the date in Airflow, or: tandem batch --date {taken.business_date}; then reconcile it",
    )


def _declared_later(connection: psycopg.Connection[Any], taken: Cut, both: Sides) -> tuple[str, str] | None:
    """What one side has, and the other was made without, is no difference."""
    day, queries = taken.business_date, database.queries("reconciliation")
    where = {"run_id": taken.run_id, "business_date": day}
    again = f"run the date in Airflow, or: tandem batch --date {day}; then reconcile it"
    if not_kept := [name for (name,) in connection.execute(queries.not_kept, where)]:
        rebuild = f"fill it: tandem stream rebuild --from {day} --swap; then {again}"
        return f"not kept by the stream then: {', '.join(not_kept)}, declared later", rebuild
    lacking = {name for (name,) in connection.execute(queries.not_computed, where)}
    of_cells = both.batch.day_values() or {}
    lacking |= {
        name for name, value in (both.batch_day or {}).items() if value is None and of_cells.get(name) is not None
    }
    if lacking:
        return f"the published run was computed without {', '.join(sorted(lacking))}, declared later", again
    return None


def _filled(offsets: Offsets) -> Offsets:
    """Without partitions that hold nothing."""
    return {partition: offset for partition, offset in offsets.items() if offset}


def _not_comparable(
    settings: Settings,
    business_date: date,
    run_id: str,
    reason: str,
    remedy: str,
    *,
    batch: dict[str, int | None] | None = None,
) -> Finding:
    start, _ = clock.day_bounds(business_date, settings.zone)
    rows = compare.not_comparable(compare.days(batch, None, None, start))
    return Finding(business_date, run_id, Verdict.NOT_COMPARABLE, reason, remedy, rows)


def _explained(
    connection: psycopg.Connection[Any], settings: Settings, published: PublishedRun, taken: Cut, both: Sides
) -> Finding:
    start, _ = clock.day_bounds(taken.business_date, settings.zone)
    days = compare.days(both.batch_day, both.speed_day, both.counted_day, start)
    values, differing = books.differing(both.batch, both.speed)
    cells = compare.cells(differing.rename({"one": "batch_value", "other": "speed_value"}), both.corrections)
    found = Finding(
        business_date=taken.business_date,
        run_id=published.run_id,
        verdict=compare.verdict(days),
        reason="",
        remedy="",
        rows=pl.concat([days, cells]),
        cells_compared=values,
        speed_hash=both.speed.sha256(),
        batch_hash=both.batch.sha256(),
        corrected_by=both.corrected_by,
        agreement=(
            *agreement.of_products(both.batch, both.speed),
            *agreement.of_distincts(both.hourly_distincts),
        ),
    )
    try:
        seen = sift.read(connection, settings, taken, published)
    except TandemError as error:
        # The figures stand; only what they are made of is unknown, so no correction goes out by itself.
        reason = f"the events could not be compared: {error.problem}"
        return replace(found, reason=reason, remedy=error.remedy, ledger=_unexplained(both))
    seen = clear_up(seen, both.counted, taken.business_date, settings.business_timezone)
    events = explain(seen, taken.business_date, settings.business_timezone)
    entries = ledger(events, both.batch, both.counted, start, seen.alike)
    lost = holes.in_words(seen.holes)
    remedy = f"rebuild it from the log: tandem stream rebuild --from {taken.business_date} --swap" if lost else ""
    rows = discrepancies(events)
    curve = behind.curve(seen.behind, rows.select(list(behind.DIFFERING)), behind.asked_of(settings))
    customers = agreement.of_customers(events, seen.alike)
    return replace(
        found,
        reason=lost,
        remedy=remedy,
        discrepancies=rows,
        ledger=entries,
        lateness=curve,
        agreement=(*found.agreement, *customers),
    )


def _unexplained(both: Sides) -> pl.DataFrame:
    """A ledger that names no cause."""
    rows = books.minus(both.batch, both.counted)
    return rows.with_columns(cause=pl.lit(Cause.UNEXPLAINED), events=pl.lit(0, pl.Int64)).select(list(LEDGER))
