"""What all DAGs of Tandem share: defaults of their tasks, which date a run is for, who works on it, mail on failure.

Everything of the project is imported inside the functions: the DAG processor parses often and computes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2000, 1, 1, tzinfo=UTC)
"""Early enough for any backfill. Nothing is caught up by itself."""


class ToldError(Exception):
    """The cause of an error that people know of already."""


def tell(context: dict[str, Any]) -> None:
    """Mail that a task failed for good. A backfill's failures go into its one mail instead. Where a later run has done
    the date nobody has anything to do.
    """
    from reconciliation import mail
    from spark_jobs.publish import OvertakenError
    from tandem.settings import settings

    cause = getattr(context.get("exception"), "__cause__", None)
    if context["dag_run"].run_type != "backfill" and not isinstance(cause, (OvertakenError, ToldError)):
        ti = context["ti"]
        mail.send_failure(
            settings(),
            dag_id=ti.dag_id,
            task_id=ti.task_id,
            business_date=_claimed(ti),
            error=str(context.get("exception") or "the process ended without a word"),
            link=ti.log_url,
        )


def tell_recovery(context: dict[str, Any]) -> None:
    """Mail that a task went through which had failed for good."""
    from reconciliation import failures
    from tandem.settings import settings

    ti = context["ti"]
    place = {"dag_id": ti.dag_id, "task_id": ti.task_id, "business_date": _claimed(ti)}
    if failures.may_be_open(settings(), **place):
        from reconciliation import mail

        mail.send_recovery(settings(), **place)


def _claimed(ti: Any) -> str:
    """The date or dates that a run works on; '' where it works on none, or has none yet, as when ``claim`` fails: that
    is over with the next that goes through, whatever it claims.
    """
    if ti.task_id == "claim":
        return ""
    claimed = ti.xcom_pull(task_ids="claim") or ""
    return f"{claimed[0]} to {claimed[-1]}" if isinstance(claimed, list) else claimed


DEFAULTS: dict[str, Any] = {
    "owner": "tandem",
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=5),
    "execution_timeout": timedelta(hours=2),
    "on_failure_callback": tell,
    "on_success_callback": tell_recovery,
}
"""Of every task."""

EVERY_DAG: dict[str, Any] = {
    "start_date": START,
    "catchup": False,
    "max_active_runs": 1,
    "is_paused_upon_creation": False,
    "default_args": DEFAULTS,
}


def final(problem: object) -> Exception:
    """A problem as an error that no retry can cure."""
    from airflow.sdk.exceptions import AirflowFailException

    return AirflowFailException(str(problem))


def skipped(why: str) -> Exception:
    """The word that there is nothing to do."""
    from airflow.sdk.exceptions import AirflowSkipException

    return AirflowSkipException(why)


def dates_due(context: dict[str, Any]) -> dict[date, Any]:
    """The dates that are to be restated, and why: those before the one that is the nightly run's own."""
    from spark_jobs import restate
    from tandem import business_date
    from tandem.settings import settings

    refuse_unknown(context)
    own = business_date.newest_due(context["dag_run"].run_after, settings().zone)
    return restate.due(settings(), own - timedelta(days=1))


def refuse_unknown(context: dict[str, Any]) -> None:
    """Fail for good where a run was given what its DAG does not ask for.

    Left out without a word, it would be believed to count: a date that is misspelt, or that ``restate`` does not take.
    """
    if unknown := sorted(set(context["dag_run"].conf or {}) - set(context["dag"].params)):
        raise final(f"the run was given '{unknown[0]}', which it does not know: give {_names(context['dag'].params)}")


def date_of_run(context: dict[str, Any]) -> date:
    """The business date of a run, whatever started it. Raises what no retry can cure where it cannot be read."""
    from tandem import business_date
    from tandem.errors import TandemError
    from tandem.settings import settings

    run = context["dag_run"]
    bounds = (run.data_interval_start, run.data_interval_end)
    refuse_unknown(context)
    zone, entered = settings().zone, context["params"].get("date")
    meant = entered or run.partition_key or "date" not in context["params"] or run.run_type in ("scheduled", "backfill")
    try:
        day = business_date.of_run(
            zone=zone,
            run_after=run.run_after,
            entered=entered,
            partition_key=run.partition_key,
            interval=bounds if all(bounds) else None,
            backfill=run.run_type == "backfill",
        )
        if run.logical_date and not meant:
            business_date.require_no_other(day, logical_date=run.logical_date, run_after=run.run_after, zone=zone)
    except TandemError as problem:
        raise final(problem) from problem
    return day


def _names(params: Iterable[str]) -> str:
    return " or ".join(f"'{name}'" for name in params) or "nothing"


def dates_between(first: str, last: str) -> list[date]:
    """Every date of an entered range. Raises what no retry can cure where it is none."""
    from tandem import business_date, clock
    from tandem.errors import TandemError

    try:
        return list(clock.days(*business_date.entered_range(first, last)))
    except TandemError as problem:
        raise final(problem) from problem


def date_entered(text: str | None) -> date | None:
    """A date that may be left empty. Raises what no retry can cure where it cannot be read."""
    return dates_between(text, text)[0] if text else None


def skip_if_before_installation(day: date) -> None:
    """Skip where the date had ended when Tandem was installed: nothing was listening then."""
    from airflow.sdk.exceptions import AirflowSkipException

    from tandem import clock, database
    from tandem.settings import settings

    own = settings()
    with database.connect(own, database.READER) as connection:
        ((installed_at,),) = connection.execute(database.queries("orchestration").installed_at).fetchall()
    if clock.day_bounds(day, own.zone)[1] <= installed_at:
        raise AirflowSkipException(
            f"Tandem was installed at {installed_at}, after {day} had ended: backfill it if need be"
        )


def holder_of(context: dict[str, Any]) -> str:
    """The name under which a run claims its dates."""
    from tandem import claims

    return claims.airflow_holder(context["ti"].dag_id, context["dag_run"].run_id)


def claim(context: dict[str, Any], dates: list[date]) -> bool:
    """Claim the dates for a run; False while it must wait for another run. A date that has not ended fails for good."""
    from tandem import business_date, claims, database
    from tandem.errors import TandemError
    from tandem.settings import settings

    refuse_unknown(context)
    own = settings()
    try:
        business_date.require_ended(max(dates), now=datetime.now(UTC), zone=own.zone)
    except TandemError as problem:
        raise final(problem) from problem
    with database.connect(own, database.BATCH, autocommit=True) as connection:
        standing = claims.take(connection, dates, holder_of(context), is_over=lambda other: _is_over(context, other))
    for other in standing:
        print(f"waiting: {other}")
    return not standing


def _is_over(context: dict[str, Any], holder: str) -> bool:
    """Whether a run that holds a claim has ended, or was deleted, without giving it up."""
    from tandem import claims

    run = claims.airflow_run(holder)
    return bool(run) and not context["ti"].get_dr_count(run[0], run_ids=[run[1]], states=["queued", "running"])


def release(context: dict[str, Any]) -> None:
    """Give up the dates of a run."""
    from tandem import claims, database
    from tandem.settings import settings

    with database.connect(settings(), database.BATCH, autocommit=True) as connection:
        claims.release(connection, holder_of(context))


def note_end(context: dict[str, Any]) -> None:
    """Note how a run of a backfill ended, and send the mail for all of them where it is the last.

    Nothing is noted where a later run has done the date: it was told of how this one ended, or of that one.
    """
    from reconciliation import ends
    from spark_jobs import publish
    from tandem.settings import settings

    run, ti = context["dag_run"], context["ti"]
    if run.run_type == "backfill":
        failed, _ = _not_done(context)
        day, compared = date_of_run(context), ti.xcom_pull(task_ids="reconcile")
        batch_run = ti.xcom_pull(task_ids="cut")
        if failed != "publish" or not publish.is_overtaken(settings(), batch_run, day):
            ends.note(settings(), ends.End(run.run_id, day, compared, failed))
    send_summary(context)


def show_failure(context: dict[str, Any], *, skip_themselves: Collection[str] = ()) -> None:
    """Fail where a task failed, or somebody marked the run by hand: the state of a run is that of its last task.

    A task that failed has told of itself. Of a run that is marked, as failed or as a success, Airflow ends what is at
    work so and skips what has not begun, and nobody is told. ``skip_themselves``: tasks that find that there is nothing
    to do.
    """
    names, marked = _not_done(context, skip_themselves)
    again = "clear that and everything after it"
    if marked:
        raise final(f"{names} did not go through, as the run was marked by hand: {again}")
    if names:
        raise final(f"{names} did not go through: {again}") from ToldError(names)


def _not_done(context: dict[str, Any], skip_themselves: Collection[str] = ()) -> tuple[str, bool]:
    """The tasks before this one that did not go through, '' where all did; and whether somebody marked the run."""
    ti, tasks, run_id = context["ti"], context["dag"].task_dict, context["dag_run"].run_id
    states = ti.get_task_states(ti.dag_id, run_ids=[run_id]).get(run_id, {})
    skipped = {task for task, state in states.items() if state == "skipped"}
    # What began to be skipped, not what follows.
    first = {task for task in skipped if not skipped & tasks[task].upstream_task_ids} - set(skip_themselves)
    failed = {task for task, state in states.items() if state == "failed"} - {ti.task_id}
    behind = {task for task, state in states.items() if state == "upstream_failed"}
    return ", ".join(sorted(failed or first or behind)), bool(first)


def send_summary(context: dict[str, Any]) -> None:
    """Send the one mail about the runs of a backfill, unless more of them are to come."""
    from reconciliation import ends
    from tandem.settings import settings

    def others(noted: Any) -> int:
        """Nightly runs that wait or run, without this one and those that have noted their end."""
        count, states = context["ti"].get_dr_count, ["queued", "running"]
        done = {*noted, context["dag_run"].run_id}
        return count("nightly", states=states) - count("nightly", run_ids=sorted(done), states=states)

    ends.send_if_last(settings(), others)


def warn_if_unpublished(context: dict[str, Any]) -> str:
    """Mail once where the day before is not published though its nightly run should be through."""
    from reconciliation import mail
    from tandem import claims, clock, database
    from tandem.settings import settings

    own, day = settings(), date_of_run(context)
    skip_if_before_installation(day)
    named = database.queries("orchestration")
    with database.connect(own, database.RECONCILIATION) as connection:
        if connection.execute(named.is_published, {"business_date": day}).fetchone()[0]:
            return f"{day} is published"
    begins = clock.day_bounds(day, own.zone)[0]
    waits = context["ti"].get_dr_count("nightly", logical_dates=[begins], states=["queued", "running"])
    with database.connect(own, database.BATCH) as connection:
        # Of this date: a backfill of others may be running for days. A run that is over may have left its claim.
        held = [one for one in claims.present(connection) if one.business_date == day]
    at_work = any(not _is_over(context, one.holder) for one in held)
    mail.send_overdue(own, day, still_running=at_work or bool(waits))
    return f"{day} is not published"
