"""### The books of one business date

Runs at 02:00 in the business time zone for the day before: fixes the offsets at which both layers are compared, waits
for the archive to hold everything below them, computes the batch views with Spark, publishes them, compares them with
the speed layer, corrects the speed layer where they differ beyond tolerance, and mails the report.

* **By hand**: *Trigger*, and pick a date; without one it is for yesterday.
* **Backfill**: the dates you pick, both included. It sends one mail when its last date is done.
* **Again**: any date as often as you like. Each publication is a new version; readers see the newest, history stays.
* **Clearing** a task redoes it, but for what its run has published. To compute a date from a new cut, clear `cut` and
  everything after it.

Two runs never work on the same date: the second one waits in `claim`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, PokeReturnValue, dag, task
from assets import BATCH_VIEWS, CORRECTIONS, MASTER_DATASET, ORDER_FACTS, RECONCILIATION, REPORT, note
from business_day import BusinessDayTimetable
from run_links import GatesLink, ReportLink, linked
from spark_task import SparkJob
from tandem_dags import EVERY_DAG


@task.sensor(mode="reschedule", poke_interval=30, timeout=timedelta(hours=6))
def claim(**context: Any) -> PokeReturnValue:
    """Settle which date the run is for, and wait until no other run works on it. A date from before Tandem was
    installed is skipped when the schedule brings it: nothing was listening then.
    """
    import tandem_dags

    day = tandem_dags.date_of_run(context)
    if context["dag_run"].run_type == "scheduled":
        tandem_dags.skip_if_before_installation(day)
    return PokeReturnValue(is_done=tandem_dags.claim(context, [day]), xcom_value=day.isoformat())


@task
def cut(business_date: str, **context: Any) -> str:
    """Fix the Kafka offsets at which both layers are compared, with the speed layer's figures there. Returns the id
    under which everything of this run is kept.
    """
    from datetime import UTC, date, datetime

    from reconciliation import cut as cuts
    from spark_jobs import runs
    from tandem.settings import settings

    day = date.fromisoformat(business_date)
    run_id = cuts.new_run_id(day, datetime.now(UTC))
    cuts.take(settings(), day, run_id)
    run = context["dag_run"]
    runs.open_run(settings(), run_id, day, kind=run.run_type, reason=run.run_id, requested_by=run.triggering_user_name)
    return run_id


@task(outlets=[MASTER_DATASET])
def archive(batch_run: str) -> None:
    """Wait until the master dataset holds everything below the cut."""
    from stream import archive as archives
    from tandem.settings import settings

    archives.wait_until(settings(), archives.cut_offsets(settings(), batch_run), timeout=settings().cut_timeout)


@task
def gate(batch_run: str, business_date: str) -> None:
    """Check the decoded orders. Where an expectation fails, or retention has taken the date's records since, nothing is
    published, and no retry would help.
    """
    from datetime import date

    import tandem_dags

    from spark_jobs import gate as gates
    from tandem.master_dataset import GoneError
    from tandem.settings import settings

    try:
        gates.check(settings(), batch_run, date.fromisoformat(business_date))
    except (gates.GateFailed, GoneError) as problem:
        raise tandem_dags.final(problem) from problem


@task(inlets=[ORDER_FACTS], outlets=[BATCH_VIEWS])
def publish(batch_run: str, business_date: str, **context: Any) -> dict[str, int]:
    """Make the run's views the current version of the date, all in one transaction. Returns the versions. Where it must
    not be seen, as it knows less than what is published, no retry would help; where a later run is, nobody is mailed.
    """
    from datetime import date

    import tandem_dags

    from spark_jobs import publish as publishing
    from tandem.settings import settings

    by = f"airflow {context['dag_run'].run_id}"
    try:
        versions = publishing.publish(settings(), batch_run, date.fromisoformat(business_date), published_by=by)
    except publishing.Refused as problem:
        raise tandem_dags.final(problem) from problem
    note(context, BATCH_VIEWS, business_date=business_date, run_id=batch_run, versions=versions)
    return versions


@task(inlets=[BATCH_VIEWS], outlets=[RECONCILIATION])
def reconcile(business_date: str, **context: Any) -> int:
    """Compare both layers at the cut and say which orders make the difference. Returns the comparison's number."""
    from datetime import date

    from reconciliation import reconcile as comparing
    from tandem.settings import settings

    found = comparing.run(settings(), date.fromisoformat(business_date), dry_run=True)
    note(context, RECONCILIATION, business_date=business_date, verdict=found.verdict, number=found.reconciliation_id)
    return found.reconciliation_id


@task(inlets=[RECONCILIATION], outlets=[CORRECTIONS])
def correct(reconciliation_id: int) -> None:
    """Where the date is out of tolerance: send a correction for every differing cell, and wait until the speed layer
    has applied them. Where a later comparison has done so there is nothing to do; where the comparison is out of date
    otherwise, no retry would help.
    """
    import tandem_dags

    from reconciliation import correct as correcting
    from tandem.settings import settings

    try:
        correcting.run(settings(), reconciliation_id)
    except correcting.OutOfDateError as problem:
        raise tandem_dags.final(problem) from problem


@task(inlets=[RECONCILIATION, CORRECTIONS], outlets=[REPORT])
def report(business_date: str, **context: Any) -> None:
    """Keep the report, and mail it; the reports of a backfill go into one mail, which its last run sends."""
    from datetime import date

    from reconciliation import mail
    from tandem.settings import settings

    if context["dag_run"].run_type != "backfill":
        mail.send_report(settings(), date.fromisoformat(business_date))


@task
def finish(**context: Any) -> None:
    """Give up the date, whatever became of the run. The last run of a backfill also sends its mail. Fails where
    a task failed, or somebody marked the run by hand: the run's state is that of this task.
    """
    import tandem_dags

    tandem_dags.release(context)
    tandem_dags.note_end(context)
    tandem_dags.show_failure(context)


@dag(
    **EVERY_DAG,
    schedule=BusinessDayTimetable(),
    doc_md=__doc__,
    tags=["tandem", "batch"],
    params={
        "date": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Business date",
            description="The day to compute; yesterday where left empty. A backfill takes its own dates.",
        )
    },
)
def nightly() -> None:
    """The wiring: when, never how."""
    day = claim()
    run_id = cut(day)
    facts = SparkJob(
        task_id="order_facts",
        doc_md="Decode, check and deduplicate the events of the date into the order_facts table. Then stage the views"
        " in the same Spark application, unseen, for their own tasks to find: so Spark starts once.",
        options=("--ahead",),
        inlets=[MASTER_DATASET],
        outlets=[ORDER_FACTS],
    )
    views = [
        SparkJob(task_id=name, doc_md=doc, inlets=[ORDER_FACTS])
        for name, doc in (
            ("daily_metrics", "Every KPI of the date, and the cells it is the sum of."),
            ("rfm", "Recency, frequency and money of every customer as of the date, and the segments."),
            ("product_rankings", "Products by revenue, units, orders and buyers; who rose, fell, came and went."),
        )
    ]
    published = publish(run_id, day)
    compared = reconcile(day)
    mailed = linked(report(day), ReportLink)
    archive(run_id) >> facts >> linked(gate(run_id, day), GatesLink) >> views >> published >> compared
    # One view may fail while another still runs: the date is given up only when all have ended.
    [correct(compared) >> mailed, *views] >> finish().as_teardown(setups=day, on_failure_fail_dagrun=True)


nightly()
