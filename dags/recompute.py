"""### A range of dates, computed again

Started by hand with the first and the last date. One Spark application computes all views of all dates from what has
arrived by now, where a backfill starts four per date. Each date is then checked, published and compared with the speed
layer, and one mail tells of all of them. A date whose gate fails keeps what it had; the others go on.

Use it after a change of rules, or when a source has sent whole days late. Two runs never work on the same date: this
one waits in `claim` until every date of the range is free.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import Param, PokeReturnValue, dag, task
from tandem_dags import DEFAULTS, ROOT, START


@task.sensor(mode="reschedule", poke_interval=10, timeout=timedelta(hours=6))
def claim(params: dict[str, Any], **context: Any) -> PokeReturnValue:
    """Wait until no other run works on any date of the range. A range that runs backwards, or has not ended, fails."""
    import tandem_dags

    dates = tandem_dags.dates_between(params["from"], params["to"])
    free = tandem_dags.claim(context, dates)
    return PokeReturnValue(is_done=free, xcom_value=[day.isoformat() for day in dates])


@task
def prepare(dates: list[str], **context: Any) -> list[str]:
    """Fix the offsets at which each date is compared, and wait for the archive to hold everything below. Returns the
    arguments of the Spark application.
    """
    from datetime import date

    from spark_jobs import cli, runs
    from tandem.settings import settings

    run, days = context["dag_run"], [date.fromisoformat(day) for day in dates]
    opened = cli.prepare(
        settings(), days, kind=runs.Kind.RECOMPUTE, reason=run.run_id, requested_by=run.triggering_user_name
    )
    return cli.arguments(opened)


@task
def publish(dates: list[str], arguments: list[str], **context: Any) -> dict[str, str]:
    """Check every date and publish it. Returns what stood in the way, by date; '' where nothing did."""
    from datetime import date

    from spark_jobs import gate, publish
    from tandem.errors import TandemError
    from tandem.settings import settings

    run_ids = [value for name, value in zip(arguments[::2], arguments[1::2], strict=True) if name == "--run-id"]
    problems = {}
    for day, run_id in zip(map(date.fromisoformat, dates), run_ids, strict=True):
        try:
            gate.check(settings(), run_id, day)
            publish.publish(settings(), run_id, day, published_by=f"airflow {context['dag_run'].run_id}")
            problems[day.isoformat()] = ""
        except TandemError as problem:
            problems[day.isoformat()] = str(problem)
    return problems


@task
def reconcile(problems: dict[str, str]) -> dict[str, str]:
    """Compare every published date with the speed layer, and correct it where it is out of tolerance."""
    from datetime import date

    from reconciliation import reconcile
    from tandem.errors import TandemError
    from tandem.settings import settings

    for day, problem in problems.items():
        try:
            print(problem or reconcile.run(settings(), date.fromisoformat(day)))
        except TandemError as error:
            problems[day] = str(error)
    return problems


@task
def report(problems: dict[str, str], **context: Any) -> dict[str, str]:
    """Send one mail about all dates, those without a result included."""
    from datetime import date

    from reconciliation import mail
    from reconciliation.digest import End
    from tandem.settings import settings

    run_id = context["dag_run"].run_id
    mail.send_digest(settings(), [End(run_id, date.fromisoformat(day), None, why) for day, why in problems.items()])
    return problems


@task(on_failure_callback=None)
def judge(problems: dict[str, str]) -> None:
    """Fail where a date has no result, so that the run shows it. The mail has told already."""
    import tandem_dags

    if failed := [f"{day}: {why}" for day, why in problems.items() if why]:
        raise tandem_dags.final("; ".join(failed))


@task
def finish(**context: Any) -> None:
    """Give up the dates, whatever became of the run."""
    import tandem_dags

    tandem_dags.release(context)


@dag(
    schedule=None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args=DEFAULTS,
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
    views = SparkSubmitOperator(
        task_id="views",
        application=str(ROOT / "spark_jobs" / "batch.py"),
        application_args="{{ ti.xcom_pull(task_ids='prepare') }}",
        conn_id="spark_default",
        pool="spark",
        name="tandem-recompute",
        doc_md="Order facts and all views of all dates, in one Spark application.",
    )
    published = publish(dates, arguments)
    arguments >> views >> published
    judge(report(reconcile(published))) >> finish().as_teardown(setups=dates)


recompute()
