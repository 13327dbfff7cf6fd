"""### The review of quarantined orders

Started by hand: takes the records that wait in quarantine, of one date or one failed check where you name it, and asks
about each under *Required Actions*.

* **Approve** puts the event back, with what you entered as *corrected data*: a JSON object of what to change (`null`
  removes a member), or the whole event. The checks look at it again before it goes out. It then counts once, in both
  layers, however often and wherever it is approved.
* **Reject** deletes it from quarantine for good. Who and when is kept, and the archive keeps the record as it came.
* **Leave** decides nothing: the record waits for the next review. So does one that nobody answers in two weeks.

A question that comes back after it was answered was answered faster than Airflow could put it aside: answer it again.

Where a check still fails, `apply` fails and says which: clear `decide` of that record, and answer again. On the command
line the same is `tandem quarantine`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param, dag, task, task_group
from tandem_dags import EVERY_DAG

RECORD = "ti.xcom_pull(task_ids='look')[ti.map_index]"
APPROVE, REJECT, LEAVE = "Approve", "Reject", "Leave"


@task
def look(params: dict[str, Any]) -> list[dict[str, str]]:
    """Find the records that wait. Returns of each its address and what the page says about it."""
    import tandem_dags

    from stream import review_page
    from tandem.settings import settings

    return review_page.waiting(
        settings(), tandem_dags.date_entered(params["date"]), params["reason"] or None, params["limit"]
    )


@task
def apply(record: dict[str, str], answer: dict[str, Any]) -> str:
    """Do what was answered. Fails, and changes nothing, where a check still fails or the data cannot be read."""
    import tandem_dags

    from stream import review_page
    from tandem.errors import TandemError
    from tandem.settings import settings

    entered, who = answer["params_input"], answer["responded_by_user"] or {}
    (choice,) = answer["chosen_options"]
    try:
        return review_page.apply(
            settings(), record["address"], choice, entered, by=str(who.get("name") or who.get("id") or "nobody")
        )
    except TandemError as problem:
        raise tandem_dags.final(problem) from problem


@task_group
def record(found: dict[str, str]) -> None:
    """One record: ask, then do it, whatever becomes of the others."""
    decide = HITLOperator(
        task_id="decide",
        subject="{{ " + RECORD + "['subject'] }}",
        body="{{ " + RECORD + "['body'] }}",
        options=[APPROVE, REJECT, LEAVE],
        defaults=LEAVE,
        response_timeout=timedelta(days=14),
        # All that fails here is Airflow's own handing over, so the question need not stay away for long.
        retries=20,
        retry_delay=timedelta(seconds=5),
        retry_exponential_backoff=False,
        params={
            "data": Param("", type="string", format="multiline", title="Corrected data", description="A JSON object"),
            "whole": Param(False, type="boolean", title="The data is the whole event"),
            "note": Param("", type="string", title="Why", description="Kept with the decision"),
        },
        doc_md="Ask what to do with the record. Waits without a worker.",
    )
    apply(found, decide.output)


@dag(
    **EVERY_DAG,
    schedule=None,
    doc_md=__doc__,
    tags=["tandem", "operations"],
    params={
        "date": Param(
            None, type=["null", "string"], format="date", title="Business date", description="Only this date."
        ),
        "reason": Param("", type="string", title="Failed check", description="Only with this check's code."),
        "limit": Param(20, type="integer", minimum=1, maximum=500, title="Records", description="At most so many."),
    },
)
def quarantine() -> None:
    """The wiring: when, never how."""
    record.expand(found=look())


quarantine()
