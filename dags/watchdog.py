"""### A nightly run that never came

Looks at 06:00 in the business time zone whether the day before is published, and mails once where it is not: because
the scheduler was down, the run was paused, deleted, marked by hand, failed, or is still at work.

Also sends what earlier runs could not: mails that no server took, the mail of a backfill whose last run was stopped.
Deletes what is no longer kept of the history of versions.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import CronTriggerTimetable, dag, task
from tandem_dags import EVERY_DAG


@task
def look(**context: Any) -> str:
    """Mail once for a date that is not published by now. Returns what was found."""
    import tandem_dags

    return tandem_dags.warn_if_unpublished(context)


@task
def send_leftovers(**context: Any) -> None:
    """Send the mails that earlier runs could not, and tell of dates that were settled since they were mailed."""
    import tandem_dags

    from reconciliation import mail, post
    from tandem.settings import settings

    tandem_dags.send_summary(context)
    mail.send_recoveries(settings())
    post.send_pending(settings())


@task
def prune_history() -> None:
    """Delete rows and files of versions superseded long ago; their daily figures, and why they came, stay."""
    from datetime import UTC, datetime

    from spark_jobs import history
    from tandem.settings import settings

    print(history.prune(settings(), datetime.now(UTC)))


@dag(
    **EVERY_DAG,
    schedule=CronTriggerTimetable("0 6 * * *", timezone=os.environ.get("TANDEM_BUSINESS_TIMEZONE", "UTC")),
    doc_md=__doc__,
    tags=["tandem", "operations"],
)
def watchdog() -> None:
    """The wiring: when, never how."""
    look()
    send_leftovers()
    prune_history()


watchdog()
