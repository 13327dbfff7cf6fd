"""What people do to a run by hand: what they give it, and how they end it. Airflow's context is as a task has it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from tandem.settings import Settings
from tests.reconciliation.books import execute

_MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(scope="module")
def tandem_dags() -> ModuleType:
    from airflow.plugins_manager import ensure_plugins_loaded

    ensure_plugins_loaded()
    import tandem_dags

    return tandem_dags


def given(conf: dict[str, Any] | None) -> dict[str, Any]:
    run = SimpleNamespace(
        conf=conf,
        data_interval_start=None,
        data_interval_end=None,
        run_after=_MIDNIGHT,
        partition_key=None,
        run_type="manual",
    )
    return {"dag_run": run, "dag": SimpleNamespace(params={"date": None}), "params": {"date": None, **(conf or {})}}


def test_a_run_is_for_the_date_that_it_was_given(tandem_dags: ModuleType) -> None:
    assert tandem_dags.date_of_run(given({"date": "2017-12-23"})) == date(2017, 12, 23)
    assert tandem_dags.date_of_run(given(None)) == tandem_dags.date_of_run(given({})) == date(2026, 11, 21)


def test_a_misspelt_date_is_refused_and_not_taken_for_none(tandem_dags: ModuleType) -> None:
    with pytest.raises(AirflowFailException, match="was given 'dat', which it does not know: give 'date'"):
        tandem_dags.date_of_run(given({"dat": "2017-12-23"}))


BEHIND = {"claim": [], "cut": ["claim"], "rfm": ["cut"], "report": ["rfm"], "finish": ["claim", "rfm", "report"]}
"""A run in small: what comes behind what."""


def ending(states: dict[str, str | None]) -> dict[str, Any]:
    tasks = {name: SimpleNamespace(upstream_task_ids=set(before)) for name, before in BEHIND.items()}
    told = {**states, "finish": "running"}
    ti = SimpleNamespace(dag_id="nightly", task_id="finish", get_task_states=lambda _, run_ids: {run_ids[0]: told})
    dag = SimpleNamespace(task_dict=tasks)
    return {
        "ti": ti,
        "dag": dag,
        "dag_run": SimpleNamespace(run_id="by hand", run_type="manual"),
    }


@pytest.mark.parametrize(
    ("states", "named"),
    [
        ({"claim": "success", "cut": "failed", "rfm": "skipped", "report": "skipped"}, "cut"),
        ({"claim": "success", "cut": "success", "rfm": "skipped", "report": "skipped"}, "rfm"),
        ({"claim": "success", "cut": "skipped", "rfm": "success", "report": "success"}, "cut"),
    ],
    ids=["a task was at work", "between two tasks", "while a cleared task waited to be tried again"],
)
def test_a_run_that_was_marked_as_failed_does_not_end_as_a_success(
    tandem_dags: ModuleType, states: dict[str, str | None], named: str
) -> None:
    with pytest.raises(AirflowFailException, match=f"^{named} did not go through, as the run was marked as failed"):
        tandem_dags.show_failure(ending(states))


@pytest.mark.parametrize(
    ("states", "named"),
    [
        ({"claim": "success", "cut": "failed", "rfm": "upstream_failed", "report": "upstream_failed"}, "cut"),
        ({"claim": "success", "cut": "success", "rfm": "success", "report": "failed"}, "report"),
        ({"claim": "success", "cut": "failed", "rfm": "success", "report": "success"}, "cut"),
        ({"claim": "success", "cut": "success", "rfm": "upstream_failed", "report": "upstream_failed"}, "report, rfm"),
    ],
    ids=["with all that follows", "the last but one", "cleared alone", "cleared without what follows"],
)
def test_a_run_of_which_a_task_failed_ends_as_failed_and_its_end_tells_nobody_again(
    tandem_dags: ModuleType, clean_database: Settings, states: dict[str, str | None], named: str
) -> None:
    """Airflow looks at the last task alone, where that may fail the run. The other has told of itself."""
    context = ending(states)
    with pytest.raises(AirflowFailException, match=f"^{named} did not go through: clear that and") as shown:
        tandem_dags.show_failure(context)
    tandem_dags.tell({**context, "exception": shown.value})
    assert execute(clean_database, "SELECT name FROM reconciliation.incidents") == []


def test_where_nothing_failed_the_end_is_as_it_was(tandem_dags: ModuleType) -> None:
    tandem_dags.show_failure(ending(dict.fromkeys(BEHIND, "success")))


def test_a_run_that_finds_nothing_to_do_has_not_failed(tandem_dags: ModuleType) -> None:
    idle = {"claim": "success", "cut": "skipped", "rfm": "skipped", "report": "skipped"}
    tandem_dags.show_failure(ending(idle), skip_themselves=["cut"])


@pytest.mark.integration
def test_a_publication_that_is_refused_is_not_tried_again(dagbag: Any, clean_database: Settings) -> None:
    publish = dagbag.dags["nightly"].task_dict["publish"].python_callable
    context = {"dag_run": SimpleNamespace(run_id="by hand")}
    with pytest.raises(AirflowFailException, match="there is no run none of 2017-12-23"):
        publish(batch_run="none", business_date="2017-12-23", **context)


def test_a_claim_that_failed_before_it_had_a_date_is_over_with_the_next_that_goes_through(
    tandem_dags: ModuleType, clean_database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left open, the same failure in another night would be mailed to nobody."""
    monkeypatch.setattr("tandem.settings.settings", lambda: clean_database)
    run = SimpleNamespace(run_id="by hand", run_type="manual")
    for had in (None, ["2017-12-22", "2017-12-23"], "2017-12-23"):
        told = {"dag_id": "nightly", "task_id": "claim", "log_url": "", "xcom_pull": lambda task_ids, had=had: had}
        context = {"ti": SimpleNamespace(**told), "dag_run": run, "exception": AirflowFailException("has not ended")}
        if had is None:
            tandem_dags.tell(context)
            assert execute(clean_database, "SELECT count(*) FROM reconciliation.incidents") == [(1,)]
        else:
            tandem_dags.tell_recovery(context)
    assert execute(clean_database, "SELECT count(*) FROM reconciliation.incidents WHERE resolved_at IS NULL") == [(0,)]
