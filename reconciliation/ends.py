"""One mail for all dates of a backfill or a recompute, sent by whichever of its runs ends last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from reconciliation import mail
from tandem import database
from tandem.settings import Settings


@dataclass(frozen=True, slots=True)
class End:
    """How one run ended: its comparison, or the tasks that failed. ``dag_run`` names it, whatever started it."""

    dag_run: str
    business_date: date
    reconciliation_id: int | None
    failure: str


def note(settings: Settings, end: End) -> None:
    """Keep how a run ended until the mail has told. A run that was cleared and ran again is told of again."""
    values = {
        "dag_run": end.dag_run,
        "business_date": end.business_date,
        "reconciliation_id": end.reconciliation_id,
        "failure": end.failure,
    }
    with database.connect(settings, database.RECONCILIATION) as connection:
        connection.execute(database.queries("orchestration").note_end, values)


def send_if_last(settings: Settings, others: Callable[[Sequence[str]], int]) -> int:
    """Send the mail unless ``others`` says that runs besides those noted are still at work; returns the dates it told.

    Runs that end at the same moment wait for each other here, so that exactly one of them is the last.
    """
    named = database.queries("orchestration")
    with database.connect(settings, database.RECONCILIATION) as connection:
        connection.execute(named.lock_ends)
        ends = [End(*row) for row in connection.execute(named.unmailed_ends).fetchall()]
        runs = [end.dag_run for end in ends]
        if not ends or others(runs):
            return 0
        mail.send_summary(settings, ends)
        connection.execute(named.mark_ends_mailed, {"dag_runs": runs})
        return len(ends)
