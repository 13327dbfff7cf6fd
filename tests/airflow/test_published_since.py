"""Tasks of a run that a later one of its date has overtaken: nothing is published, and nothing tried again."""

from __future__ import annotations

import sys
from collections import defaultdict
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import gates
import pytest
from airflow.sdk.exceptions import AirflowFailException

from spark_jobs import publish, runs, staging
from tandem.settings import PROJECT_ROOT, Settings
from tests.reconciliation import books, loop
from tests.reconciliation.books import execute, insert
from tests.reconciliation.loop import OUTSIDE
from tests.reconciliation.scene import stage

pytestmark = pytest.mark.integration

DAY = date(2017, 12, 23)
NOW = datetime(2017, 12, 24, 2, tzinfo=UTC)


@pytest.fixture
def dags(monkeypatch: pytest.MonkeyPatch, clean_database: Settings) -> SimpleNamespace:
    """The modules of the DAGs, whose tasks work on the test's installation."""
    from airflow.plugins_manager import ensure_plugins_loaded

    ensure_plugins_loaded()
    monkeypatch.setattr("tandem.settings.settings", lambda: clean_database)
    monkeypatch.setattr(sys, "path", [str(PROJECT_ROOT / "dags"), *sys.path])
    import date_tasks
    import nightly
    import tandem_dags

    return SimpleNamespace(date_tasks=date_tasks, nightly=nightly, tandem_dags=tandem_dags)


@pytest.fixture
def overtaken(clean_database: Settings) -> runs.Run:
    """A run that was published and replaced by one that began later."""
    first, second = staged(clean_database), staged(clean_database)
    for run in (first, second):
        publish.publish(clean_database, run.run_id, DAY, published_by="test")
    return first


def staged(own: Settings) -> runs.Run:
    run = runs.open_run(own, runs.new_run_id(DAY, NOW), DAY, kind="manual")
    for table in (table for tables in publish.TABLES.values() for table in tables):
        staging.begin(own, table, (run,))
        staging.finish(own, table, (run,))
    gates.passes(own, run.run_id)
    return run


def context_of(task: str) -> dict[str, Any]:
    """As a task of the date's run has it."""
    return {
        "ti": SimpleNamespace(dag_id="nightly", task_id=task, log_url="", xcom_pull=lambda task_ids: str(DAY)),
        "dag_run": SimpleNamespace(run_id="by hand", run_type="manual"),
        "outlet_events": defaultdict(SimpleNamespace),
    }


def test_publishing_it_again_is_refused_in_one_line_and_nobody_is_told_of_a_failure(
    clean_database: Settings, dags: SimpleNamespace, overtaken: runs.Run
) -> None:
    context = context_of("publish")
    with pytest.raises(AirflowFailException, match="is older than version 2 of daily_metrics") as refused:
        dags.nightly.publish.function(overtaken.run_id, str(DAY), **context)
    dags.tandem_dags.tell({**context, "exception": refused.value})
    assert execute(clean_database, "SELECT name FROM reconciliation.incidents") == []
    assert execute(clean_database, "SELECT subject FROM reconciliation.mails") == []


def test_of_several_dates_one_that_a_later_run_has_done_is_no_problem(
    clean_database: Settings, dags: SimpleNamespace, overtaken: runs.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has a result, which the next task compares: the mail would say that it has none."""
    context = context_of("publish")
    arguments = ["--date", str(DAY), "--run-id", overtaken.run_id]
    assert dags.date_tasks.publish.function(arguments, **context) == {str(DAY): ""}
    assert "is older than version 2 of daily_metrics" in capsys.readouterr().out
    (made,) = context["outlet_events"].values()
    assert made.extra == {"business_dates": []}
    history = execute(clean_database, "SELECT max(version) FROM batch.versions")
    assert history == [(2,)]


def test_other_refusals_are_failures(clean_database: Settings, dags: SimpleNamespace) -> None:
    run = runs.open_run(clean_database, runs.new_run_id(DAY, NOW), DAY, kind="manual")
    context = context_of("publish")
    with pytest.raises(AirflowFailException, match="no gate has checked") as refused:
        dags.nightly.publish.function(run.run_id, str(DAY), **context)
    dags.tandem_dags.tell({**context, "exception": refused.value})
    ((name,),) = execute(clean_database, "SELECT name FROM reconciliation.incidents")
    assert name == f"failure:nightly:publish:{DAY}"


def test_corrections_of_a_comparison_that_is_out_of_date_are_not_tried_again(
    topic_prefix: Settings, clean_database: Settings, dags: SimpleNamespace
) -> None:
    stage(topic_prefix, OUTSIDE)
    compared = loop.run(topic_prefix, dry_run=True)
    insert(topic_prefix, "speed.rebuilds", since=books.DAY)
    with pytest.raises(AirflowFailException, match="out of date"):
        dags.nightly.correct.function(compared.reconciliation_id)


def test_the_end_of_a_backfills_run_is_not_told_again_because_its_publication_is_refused(
    clean_database: Settings, dags: SimpleNamespace, overtaken: runs.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mail would say that the date has no result."""
    monkeypatch.setattr(dags.tandem_dags, "date_of_run", lambda _: DAY)
    monkeypatch.setattr(dags.tandem_dags, "send_summary", lambda _: None)
    (newest,) = execute(clean_database, "SELECT run_id FROM batch.versions WHERE version = 2 AND view = 'rfm'")
    for run_id, noted in ((overtaken.run_id, []), (newest[0], [("publish",)])):
        ti = SimpleNamespace(
            dag_id="nightly",
            task_id="finish",
            get_task_states=lambda _, run_ids: {run_ids[0]: {"publish": "failed", "cut": "success"}},
            xcom_pull=lambda task_ids, run_id=run_id: run_id if task_ids == "cut" else None,
        )
        run = SimpleNamespace(run_id="of a backfill", run_type="backfill")
        dags.tandem_dags.note_end({"ti": ti, "dag": SimpleNamespace(task_dict={}), "dag_run": run})
        assert execute(clean_database, "SELECT failure FROM reconciliation.run_ends") == noted


def test_a_claim_of_restate_that_failed_is_over_with_one_that_finds_nothing_due(
    clean_database: Settings, dagbag: Any, dags: SimpleNamespace
) -> None:
    """It skips itself then, as in most nights, which Airflow does not call a success."""
    context = context_of("claim")
    dags.tandem_dags.tell({**context, "exception": AirflowFailException("Postgres is away")})
    still_open = "SELECT count(*) FROM reconciliation.incidents WHERE resolved_at IS NULL"
    assert execute(clean_database, still_open) == [(1,)]
    for callback in dagbag.dags["restate"].task_dict["claim"].on_skipped_callback:
        callback(context)
    assert execute(clean_database, still_open) == [(0,)]
