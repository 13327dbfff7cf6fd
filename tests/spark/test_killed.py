"""A run killed with -9 in the middle of each of its steps, while a reader looks fifty times a second."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

import pytest
from psycopg import sql
from shop import NOON, Shop

from tandem import database
from tandem.local.postgres import connect_admin
from tandem.local.process import environment
from tandem.settings import PROJECT_ROOT, Settings

pytestmark = [pytest.mark.spark, pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(2400)]

DAY = NOON.date()
GATE = 4711
"""The advisory lock at which a step that is to be killed is held, after its rows and before its end."""
STEPS = (
    ("order_hours", "--view", "daily_metrics"),
    ("rfm", "--view", "rfm"),
    ("product_rankings", "--view", "product_rankings"),
    ("versions",),
)
"""The tables in which a step's rows stand when it is killed, and how to run that step without the others."""
SAID = """
SELECT
    (SELECT order_count FROM serving.daily WHERE business_date = %(day)s AND status = 'certified'),
    (SELECT order_count FROM serving.order_days WHERE business_date = %(day)s AND status = 'final'),
    (SELECT count(DISTINCT customer_id) FROM serving.rfm WHERE business_date = %(day)s),
    (SELECT max(value) FROM serving.product_rankings WHERE business_date = %(day)s AND measure = 'order_count')
"""
"""The same number four times, as of one instant: each order is of another customer and holds one carton of milk."""


class Watcher:
    """Reads all views, as anybody may, fifty times a second; ``seen`` is every answer that differs from the last."""

    def __init__(self, settings: Settings) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self.looks = 0
        self._stop = Event()
        self._connection = database.connect(settings, database.READER, autocommit=True)
        self._thread = Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            said = self._connection.execute(SAID, {"day": DAY}).fetchone()
            self.looks += 1
            if self.seen[-1:] != [said]:
                self.seen.append(said)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._connection.close()


@contextmanager
def held_after_rows_of(table: str, settings: Settings) -> Iterator[Callable[[], bool]]:
    """Whoever writes rows into the table waits once they are written; gives whether somebody does."""
    name = sql.Identifier("batch", table)
    with connect_admin(settings, settings.postgres_database) as admin:
        admin.execute("SELECT pg_advisory_lock(%s)", (GATE,))
        admin.execute(
            "CREATE FUNCTION public.wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS"
            f" 'BEGIN PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN NULL; END'"
        )
        held = sql.SQL("AFTER INSERT ON {} FOR EACH STATEMENT EXECUTE FUNCTION public.wait_at_gate()").format(name)
        admin.execute(sql.SQL("CREATE TRIGGER wait_at_gate {}").format(held))
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"
        try:
            yield lambda: admin.execute(waiting, (GATE,)).fetchone()[0] > 0
        finally:
            admin.execute("SELECT pg_advisory_unlock(%s)", (GATE,))
            admin.execute("DROP FUNCTION public.wait_at_gate() CASCADE")


@contextmanager
def writing_facts(settings: Settings) -> Iterator[Callable[[], bool]]:
    """Whether a file of facts has been begun since."""
    folder = Path(settings.order_facts_uri)
    before = set(folder.rglob("*.parquet"))
    yield lambda: bool(set(folder.rglob("*.parquet")) - before)


def start_run(settings: Settings, *only: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tandem", "batch", "--date", str(DAY), *only],
        env={**os.environ, **environment(settings), "TANDEM_CUT_TIMEOUT": "PT0S"},
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish_run(settings: Settings) -> None:
    run = start_run(settings)
    said, _ = run.communicate(timeout=900)
    assert run.returncode == 0, said


def kill_run_once(reached: Callable[[], bool], settings: Settings, *only: str) -> None:
    """Kill a run with all its processes, Spark's too, the moment it is there."""
    run = start_run(settings, *only)
    deadline = time.monotonic() + 600
    while not reached():
        if run.poll() is not None or time.monotonic() > deadline:
            os.killpg(run.pid, signal.SIGKILL)
            pytest.fail(f"the run did not come to where it is killed: {run.communicate()[0]}")
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate(timeout=300)


def test_a_reader_sees_one_version_or_the_next_whatever_step_of_a_run_is_killed(
    clean_database: Settings, topic_prefix: Settings
) -> None:
    shop = Shop(topic_prefix)
    shop.sell(20, days=1)
    finish_run(topic_prefix)
    shop.sell(20, days=1)
    with Watcher(topic_prefix) as watcher:
        with writing_facts(topic_prefix) as reached:
            kill_run_once(reached, topic_prefix)
        for table, *only in STEPS:
            with held_after_rows_of(table, topic_prefix) as reached:
                kill_run_once(reached, topic_prefix, *only)
        finish_run(topic_prefix)
        time.sleep(0.1)
    assert watcher.seen == [(20,) * 4, (40,) * 4]
    assert watcher.looks > 500
