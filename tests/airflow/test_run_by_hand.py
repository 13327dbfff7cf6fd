"""What people do to a run by hand: what they give it, and how they end it. Airflow's context is as a task has it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

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


def ending(**states: str | None) -> dict[str, Any]:
    """As ``finish`` of the nightly run has it, behind its last tasks."""
    ti = SimpleNamespace(dag_id="nightly", task_id="finish", get_task_states=lambda _, run_ids: {run_ids[0]: states})
    task = SimpleNamespace(upstream_task_ids={"claim", "rfm", "report"})
    return {"ti": ti, "task": task, "dag_run": SimpleNamespace(run_id="by hand")}


def test_a_run_that_was_marked_as_failed_does_not_end_as_a_success(tandem_dags: ModuleType) -> None:
    marked = {"claim": "success", "cut": "failed", "rfm": "skipped", "report": "skipped", "finish": "running"}
    with pytest.raises(AirflowFailException, match="cut failed, and what follows was skipped"):
        tandem_dags.show_failure(ending(**marked))


@pytest.mark.parametrize(
    "states",
    [
        {"claim": "success", "cut": "success", "rfm": "success", "report": "success"},
        {"claim": "success", "cut": "failed", "rfm": "upstream_failed", "report": "upstream_failed"},
        {"claim": "success", "cut": "success", "rfm": "success", "report": "failed"},
        {"claim": "success", "cut": "success", "rfm": "skipped", "report": "success"},
    ],
)
def test_where_another_task_tells_or_nothing_failed_the_end_is_as_it_was(
    tandem_dags: ModuleType, states: dict[str, str]
) -> None:
    tandem_dags.show_failure(ending(**states, finish="running"))
