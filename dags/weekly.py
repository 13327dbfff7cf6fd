"""### The week in one mail

On Mondays at 07:00 in the business time zone: the digest of the seven dates up to the day before. Verdict of each date,
totals, what was corrected, the worst figure, what is open and what waits for a person. It goes to all who get mail.

* **By hand**: *Trigger*, and pick the last date; without one it is for the seven dates up to yesterday.
* Where none of the dates was reconciled the run is skipped.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import CronTriggerTimetable, Param, dag, task
from assets import RECONCILIATION, REPORT
from tandem_dags import EVERY_DAG


@task(inlets=[RECONCILIATION], outlets=[REPORT])
def send_digest(**context: Any) -> None:
    """Mail the digest of the week."""
    import tandem_dags

    from reconciliation import mail
    from reconciliation.digest import NothingReconciledError
    from tandem.settings import settings

    last = tandem_dags.date_of_run(context)
    try:
        mail.send_digest(settings(), last)
    except NothingReconciledError as nothing:
        raise tandem_dags.skipped(str(nothing)) from nothing


@dag(
    **EVERY_DAG,
    schedule=CronTriggerTimetable("0 7 * * 1", timezone=os.environ.get("TANDEM_BUSINESS_TIMEZONE", "UTC")),
    doc_md=__doc__,
    tags=["tandem", "operations"],
    params={
        "date": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Last date",
            description="The last of the seven dates; yesterday where left empty.",
        )
    },
)
def weekly() -> None:
    """The wiring: when, never how."""
    send_digest()


weekly()
