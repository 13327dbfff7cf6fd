"""Restatement history: what was said then, what is said now, and why; and what is kept of it."""

from __future__ import annotations

import getpass
import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import gates
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from typer.testing import CliRunner

from spark_jobs import history, job, publish, runs, staging
from tandem import cli, serving
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.settings import settings as settings_of_process
from tests.reconciliation.books import DAY, Order, at, execute, insert, publish_run, write_batch

pytestmark = pytest.mark.integration

MILK = Order("o1", 1_000, at(9, 5), "alice", "milk", "dairy", 2)
LATE = Order("o2", 501, at(9, 55), "bob", "bread", "bakery", 1)
LONG_AGO = timedelta(days=401)


@pytest.fixture
def shop(clean_database: Settings, tmp_path: Path) -> Settings:
    return clean_database.model_copy(update={"order_facts_uri": str(tmp_path / "order_facts")})


def published(settings: Settings, orders: list[Order], run_id: str, kind: str, **run: Any) -> None:
    write_batch(settings, orders, run_id, publish=False)
    facts = {"reason": "", "requested_by": "", "cut": '{"0": 7, "1": 5}', **run}
    execute(
        settings,
        "UPDATE batch.runs SET kind = %(kind)s, reason = %(reason)s, requested_by = %(requested_by)s,"
        " cut = %(cut)s WHERE run_id = %(run_id)s",
        {"kind": kind, "run_id": run_id, **facts},
    )
    publish_run(settings, run_id)


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, ["history", *arguments])


def test_a_restated_date_shows_both_figures_what_changed_and_why(shop: Settings) -> None:
    published(shop, [MILK], "r1", runs.Kind.SCHEDULED)
    published(shop, [MILK, LATE], "r2", runs.Kind.RECOMPUTE, reason="bread came late", requested_by="ann")
    then, now = history.of_date(shop, DAY)
    assert (then.version, then.why, then.metrics["revenue_cents"], then.changes) == (1, "scheduled", 1_000, {})
    assert then.superseded_at <= now.published_at
    assert (now.version, now.why, now.reason, now.requested_by) == (2, "recompute", "bread came late", "ann")
    assert now.superseded_at is None
    assert now.cut == {"0": 7, "1": 5}
    assert now.changes == {
        "order_count": (1, 2),
        "revenue_cents": (1_000, 1_501),
        "net_revenue_cents": (1_000, 1_501),
        "avg_order_value_cents": (1_000, 751),
        "unique_customers": (1, 2),
        "units": (2, 3),
    }


def test_the_command_tells_people_and_programs_the_same(shop: Settings) -> None:
    published(shop, [MILK], "r1", runs.Kind.SCHEDULED)
    published(shop, [MILK, LATE], "r2", runs.Kind.BACKFILL, requested_by="ann")
    text = invoke("--date", str(DAY)).stdout
    assert "daily_metrics version 2" in text
    assert "is said now" in text
    assert "backfill, by ann" in text
    assert "$10.00 ->           $15.01  +$5.01" in text
    document = json.loads(invoke("--date", str(DAY), "--json").stdout)
    assert document["business_date"] == str(DAY)
    assert [version["metrics"]["revenue_cents"] for version in document["versions"]] == [1_000, 1_501]
    assert document["versions"][1]["changes"]["revenue_cents"] == [1_000, 1_501]


def test_a_date_of_which_nothing_was_ever_said_has_no_versions(shop: Settings) -> None:
    assert history.of_date(shop, date(2031, 1, 1)) == ()
    assert invoke("--date", "2031-01-01").stdout == "nothing was ever published for 2031-01-01\n"
    assert invoke().exit_code == 2


def test_a_trial_that_failed_its_gates_decides_nothing(shop: Settings) -> None:
    write_batch(shop, [MILK], "r1", publish=False)
    gate = {"suite": "order_facts", "expectation": "ids are unique", "level": "fail", "success": False}
    insert(shop, "batch.gate_results", run_id="r1", business_date=DAY, **gate)
    assert serving.read(shop, DAY, serving.Layer.SERVING).details["status"] == "failed"
    execute(shop, "UPDATE batch.runs SET kind = 'trial'")
    assert serving.read(shop, DAY, serving.Layer.SERVING).details["status"] == "missing"


@pytest.mark.parametrize(("publish_it", "kind"), [(False, "trial"), (True, "recompute")])
def test_a_job_by_hand_says_who_ran_it_and_that_it_is_a_trial_unless_it_publishes(
    shop: Settings, publish_it: bool, kind: str
) -> None:
    asked = job.parse("order_facts", ["--date", str(DAY), *(["--publish"] if publish_it else [])])
    (run,) = job._open_runs(shop, "order_facts", asked, writes_facts=True)
    recorded = execute(shop, "SELECT kind, reason, requested_by FROM batch.runs WHERE run_id = %s", [run.run_id])
    assert recorded == [(kind, "order_facts by hand", getpass.getuser())]


def staged_run(settings: Settings) -> runs.Run:
    run = runs.open_run(settings, runs.new_run_id(DAY, datetime.now(UTC)), DAY)
    for table in (table for tables in publish.TABLES.values() for table in tables):
        staging.begin(settings, table, (run,))
        staging.finish(settings, table, (run,))
    cell = {"run_id": run.run_id, "business_date": DAY, "cell_start": at(9)}
    insert(settings, "batch.order_hours", **cell, revenue_cents=1_000, order_count=1)
    insert(settings, "batch.daily_metrics", run_id=run.run_id, business_date=DAY, revenue_cents=1_000)
    gates.passes(settings, run.run_id)
    return run


def rows_of(settings: Settings, run: runs.Run) -> tuple[int, int]:
    """Cells and daily figures that are kept of a run."""
    counts = [
        execute(settings, f"SELECT count(*) FROM batch.{table} WHERE run_id = %s", [run.run_id])[0][0]
        for table in ("order_hours", "daily_metrics")
    ]
    return counts[0], counts[1]


def test_rows_of_versions_superseded_long_ago_go_and_what_was_said_stays(shop: Settings) -> None:
    old, middle, current = (staged_run(shop) for _ in range(3))
    for run in (old, middle, current):
        publish.publish(shop, run.run_id, DAY, published_by="test")
    now = datetime.now(UTC)
    execute(shop, "UPDATE batch.versions SET superseded_at = %s WHERE version = 1", [now - LONG_AGO])
    assert history.prune(shop, now) == history.Pruned(versions=3, unpublished_runs=0, rows=1, facts_files=0)
    assert [rows_of(shop, run) for run in (old, middle, current)] == [(0, 1), (1, 1), (1, 1)]
    daily = [version for version in history.of_date(shop, DAY) if version.view == "daily_metrics"]
    assert [version.metrics["revenue_cents"] for version in daily] == [1_000] * 3
    assert [version.pruned_at is None for version in daily] == [False, True, True]
    assert history.prune(shop, now) == history.Pruned(0, 0, 0, 0)
    assert serving.read(shop, DAY, serving.Layer.SERVING).details["version"] == 3
    assert "only its daily figures are kept" in invoke("--date", str(DAY)).stdout


def test_a_run_that_nobody_published_goes_once_it_is_old_and_can_no_longer_be_published(shop: Settings) -> None:
    run = staged_run(shop)
    assert history.prune(shop, datetime.now(UTC)) == history.Pruned(0, 0, 0, 0)
    execute(shop, "UPDATE batch.runs SET created_at = now() - %s", [LONG_AGO])
    assert history.prune(shop, datetime.now(UTC)) == history.Pruned(0, 1, 1, 0)
    with pytest.raises(TandemError, match="no complete rows"):
        publish.publish(shop, run.run_id, DAY, published_by="test")


def write_facts(settings: Settings, run: runs.Run, day: date) -> int:
    """Put one row in place of a date's facts; returns the version."""
    row = {"run_id": [run.run_id], "business_date": [str(day)]}
    partition = f"business_date = '{day}'"
    path = settings.order_facts
    exists = DeltaTable.is_deltatable(path)
    write_deltalake(
        path,
        pa.table(row),
        mode="overwrite" if exists else "append",
        partition_by=["business_date"],
        predicate=partition if exists else None,
    )
    version = DeltaTable(path).version()
    for table in ("runs", "staged", "gate_results"):
        execute(settings, f"UPDATE batch.{table} SET facts_version = %s WHERE run_id = %s", [version, run.run_id])
    return version


def facts_at(settings: Settings, version: int, day: date) -> list[str]:
    """Whose facts a version of order_facts has of a date."""
    table = DeltaTable(settings.order_facts, version=version)
    found: list[str] = table.to_pyarrow_table(filters=[("business_date", "=", str(day))])["run_id"].to_pylist()
    return found


def names_of(settings: Settings, version: int) -> list[str]:
    """The files of a version of order_facts."""
    return [Path(uri).name for uri in DeltaTable(settings.order_facts, version=version).file_uris()]


def test_files_of_facts_replaced_long_ago_go_but_none_that_current_figures_are_made_of(shop: Settings) -> None:
    at_once = shop.model_copy(update={"history_retention": timedelta(0)})
    first, second, rejected = (staged_run(shop) for _ in range(3))
    of_first = write_facts(shop, first, DAY)
    publish.publish(shop, first.run_id, DAY, published_by="test")
    of_second = write_facts(shop, second, DAY)
    publish.publish(shop, second.run_id, DAY, published_by="test")
    newest = write_facts(shop, rejected, DAY)  # its gate failed: readers still have the second
    assert history.prune(shop, datetime.now(UTC)).facts_files == 0
    assert history.prune(at_once, datetime.now(UTC)).facts_files == 1
    assert facts_at(shop, of_second, DAY) == [second.run_id]
    assert facts_at(shop, newest, DAY) == [rejected.run_id]
    with pytest.raises(OSError, match=r"not found|No such file"):
        facts_at(shop, of_first, DAY)
    mended = staged_run(shop)
    current = write_facts(shop, mended, DAY)
    publish.publish(shop, mended.run_id, DAY, published_by="test")
    history.prune(at_once, datetime.now(UTC))
    assert facts_at(shop, current, DAY) == [mended.run_id]
    assert [path.name for path in Path(shop.order_facts).rglob("*.parquet")] == names_of(shop, current)


def test_what_killed_runs_left_on_the_way_into_postgres_goes_after_a_week(shop: Settings) -> None:
    """It stayed for ever where the run was given up: no other writes to the folder of its name."""
    now = datetime.now(UTC)
    for name, age in (("rfm.killed", timedelta(days=8)), ("rfm.at_work", timedelta(days=1))):
        file = Path(shop.staged_rows) / name / "_temporary" / "part-0.parquet"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"rows")
        os.utime(file, (0, (now - age).timestamp()))
    assert history.prune(shop, now).staged_files == 1
    (left,) = (path for path in Path(shop.staged_rows).rglob("*") if path.is_file())
    assert left.parts[-3] == "rfm.at_work"
    assert history.prune(shop, now).staged_files == 0


def test_how_long_rows_are_kept_is_a_setting(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for run in (staged_run(shop), staged_run(shop)):
        publish.publish(shop, run.run_id, DAY, published_by="test")
    execute(shop, "UPDATE batch.versions SET superseded_at = now() - interval '2 days' WHERE version = 1")
    assert json.loads(invoke("prune", "--json").stdout)["rows"] == 0
    monkeypatch.setenv("TANDEM_HISTORY_RETENTION", "P1D")
    settings_of_process.cache_clear()
    try:
        pruned = {"versions": 3, "unpublished_runs": 0, "rows": 1, "facts_files": 0, "staged_files": 0}
        assert json.loads(invoke("prune", "--json").stdout) == pruned
    finally:
        settings_of_process.cache_clear()
