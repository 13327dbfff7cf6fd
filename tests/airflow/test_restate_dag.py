"""`restate` in the real Airflow: one late order of an older date, and that date is restated and compared again."""

from __future__ import annotations

import json
import shutil
import time as clock
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
import shop
from airflow_api import RealAirflow, ask, wait_for
from installations import tandem

from stream.archive import next_offsets
from tandem import database, pages
from tandem.settings import PROJECT_ROOT, Settings

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.spark,
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(2400),
]

RUNS = "/api/v2/dags/restate/dagRuns"
DAYS = [date(2017, 12, 20) + timedelta(days=n) for n in range(3)]
OLDER = DAYS[1]
ENDED = ("success", "failed", "skipped")


@pytest.fixture(scope="module")
def running(quiet_airflow: RealAirflow) -> Settings:
    shutil.copy(PROJECT_ROOT / "dags" / "restate.py", quiet_airflow.dags)
    done = tandem(quiet_airflow.settings, "up", "speed", "archiver")
    assert done.returncode == 0, done.stderr
    return quiet_airflow.settings


def sell(own: Settings, days: list[date], first: int) -> None:
    """An order of each day, in one partition, so that one of an older day is late; archived when this returns."""
    moments = [datetime.combine(day, time(12), UTC) for day in days]
    shop.Shop(own).send([shop.order(first + n, at) for n, at in enumerate(moments)], partition=0)
    wait_for(lambda: next_offsets(own) == shop.ends(own), "the orders in the archive")


def rows(own: Settings, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    with database.connect(own, database.READER) as reader:
        return reader.execute(query, parameters).fetchall()


def versions(own: Settings, view: str) -> dict[date, list[tuple[int, str]]]:
    found: dict[date, list[tuple[int, str]]] = {}
    query = "SELECT business_date, version, why FROM serving.history WHERE view = %s ORDER BY 1, 2"
    for day, version, why in rows(own, query, view):
        found.setdefault(day, []).append((version, why))
    return found


@pytest.fixture(scope="module")
def restated(running: Settings) -> Settings:
    """Three dates that are published, of which one got a late order that a run has found."""
    sell(running, [day for day in DAYS for _ in range(4)], 0)
    done = tandem(running, "batch", "--from", str(DAYS[0]), "--to", str(DAYS[-1]), "--json", TANDEM_CUT_TIMEOUT="PT0S")
    assert done.returncode == 0, done.stderr
    assert [set(each["published"].values()) for each in json.loads(done.stdout)] == [{1}, {1}, {1}]
    # The run that the schedule brought when the DAG was first seen must not find the late order before ours does.
    wait_for(lambda: not ask(running, f"{RUNS}?state=running&state=queued")["dag_runs"], "the scheduled run's end")
    sell(running, [OLDER], 100)
    ask(running, RUNS, {"dag_run_id": "late", "logical_date": None})
    wait_for(lambda: state_of(running, "late") in ENDED, "the end of the run")
    return running


def state_of(own: Settings, run: str) -> str:
    state: str = ask(own, f"{RUNS}/{run}")["state"]
    return state


def tasks_of(own: Settings, run: str) -> dict[str, str | None]:
    return {one["task_id"]: one["state"] for one in ask(own, f"{RUNS}/{run}/taskInstances")["task_instances"]}


def test_a_late_order_of_an_older_date_restates_and_compares_that_date_and_nothing_else(restated: Settings) -> None:
    assert state_of(restated, "late") == "success", tasks_of(restated, "late")

    (link,) = ask(restated, f"{RUNS}/late/taskInstances/publish/links")["extra_links"].values()
    ((run_id,),) = rows(restated, "SELECT run_id FROM batch.runs WHERE kind = 'late_data'")
    assert link == pages.address(restated, pages.Kind.GATES, run_id)
    assert pages.file(restated, pages.Kind.GATES, run_id).exists()
    (link,) = ask(restated, f"{RUNS}/late/taskInstances/report/links")["extra_links"].values()
    assert link == pages.address(restated, pages.Kind.REPORT, str(OLDER))
    assert "<html" in pages.file(restated, pages.Kind.REPORT, str(OLDER)).read_text()

    once = {day: [(1, "recompute")] for day in DAYS}
    again = {OLDER: [(1, "recompute"), (2, "late_data")]}
    followed = {DAYS[-1]: [(1, "recompute"), (2, "dependent")]}
    assert versions(restated, "daily_metrics") == once | again
    assert versions(restated, "product_rankings") == once | again | followed
    assert versions(restated, "rfm") == once | again | followed
    assert rows(restated, "SELECT order_count FROM serving.daily WHERE business_date = %s", OLDER) == [(5,)]
    compared = rows(restated, "SELECT DISTINCT business_date FROM reconciliation.reconciliations")
    assert compared == [(OLDER,)]
    assert rows(restated, "SELECT * FROM batch.claims") == []

    seen = ask(restated, "/api/v2/assets/events?source_dag_id=restate")["asset_events"]
    noted = {one["name"]: one["extra"] for one in seen if one["source_task_id"] in ("publish", "reconcile")}
    assert noted["batch_views"] == noted["reconciliation"] == {"business_dates": [str(OLDER)]}


def test_a_task_that_somebody_clears_is_done_again_though_no_date_is_due_any_more(restated: Settings) -> None:
    """As the mail about a task that failed says. Its run's dates were published, so they are not due."""
    query = "SELECT count(*) FROM reconciliation.reconciliations WHERE business_date = %s"
    before, kept = rows(restated, query, OLDER), versions(restated, "daily_metrics")
    cleared = {"dag_run_id": "late", "task_ids": ["reconcile"], "include_downstream": True, "only_failed": False}
    ask(restated, "/api/v2/dags/restate/clearTaskInstances", {**cleared, "dry_run": False})
    wait_for(lambda: state_of(restated, "late") in ENDED, "the end of the run that was cleared")
    done = tasks_of(restated, "late")
    assert {task: done[task] for task in ("claim", "reconcile", "report", "judge", "finish")} == dict.fromkeys(
        ("claim", "reconcile", "report", "judge", "finish"), "success"
    )
    assert rows(restated, query, OLDER) == [(before[0][0] + 1,)]
    assert versions(restated, "daily_metrics") == kept
    assert rows(restated, "SELECT * FROM batch.claims") == []


def test_a_run_with_nothing_to_do_is_a_success_and_one_that_was_marked_as_failed_is_none(restated: Settings) -> None:
    """Marked between two tasks, when none is at work: Airflow skips the rest, and skipped tasks fail no run."""
    ask(restated, RUNS, {"dag_run_id": "idle", "logical_date": None})
    wait_for(lambda: state_of(restated, "idle") in ENDED, "the end of the idle run")
    assert (state_of(restated, "idle"), tasks_of(restated, "idle")["prepare"]) == ("success", "skipped")

    sell(restated, [OLDER], 200)
    before = versions(restated, "daily_metrics")
    pool = {"pool": "spark", "slots": 0, "description": "", "include_deferred": False}
    ask(restated, "/api/v2/pools/spark", pool, "PATCH")
    ask(restated, RUNS, {"dag_run_id": "marked", "logical_date": None})
    wait_for(lambda: tasks_of(restated, "marked")["prepare"] == "success", "the run to wait for Spark")
    ask(restated, f"{RUNS}/marked", {"state": "failed"}, "PATCH")
    wait_for(lambda: tasks_of(restated, "marked")["finish"] in ENDED, "the end of the last task")
    ask(restated, "/api/v2/pools/spark", pool | {"slots": 1}, "PATCH")
    clock.sleep(5)  # the scheduler looks every second what has become of the run
    assert (state_of(restated, "marked"), tasks_of(restated, "marked")["finish"]) == ("failed", "failed")
    assert versions(restated, "daily_metrics") == before
    assert rows(restated, "SELECT * FROM batch.claims") == []
