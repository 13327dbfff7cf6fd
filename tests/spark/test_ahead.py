"""Views staged by the application that wrote the facts, what their own tasks find, and what of a run stays for good."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import gates
import pytest
from log import Log, archived_in, order
from pyspark.sql import SparkSession

from spark_jobs import ahead, done, gate, job, order_facts, publish, runs, staging
from tandem import database
from tandem.errors import TandemError
from tandem.settings import Settings

pytestmark = pytest.mark.integration

DAY = date(2017, 12, 23)


def opened(own: Settings, spark: SparkSession | None = None) -> job.Job:
    run = runs.open_run(own, runs.new_run_id(DAY, datetime.now(UTC)), DAY)
    return job.Job("order_facts", spark, own, (run,))


@pytest.fixture
def asked(clean_database: Settings, monkeypatch: pytest.MonkeyPatch) -> job.Job:
    """A job whose views are staged without Spark: complete, though of no rows."""
    for view in publish.VIEWS:
        monkeypatch.setitem(ahead.STAGES, view, lambda asked, view=view: without_rows(asked, view))
    return opened(clean_database)


def without_rows(asked: job.Job, view: str) -> None:
    for table in publish.TABLES[view]:
        staging.begin(asked.settings, table, asked.runs)
        staging.finish(asked.settings, table, asked.runs)


def found(asked: job.Job) -> list[bool]:
    """Of each view, whether its own task finds it done."""
    return [bool(done.why(asked.settings, asked.runs[0].run_id, view)) for view in publish.VIEWS]


def published(asked: job.Job) -> dict[str, int]:
    gates.passes(asked.settings, asked.runs[0].run_id)
    return publish.publish(asked.settings, asked.runs[0].run_id, DAY, published_by="test")


@pytest.mark.spark
def test_the_application_that_writes_the_facts_stages_all_views_for_publication(
    clean_database: Settings, spark: SparkSession, tmp_path: Path
) -> None:
    own = archived_in(clean_database, tmp_path)
    log = Log()
    log.add(order(1, f"{DAY}T10:00:00Z"))
    log.add(order(2, f"{DAY}T11:00:00Z"))
    log.archive(own)
    asked = opened(own, spark)
    order_facts.compute(asked)
    ahead.stage(asked)
    gate.check(own, asked.runs[0].run_id, DAY)
    assert found(asked) == [True, True, True]
    assert published(asked) == {"daily_metrics": 1, "rfm": 1, "product_rankings": 1}
    with database.connect(own, database.READER) as connection:
        orders = "SELECT order_count FROM serving.batch_daily WHERE business_date = %s"
        assert connection.execute(orders, [DAY]).fetchall() == [(2,)]


def test_a_view_is_found_once_only_since_who_clears_its_task_wants_it_done_again(asked: job.Job) -> None:
    ahead.stage(asked)
    assert found(asked) == [True, True, True]
    assert found(asked) == [False, False, False]


@pytest.mark.parametrize(
    ("problem", "said"),
    [(TandemError("the grid has a hole", "close it"), "the grid has a hole"), (MemoryError(), "MemoryError")],
)
def test_a_view_that_fails_is_left_to_its_own_task_and_the_others_are_staged(
    asked: job.Job,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    problem: Exception,
    said: str,
) -> None:
    def fails(_: job.Job) -> None:
        raise problem

    monkeypatch.setitem(ahead.STAGES, "rfm", fails)
    ahead.stage(asked)
    assert f"rfm is left to its own task: {said}" in capfd.readouterr().err
    assert found(asked) == [True, False, True]
    with pytest.raises(TandemError, match="no complete rows in rfm"):
        published(asked)


def test_where_spark_was_ended_the_retry_leaves_that_view_and_those_after_it_to_their_own_tasks(
    asked: job.Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def ends_the_process(_: job.Job) -> None:
        begun.append("rfm")
        raise KeyboardInterrupt

    monkeypatch.setitem(ahead.STAGES, "rfm", ends_the_process)
    with pytest.raises(KeyboardInterrupt):
        ahead.stage(asked)
    staging.forget_views(asked.settings, asked.runs)  # as order_facts does before it writes
    ahead.stage(asked)
    assert begun == ["rfm"]
    assert found(asked) == [True, False, False]


def test_what_was_staged_of_facts_that_are_written_anew_counts_no_more(asked: job.Job) -> None:
    ahead.stage(asked)
    staging.forget_views(asked.settings, asked.runs)
    assert found(asked) == [False, False, False]
    with pytest.raises(TandemError, match="no complete rows in daily_metrics"):
        published(asked)


def test_a_view_whose_rows_were_pruned_meanwhile_is_computed(asked: job.Job) -> None:
    ahead.stage(asked)
    with database.connect(asked.settings, database.BATCH) as connection:
        values = {"run_ids": [asked.runs[0].run_id], "table": "rfm"}
        connection.execute(database.queries("batch").forget_staged, values)
    assert found(asked) == [True, False, True]


@pytest.mark.spark
def test_the_flag_has_both_done_in_one_application(
    asked: job.Job, monkeypatch: pytest.MonkeyPatch, spark: SparkSession
) -> None:
    steps: list[str] = []
    argv = ["order_facts.py", "--date", str(DAY), "--run-id", asked.runs[0].run_id]
    monkeypatch.setattr(job, "settings", lambda: asked.settings)
    monkeypatch.setattr(spark, "stop", lambda: steps.append("Spark ends"))
    for flags in ([], ["--ahead"]):
        monkeypatch.setattr("sys.argv", [*argv, *flags])
        job.main(
            "order_facts",
            lambda _: steps.append("facts"),
            writes_facts=True,
            ahead=lambda _: steps.append("views"),
        )
    assert steps == ["facts", "Spark ends", "facts", "views", "Spark ends"]


def test_nothing_is_staged_ahead_for_a_run_that_nobody_could_name() -> None:
    with pytest.raises(TandemError, match="--ahead needs runs"):
        job.parse("order_facts", ["--date", str(DAY), "--ahead"], may_go_ahead=True)


def test_rows_of_a_run_that_was_published_while_a_job_got_under_way_are_not_deleted(asked: job.Job) -> None:
    ahead.stage(asked)
    published(asked)
    with pytest.raises(TandemError, match="was published and stays as it is"):
        staging.begin(asked.settings, "rfm", asked.runs)


@pytest.mark.parametrize("name", ["order_facts", *publish.VIEWS])
def test_no_job_touches_what_its_run_has_published(
    asked: job.Job, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    """As when somebody clears a task of a run that is through: readers would see its rows go until they are back."""
    ahead.stage(asked)
    published(asked)
    monkeypatch.setattr("sys.argv", [f"{name}.py", "--date", str(DAY), "--run-id", asked.runs[0].run_id])
    monkeypatch.setattr(job, "settings", lambda: asked.settings)
    own = () if name == "order_facts" else (name,)
    job.main(name, lambda _: pytest.fail("it computed"), views=own, writes_facts=not own)
    assert "version 1) and stays as it is" in capfd.readouterr().err
