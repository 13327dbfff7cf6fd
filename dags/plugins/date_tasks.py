"""The tasks of a DAG that does several dates in one Spark application: publish, compare, tell, and give the dates up.

Between tasks travel the application's own arguments, ``--date D --run-id R`` for each date; and what stood in the way,
by date, '' where nothing did.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import task
from assets import BATCH_VIEWS, CORRECTIONS, ORDER_FACTS, RECONCILIATION, REPORT, note


def runs_of(arguments: list[str]) -> dict[str, str]:
    """Run ids by date, from the arguments of a Spark application."""
    return dict(zip(arguments[1::4], arguments[3::4], strict=True))


@task(inlets=[ORDER_FACTS], outlets=[BATCH_VIEWS])
def publish(arguments: list[str], **context: Any) -> dict[str, str]:
    """Check every date and publish it, unless a later run has. Returns what stood in the way, by date; '' where nothing
    did.
    """
    from datetime import date

    from date_tasks import runs_of

    from spark_jobs import gate, publish
    from tandem.errors import TandemError
    from tandem.settings import settings

    problems, published = {}, []
    for day, run_id in runs_of(arguments).items():
        problems[day] = ""
        try:
            gate.check(settings(), run_id, date.fromisoformat(day))
            by = f"airflow {context['dag_run'].run_id}"
            publish.publish(settings(), run_id, date.fromisoformat(day), published_by=by)
            published.append(day)
        except publish.OvertakenError as later:
            print(later)  # the date has a result, which the next task compares
        except TandemError as problem:
            problems[day] = str(problem)
    note(context, BATCH_VIEWS, business_dates=published)
    return problems


@task(inlets=[BATCH_VIEWS], outlets=[RECONCILIATION, CORRECTIONS])
def reconcile(problems: dict[str, str], **context: Any) -> dict[str, str]:
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
    note(context, RECONCILIATION, business_dates=[day for day, problem in problems.items() if not problem])
    return problems


@task(inlets=[RECONCILIATION, CORRECTIONS], outlets=[REPORT])
def report(problems: dict[str, str], **context: Any) -> dict[str, str]:
    """Send one mail about all dates, those without a result included."""
    from datetime import date

    from reconciliation import mail
    from reconciliation.ends import End
    from tandem.settings import settings

    run_id = context["dag_run"].run_id
    mail.send_summary(settings(), [End(run_id, date.fromisoformat(day), None, why) for day, why in problems.items()])
    return problems


@task(on_failure_callback=None)
def judge(problems: dict[str, str]) -> None:
    """Fail where a date has no result, so that the run shows it. The mail has told already."""
    import tandem_dags

    if failed := [f"{day}: {why}" for day, why in problems.items() if why]:
        raise tandem_dags.final("; ".join(failed))


@task
def finish(skip_themselves: tuple[str, ...] = (), **context: Any) -> None:
    """Give up the dates, whatever became of the run. Fails where a task failed, or somebody marked the run by hand:
    the run's state is that of this task.
    """
    import tandem_dags

    tandem_dags.release(context)
    tandem_dags.show_failure(context, skip_themselves=skip_themselves)
