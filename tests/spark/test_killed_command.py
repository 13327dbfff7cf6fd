"""``tandem batch`` alone is killed with -9: its Spark application, JVM and driver, ends with it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest
from installations import processes_of
from shop import NOON, Shop

from tandem.local.postgres import connect_admin
from tandem.local.process import environment
from tandem.settings import PROJECT_ROOT, Settings

pytestmark = [pytest.mark.spark, pytest.mark.integration]

DAY = NOON.date()


def of_spark(settings: Settings) -> list[psutil.Process]:
    """What works for the run: the JVM that spark-submit became, and the driver that it started."""
    found = []
    for each in processes_of(settings):
        try:
            words = " ".join(each.cmdline())
        except psutil.Error:
            continue
        if "spark_jobs/batch.py" in words:
            found.append(each)
    return found


def wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_the_spark_application_of_a_killed_command_ends(clean_database: Settings, topic_prefix: Settings) -> None:
    Shop(topic_prefix).sell(20, days=1)
    own = topic_prefix
    with connect_admin(own, own.postgres_database) as admin:
        # Whoever notes what it wrote waits: so the application cannot end by coming to its end.
        admin.execute(
            "CREATE FUNCTION public.wait_here() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_advisory_xact_lock_shared(4712); RETURN NEW; END'"
        )
        admin.execute(
            "CREATE TRIGGER wait_here BEFORE UPDATE ON batch.runs FOR EACH ROW EXECUTE FUNCTION public.wait_here()"
        )
        admin.execute("SELECT pg_advisory_lock(4712)")
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4712 AND NOT granted"
        command = subprocess.Popen(
            [sys.executable, "-m", "tandem", "batch", "--date", str(DAY)],
            env={**os.environ, **environment(own), "TANDEM_CUT_TIMEOUT": "PT0S"},
            cwd=PROJECT_ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        left: list[psutil.Process] = []
        try:
            wait_until(lambda: admin.execute(waiting).fetchone()[0] > 0, "the application to come to where it waits")
            left = of_spark(own)
            assert len(left) == 2, left
            assert command.poll() is None
            command.kill()
            command.wait()
            wait_until(lambda: not of_spark(own), f"these to end: {left}")
        finally:
            for each in [*left, *of_spark(own)]:
                if each.is_running():
                    each.kill()
            admin.execute("SELECT pg_advisory_unlock(4712)")
            admin.execute("DROP FUNCTION public.wait_here() CASCADE")
