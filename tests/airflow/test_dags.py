"""Policies that every DAG keeps, and the page that is made from their documentation."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import dag_docs
import pytest
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

from tandem.local.airflow import SPARK_POOL
from tandem.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import DAG

IDS = ("archive_upkeep", "nightly", "quarantine", "recompute", "restate", "watchdog", "weekly")
HOLD_NO_DATE = {"archive_upkeep", "quarantine", "watchdog", "weekly"}


@pytest.fixture(params=IDS)
def dag(dagbag: DagBag, request: pytest.FixtureRequest) -> DAG:
    return dagbag.dags[request.param]


def test_every_dag_file_loads_and_no_dag_is_missing_from_these_tests(dagbag: DagBag) -> None:
    assert dagbag.import_errors == {}
    assert sorted(dagbag.dags) == sorted(IDS)


def test_no_dag_has_a_cycle(dag: DAG) -> None:
    dag.check_cycle()


def test_every_dag_has_tags_docs_and_nothing_to_catch_up(dag: DAG) -> None:
    assert "tandem" in dag.tags
    assert dag.doc_md.startswith("### ")
    assert not dag.catchup
    assert dag.max_active_runs == 1


def test_every_task_has_an_owner_docs_retries_and_a_time_limit(dag: DAG) -> None:
    for task in dag.tasks:
        assert task.owner == "tandem", task.task_id
        assert (task.doc_md or "").strip(), task.task_id
        assert task.retries >= 1, task.task_id
        assert task.retry_delay.total_seconds() > 0, task.task_id
        assert task.execution_timeout is not None, task.task_id


def test_every_task_that_fails_for_good_says_so_by_mail(dag: DAG) -> None:
    told_already = {("recompute", "judge"), ("restate", "judge")}
    for task in dag.tasks:
        callbacks = [] if (dag.dag_id, task.task_id) in told_already else ["tell"]
        assert [callback.__name__ for callback in task.on_failure_callback] == callbacks, task.task_id


def test_every_task_that_goes_through_ends_what_was_mailed_of_it(dag: DAG) -> None:
    for task in dag.tasks:
        assert [callback.__name__ for callback in task.on_success_callback] == ["tell_recovery"], task.task_id


def test_spark_applications_wait_for_each_other_in_the_pool(dag: DAG) -> None:
    for task in dag.tasks:
        wanted = SPARK_POOL if isinstance(task, SparkSubmitOperator) else "default_pool"
        assert task.pool == wanted, task.task_id


def test_the_date_is_given_up_whatever_becomes_of_the_run(dag: DAG) -> None:
    setups, teardowns = ([t.task_id for t in dag.tasks if getattr(t, kind)] for kind in ("is_setup", "is_teardown"))
    assert (setups, teardowns) == (([], []) if dag.dag_id in HOLD_NO_DATE else (["claim"], ["finish"]))
    if teardowns:
        work = {t.task_id for t in dag.tasks} - {"claim", "finish"}
        assert {t.task_id for t in dag.get_task("finish").get_flat_relatives(upstream=True)} >= work
        assert dag.get_task("finish").on_failure_fail_dagrun


def test_the_nightly_run_does_its_work_in_this_order(dagbag: DagBag) -> None:
    nightly = dagbag.dags["nightly"]
    chain = ["cut", "archive", "order_facts", "gate", "rfm", "publish", "reconcile", "correct", "report", "finish"]
    for before, after in pairwise(chain):
        assert after in nightly.get_task(before).downstream_task_ids, f"{before} >> {after}"
    views = nightly.get_task("gate").downstream_task_ids
    assert views == {"daily_metrics", "rfm", "product_rankings"}


def test_the_run_id_reaches_spark_by_xcom_and_never_by_the_clock(dagbag: DagBag) -> None:
    for name in ("order_facts", "daily_metrics", "rfm", "product_rankings"):
        arguments = dagbag.dags["nightly"].get_task(name).application_args
        assert arguments == [
            "--date",
            "{{ ti.xcom_pull(task_ids='claim') }}",
            "--run-id",
            "{{ ti.xcom_pull(task_ids='cut') }}",
            *(["--ahead"] if name == "order_facts" else []),
        ]


@pytest.mark.parametrize(
    ("dag_id", "task_id", "name"),
    [
        ("nightly", "gate", "Gate results"),
        ("recompute", "publish", "Gate results"),
        ("restate", "publish", "Gate results"),
        *((dag_id, "report", "Report") for dag_id in ("nightly", "recompute", "restate")),
    ],
)
def test_a_task_s_page_leads_to_the_page_that_it_made(dagbag: DagBag, dag_id: str, task_id: str, name: str) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    seen = DagSerialization.from_dict(DagSerialization.to_dict(dagbag.dags[dag_id])).get_task(task_id)
    assert [link.name for link in seen.operator_extra_links] == [name]


def test_what_one_task_makes_the_next_layer_waits_for(dagbag: DagBag) -> None:
    """The same chain in every DAG that computes dates; only the report is read by nobody but people."""
    chain = ["master_dataset", "order_facts", "batch_views", "reconciliation", "corrections", "report"]
    for dag_id in ("nightly", "recompute", "restate"):
        tasks = dagbag.dags[dag_id].tasks
        made, read = ({one.name for task in tasks for one in getattr(task, way)} for way in ("outlets", "inlets"))
        assert (made, read) == (set(chain), set(chain) - {"report"}), dag_id


def test_reading_the_dags_imports_no_layer_and_no_engine() -> None:
    code = """
import sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
assert len(bag.dags) == int(sys.argv[2]), bag.import_errors
heavy = {"stream", "spark_jobs", "reconciliation", "pyspark", "polars", "duckdb", "deltalake", "pandas"}
print(sorted(heavy & sys.modules.keys()))
"""
    argv = [sys.executable, "-c", code, str(PROJECT_ROOT / "dags"), str(len(IDS))]
    read = subprocess.run(argv, capture_output=True, text=True, cwd=PROJECT_ROOT, check=True)
    assert read.stdout.splitlines()[-1] == "[]"


def test_the_page_about_the_dags_says_what_their_docstrings_say(dagbag: DagBag) -> None:
    page = dag_docs.page(list(dagbag.dags.values()))
    if os.environ.get("TANDEM_REGENERATE"):
        dag_docs.PAGE.write_text(page, encoding="utf-8")
    assert dag_docs.PAGE.read_text(encoding="utf-8") == page, (
        "docs/dags.md is behind; TANDEM_REGENERATE=1 .venv/bin/pytest tests/airflow/test_dags.py"
    )
