"""Dates of which the batch layer and reconciliation have done with, or not quite: rows as they would leave them."""

from __future__ import annotations

from datetime import UTC, date, datetime

from tandem.settings import Settings
from tests.reconciliation.books import execute, insert


def publish(settings: Settings, day: date, run_id: str = "") -> str:
    """The date has a current version."""
    run_id = run_id or f"run-{day}"
    run = {"kind": "manual", "code_version": "test", "rule_version": "1", "archive_version": 1, "facts_version": 0}
    insert(settings, "batch.runs", run_id=run_id, business_date=day, **run)
    insert(settings, "batch.versions", view="daily_metrics", business_date=day, version=1, run_id=run_id)
    return run_id


def compare(settings: Settings, day: date, verdict: str = "match", run_id: str = "") -> int:
    ((number,),) = execute(
        settings,
        "INSERT INTO reconciliation.reconciliations (business_date, run_id, verdict) VALUES (%s, %s, %s)"
        " RETURNING reconciliation_id",
        [day, run_id or f"run-{day}", verdict],
    )
    return int(number)


def certify(settings: Settings, number: int) -> None:
    insert(settings, "reconciliation.certificates", reconciliation_id=number, certificate="{}")


def settled(settings: Settings, *days: date) -> None:
    """Nothing is left to do on these dates."""
    for day in days:
        publish(settings, day)
        certify(settings, compare(settings, day))


def correct(settings: Settings, day: date, number: int | None, status: str, *, applied: bool, nth: int = 1) -> None:
    """The date's correction; the second takes the first back."""
    cell = {
        "cube": "orders",
        "cell_start": datetime(day.year, day.month, day.day, 12, tzinfo=UTC),
        "key": "",
        "measure": "revenue_cents",
        "delta": 5,
    }
    told = {
        "correction_id": f"c-{nth}-{day}",
        "business_date": day,
        "stream_value": 1,
        "batch_value": 6,
        "run_id": f"run-{day}",
    }
    more = {"decided_at": datetime.now(UTC), "reverses": f"c-1-{day}"} if nth > 1 else {}
    made = {"sequence": nth, "reconciliation_id": number, "status": status}
    insert(settings, "reconciliation.corrections", **cell, **told, **made, **more)
    if applied:
        insert(settings, "speed.adjustments", **cell, **told, partition=0, offset=nth)
