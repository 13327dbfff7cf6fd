"""The nightly run's Spark tasks: what nothing is left of is not submitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

from spark_jobs import done

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag


class Instance:
    """As a task sees its own instance."""

    def xcom_pull(self, task_ids: str) -> str:
        assert task_ids == "cut"
        return "2017-12-23.run"


@pytest.mark.parametrize("why", ["", "staged by the application that wrote the facts of run 2017-12-23.run"])
def test_a_job_is_submitted_unless_it_is_done_and_then_says_why(
    dagbag: DagBag, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], why: str
) -> None:
    asked, submitted = [], []
    task = dagbag.dags["nightly"].get_task("rfm")
    monkeypatch.setattr(done, "why", lambda _, run_id, job: asked.append((run_id, job)) or why)
    monkeypatch.setattr(SparkSubmitOperator, "execute", lambda self, _: submitted.append(self.task_id))
    type(task).execute.__wrapped__(task, {"ti": Instance()})  # without Airflow's guard against calls by hand
    assert asked == [("2017-12-23.run", "rfm")]
    assert submitted == ([] if why else ["rfm"])
    assert capsys.readouterr().out.strip() == why
