"""Correct the speed layer where a date is out of tolerance: one adjusting entry for every base cell that differs.

Four steps, each of which may be the last before a crash: keep the corrections (one transaction), send them (one Kafka
transaction), mark them as sent, wait until the speed layer has applied them. Doing it again takes up where it stopped:
ids are deterministic, what is kept is not kept twice, and the speed layer takes each id once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import structlog

from reconciliation import certificate, corrections, emit, store
from reconciliation.compare import Verdict
from reconciliation.corrections import EMITTED, PENDING, WAITING, Correction
from reconciliation.explain import SUSPICIOUS
from tandem import database
from tandem.amounts import count
from tandem.errors import TandemError
from tandem.settings import Settings

APPLY_TIMEOUT = timedelta(minutes=2)
_POLL_S = 0.1
_log = structlog.get_logger(__name__)


class OutOfDateError(TandemError):
    """Another run, or other corrections, have come since the comparison: it says nothing of what is there now."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """What became of a comparison's corrections. ``reason`` says why some wait for approval."""

    emitted: int = 0
    waiting: int = 0
    not_applied: int = 0
    reason: str = ""


def run(settings: Settings, reconciliation_id: int, *, apply_timeout: timedelta = APPLY_TIMEOUT) -> Corrected:
    """Correct what a comparison found, wait until the speed layer has applied it, and certify what has become of it.

    Does nothing for a date inside tolerance or not comparable, nor where a later comparison has done it. Raises
    OutOfDateError.
    """
    with database.connect(settings, database.RECONCILIATION) as connection:
        business_date = store.read(connection, reconciliation_id).business_date
    with store.held(settings, business_date) as connection:
        corrected = run_held(connection, settings, reconciliation_id, apply_timeout)
        _certify(connection, settings, business_date, {reconciliation_id})
        return corrected


def _certify(connection: psycopg.Connection[Any], settings: Settings, business_date: date, numbers: set[int]) -> None:
    """Certify comparisons again, and the date's newest, which is the one that people are shown."""
    newest = store.latest(connection, business_date)
    for number in sorted(numbers | ({newest.reconciliation_id} if newest else set())):
        certificate.renew(connection, settings, number)


def run_held(
    connection: psycopg.Connection[Any], settings: Settings, reconciliation_id: int, apply_timeout: timedelta
) -> Corrected:
    """As ``run``, by who holds the date already."""
    found = store.read(connection, reconciliation_id)
    corrections.adopt(connection, found.business_date)
    send_pending(connection, settings, found.business_date)
    if found.verdict is not Verdict.MISMATCH:
        queries = database.queries("reconciliation")
        where = {"reconciliation_id": reconciliation_id, "business_date": found.business_date}
        if found.verdict is Verdict.MATCH and connection.execute(queries.is_latest, where).fetchone():
            connection.execute(queries.delete_waiting, where)
        return Corrected()
    emitted, waiting = _counts(connection, reconciliation_id)
    reason = _why_not_by_itself(connection, found)
    if not emitted and not waiting:
        try:
            propose(connection, found, PENDING if not reason else WAITING)
        except OutOfDateError:
            if (later := _settled_by(connection, found)) is None:
                raise
            _log.info("a later comparison has done it", date=str(found.business_date), reconciliation=later)
            return Corrected()
        send_pending(connection, settings, found.business_date)
        emitted, waiting = _counts(connection, reconciliation_id)
    not_applied = wait_until_applied(connection, found.business_date, apply_timeout)
    return Corrected(emitted, waiting, not_applied, reason if waiting else "")


def _counts(connection: psycopg.Connection[Any], reconciliation_id: int) -> tuple[int, int]:
    query = database.queries("reconciliation").corrections_of_reconciliation
    row = connection.execute(query, {"reconciliation_id": reconciliation_id}).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def _why_not_by_itself(connection: psycopg.Connection[Any], found: store.Reconciliation) -> str:
    """Why a person must approve the corrections; '' where the rules let them go. Batch is not right by definition."""
    queries = database.queries("reconciliation")
    where = {
        "run_id": found.run_id,
        "business_date": found.business_date,
        "reconciliation_id": found.reconciliation_id,
        "causes": [cause.value for cause in SUSPICIOUS],
    }
    gates = connection.execute(queries.gate_results, where).fetchall()
    failed = [expectation for _, expectation, level, success, _ in gates if level == "fail" and not success]
    if not gates:
        return f"run {found.run_id} was published without passing its gates"
    if failed:
        return f"run {found.run_id} was published though its gates failed: {', '.join(failed)}"
    suspicions = connection.execute(queries.suspicions, where).fetchall()
    if suspicions:
        named = ", ".join(f"{cause} ({count(events, 'event')})" for cause, events in suspicions)
        return f"the batch layer may be the one that is wrong: {named}"
    reversed_before = connection.execute(queries.was_reversed, where).fetchone()
    return "a correction of this date was reversed by hand" if reversed_before and reversed_before[0] else ""


def _settled_by(connection: psycopg.Connection[Any], found: store.Reconciliation) -> int | None:
    """The later comparison of what is there now that has done all there was to do; None where there is none."""
    newest, overtaken = store.latest(connection, found.business_date), database.queries("reconciliation").overtaken
    if newest is None or newest.reconciliation_id == found.reconciliation_id:
        return None
    row = connection.execute(overtaken, {"reconciliation_id": newest.reconciliation_id}).fetchone()
    corrected = newest.verdict is Verdict.MISMATCH and any(_counts(connection, newest.reconciliation_id))
    current = row is not None and not row[0]
    return newest.reconciliation_id if current and (corrected or newest.verdict is Verdict.MATCH) else None


def propose(connection: psycopg.Connection[Any], found: store.Reconciliation, status: str) -> None:
    """Keep one correction per differing cell, in place of those that still waited for approval. One transaction."""
    queries = database.queries("reconciliation")
    where = {"reconciliation_id": found.reconciliation_id, "business_date": found.business_date}
    with connection.transaction():
        overtaken = connection.execute(queries.overtaken, where).fetchone()
        if overtaken is None or overtaken[0]:
            raise OutOfDateError(
                f"reconciliation {found.reconciliation_id} of {found.business_date} is out of date",
                f"run 'tandem reconcile --date {found.business_date}'",
            )
        connection.execute(queries.delete_waiting, where)
        last = corrections.last_sequences(connection, found.business_date)
        cells = connection.execute(queries.differing_cells, where).fetchall()
        corrections.insert(connection, [_correction(found, row, last, status) for row in cells])


def _correction(
    found: store.Reconciliation, row: tuple[Any, ...], last: dict[corrections.Cell, int], status: str
) -> Correction:
    cube, cell_start, key, measure, stream_value, batch_value = row
    cell = (cube, cell_start, key, measure)
    sequence = last.get(cell, 0) + 1
    return Correction(
        corrections.correction_id(found.business_date, cell, sequence),
        found.business_date,
        *cell,
        sequence,
        stream_value,
        batch_value,
        batch_value - stream_value,
        found.run_id,
        found.reconciliation_id,
        status,
    )


def send_pending(connection: psycopg.Connection[Any], settings: Settings, business_date: date) -> int:
    """Send every decided correction of the date that is not known to be on Kafka. Returns how many."""
    waiting = corrections.find(connection, business_date=business_date, statuses=[PENDING])
    emit.emit(settings, waiting, datetime.now(UTC))
    ids = [correction.correction_id for correction in waiting]
    connection.execute(database.queries("reconciliation").mark_emitted, {"ids": ids})
    return len(waiting)


def wait_until_applied(connection: psycopg.Connection[Any], business_date: date, timeout: timedelta) -> int:
    """Wait until the speed layer has applied all that was sent for the date; returns how many are still missing."""
    deadline = time.monotonic() + timeout.total_seconds()
    query = database.queries("reconciliation").emitted_not_applied
    while True:
        row = connection.execute(query, {"business_date": business_date}).fetchone()
        missing = int(row[0]) if row else 0
        if not missing or time.monotonic() >= deadline:
            return missing
        time.sleep(_POLL_S)


def approve(settings: Settings, business_date: date, ids: list[str] | None, by: str) -> int:
    """Let waiting corrections of a date go, all where no ids are given. Returns how many. Raises TandemError."""
    with store.held(settings, business_date) as connection:
        corrections.adopt(connection, business_date)
        chosen = corrections.find(connection, business_date=business_date, statuses=[WAITING], ids=ids)
        if not chosen or (ids is not None and len(chosen) < len(set(ids))):
            raise TandemError(
                f"no such correction of {business_date} waits for approval",
                f"see 'tandem corrections list --date {business_date}'",
            )
        overtaken = database.queries("reconciliation").overtaken
        numbers = {correction.reconciliation_id for correction in chosen if correction.reconciliation_id is not None}
        for number in numbers:
            row = connection.execute(overtaken, {"reconciliation_id": number}).fetchone()
            if row is None or row[0]:
                again = f"run 'tandem reconcile --date {business_date}'"
                raise OutOfDateError(f"these corrections of {business_date} are out of date", again)
        chosen_ids = [correction.correction_id for correction in chosen]
        connection.execute(database.queries("reconciliation").approve, {"ids": chosen_ids, "decided_by": by})
        sent = send_pending(connection, settings, business_date)
        _certify(connection, settings, business_date, numbers)
        return sent


def reverse(settings: Settings, correction_id: str, by: str) -> Correction:
    """Take an emitted correction back by its negated delta. Returns the new correction. Raises TandemError."""
    with database.connect(settings, database.RECONCILIATION) as connection:
        found = corrections.find(connection, ids=[correction_id], statuses=[EMITTED])
    if not found:
        raise TandemError(f"no correction {correction_id} was emitted", "see 'tandem corrections list'")
    with store.held(settings, found[0].business_date) as connection:
        corrections.adopt(connection, found[0].business_date)
        (original,) = corrections.find(connection, ids=[correction_id])  # as the speed layer has booked it
        sequence = corrections.last_sequences(connection, original.business_date)[original.cell] + 1
        reversal = replace(
            original,
            correction_id=corrections.correction_id(original.business_date, original.cell, sequence),
            sequence=sequence,
            stream_value=original.batch_value,
            batch_value=original.stream_value,
            delta=-original.delta,
            status=PENDING,
            reverses=original.correction_id,
            decided_by=by,
        )
        try:
            corrections.insert(connection, [reversal])
        except psycopg.errors.UniqueViolation as error:
            raise TandemError(f"correction {correction_id} was reversed before", "nothing is left to do") from error
        send_pending(connection, settings, original.business_date)
        _certify(connection, settings, original.business_date, set())
    return reversal
