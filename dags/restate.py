"""### What the night before left, and what came after it

Runs at 03:00 in the business time zone, behind the nightly run, and takes every date before the nightly run's own that
is due: because its night went by without a publication (the machine was off, a gate failed), or because records of it
came after it was published. They are told from one row per date and the archive's list of files, so a night on which
nothing is due costs a moment, however long the history.

The dates that are due are computed in one Spark application, checked, published as new versions with their reason,
compared with the speed layer again, and told in one mail. Segments of later dates, and rankings of the next, which say
how products moved, were made of them: they are then stale and computed again as one range; nothing else of those dates
changes. `tandem history --date D` shows what was said, what is said now, and why.

Two runs never work on the same date: this one waits in `claim` until every date that it touches is free. A cleared task
is redone, but for what its run has published; a date that still is due is done the next night.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, PokeReturnValue, dag, task
from assets import BATCH_VIEWS, MASTER_DATASET, ORDER_FACTS, note
from date_tasks import finish, judge, publish, reconcile, report
from run_links import GatesLink, ReportLink, linked
from spark_task import SparkTask, from_task
from tandem_dags import EVERY_DAG, tell_recovery

OPENING = ("prepare", "follow")
"""The tasks that open runs of dates, and return them; each is skipped where there are none."""


@task.sensor(mode="reschedule", poke_interval=30, timeout=timedelta(hours=6), on_skipped_callback=tell_recovery)
def claim(**context: Any) -> PokeReturnValue:
    """Find the dates that are due and those whose segments or rankings follow, and wait until no other run works on any
    of them. The run ends here where there are none. Where a task was cleared, the run's own dates are among them.
    """
    from datetime import date

    import tandem_dags
    from date_tasks import runs_of

    from spark_jobs import restate
    from tandem.settings import settings

    # What the run has published is no longer due, and its other tasks are still to be done again.
    own = [date.fromisoformat(day) for task in OPENING for day in runs_of(context["ti"].xcom_pull(task_ids=task) or [])]
    dates = restate.touched(settings(), {*tandem_dags.dates_due(context), *own})
    if not dates:
        raise tandem_dags.skipped("no date is due")
    return PokeReturnValue(is_done=tandem_dags.claim(context, dates), xcom_value=[day.isoformat() for day in dates])


@task(outlets=[MASTER_DATASET])
def prepare(dates: list[str], **context: Any) -> list[str]:
    """Open a run for each date that is due, with its reason and the offsets at which it is compared, and wait for the
    archive to hold everything below. Returns the arguments of the Spark application.
    """
    import tandem_dags

    from spark_jobs import cli
    from tandem.settings import settings

    # What another run has done meanwhile is no longer due.
    due = {day: why for day, why in tandem_dags.dates_due(context).items() if day.isoformat() in dates}
    if not due:
        raise tandem_dags.skipped("no date is due any more")
    return cli.arguments(cli.prepare(settings(), due, requested_by=context["dag_run"].triggering_user_name))


@task(trigger_rule="none_failed")
def follow(**context: Any) -> list[str]:
    """Open a run for each date whose segments or rankings are stale. Returns the arguments of the Spark application."""
    import tandem_dags

    from spark_jobs import cli, restate
    from tandem.settings import settings

    claimed = context["ti"].xcom_pull(task_ids="claim") or []
    stale = {day: views for day, views in restate.stale(settings()).items() if day.isoformat() in claimed}
    if not stale:
        raise tandem_dags.skipped("nothing is stale")
    by = context["dag_run"].triggering_user_name
    return cli.arguments(restate.open_dependents(settings(), stale, requested_by=by))


@task(inlets=[ORDER_FACTS], outlets=[BATCH_VIEWS])
def publish_segments(arguments: list[str], **context: Any) -> dict[str, dict[str, int]]:
    """Publish the segments and rankings that were computed again, and nothing else of their dates. Returns the
    versions by date and view.
    """
    from datetime import date

    from date_tasks import runs_of

    from spark_jobs import restate
    from tandem.settings import settings

    opened = {date.fromisoformat(day): run_id for day, run_id in runs_of(arguments).items()}
    by = f"airflow {context['dag_run'].run_id}"
    published = restate.publish_dependents(settings(), opened, published_by=by)
    versions = {str(day): by_view for day, by_view in published.items()}
    note(context, BATCH_VIEWS, followed=versions)
    return versions


@dag(
    **EVERY_DAG,
    schedule=CronTriggerTimetable("0 3 * * *", timezone=os.environ.get("TANDEM_BUSINESS_TIMEZONE", "UTC")),
    doc_md=__doc__,
    tags=["tandem", "batch"],
    render_template_as_native_obj=True,  # the Spark applications' arguments are lists
)
def restate() -> None:
    """The wiring: when, never how."""
    dates = claim()
    arguments = prepare(dates)
    views = SparkTask(
        task_id="views",
        job="batch",
        arguments=from_task("prepare"),
        doc_md="Order facts and all views of all dates that are due, in one application.",
        inlets=[MASTER_DATASET],
        outlets=[ORDER_FACTS],
    )
    published = linked(publish(arguments), GatesLink)
    stale = follow()
    segments = SparkTask(
        task_id="segments",
        job="follow",
        arguments=from_task("follow"),
        doc_md="The segments and rankings of every date that follows, in one Spark application.",
        inlets=[ORDER_FACTS],
    )
    arguments >> views >> published >> stale
    again = publish_segments(stale)
    stale >> segments >> again
    [judge(linked(report(reconcile(published)), ReportLink)), again] >> finish(OPENING).as_teardown(
        setups=dates, on_failure_fail_dagrun=True
    )


restate()
