"""### A range of dates, computed again

Started by hand with the first and the last date. One Spark application computes all views of all dates from what has
arrived by now, where a backfill starts one per date. Each date is then checked, published and compared with the speed
layer, and one mail tells of all of them. A date whose gate fails keeps what it had; the others go on.

Use it after a change of rules, or when a source has sent whole days late. Two runs never work on the same date: this
one waits in `claim` until every date of the range is free.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, PokeReturnValue, dag, task
from assets import MASTER_DATASET, ORDER_FACTS
from date_tasks import finish, judge, publish, reconcile, report
from run_links import GatesLink, ReportLink, linked
from spark_task import SparkTask, from_task
from tandem_dags import EVERY_DAG


@task.sensor(mode="reschedule", poke_interval=30, timeout=timedelta(hours=6))
def claim(params: dict[str, Any], **context: Any) -> PokeReturnValue:
    """Wait until no other run works on any date of the range. A range that runs backwards, or has not ended, fails."""
    import tandem_dags

    dates = tandem_dags.dates_between(params["from"], params["to"])
    free = tandem_dags.claim(context, dates)
    return PokeReturnValue(is_done=free, xcom_value=[day.isoformat() for day in dates])


@task(outlets=[MASTER_DATASET])
def prepare(dates: list[str], **context: Any) -> list[str]:
    """Fix the offsets at which each date is compared, and wait for the archive to hold everything below. Returns the
    arguments of the Spark application.
    """
    from datetime import date

    from spark_jobs import cli, runs
    from tandem.settings import settings

    run, days = context["dag_run"], [date.fromisoformat(day) for day in dates]
    why = runs.Why(runs.Kind.RECOMPUTE, run.run_id)
    opened = cli.prepare(settings(), dict.fromkeys(days, why), requested_by=run.triggering_user_name)
    return cli.arguments(opened)


@dag(
    **EVERY_DAG,
    schedule=None,
    doc_md=__doc__,
    tags=["tandem", "batch"],
    render_template_as_native_obj=True,  # the Spark application's arguments are a list
    params={
        "from": Param(type="string", format="date", title="From", description="The first business date."),
        "to": Param(type="string", format="date", title="To", description="The last business date, included."),
    },
)
def recompute() -> None:
    """The wiring: when, never how."""
    dates = claim()
    arguments = prepare(dates)
    views = SparkTask(
        task_id="views",
        job="batch",
        arguments=from_task("prepare"),
        doc_md="Order facts and all views of all dates, in one Spark application.",
        inlets=[MASTER_DATASET],
        outlets=[ORDER_FACTS],
    )
    published = linked(publish(arguments), GatesLink)
    arguments >> views >> published
    judge(linked(report(reconcile(published)), ReportLink)) >> finish().as_teardown(
        setups=dates, on_failure_fail_dagrun=True
    )


recompute()
