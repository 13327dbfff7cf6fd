"""The same job on a standalone cluster with two workers and on one machine: the same rows, to the byte."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import psutil
import pytest
from airflow_api import wait_for
from installations import free_ports
from log import Log, order

from spark_jobs import history, runs
from spark_jobs.publish import TABLES
from spark_jobs.runs import Run
from spark_jobs.submit import submit
from tandem import database
from tandem.local import ports
from tandem.local.jars import java_home
from tandem.settings import Settings

pytestmark = [pytest.mark.spark, pytest.mark.integration, pytest.mark.slow]

DAYS = [date(2017, 12, 22), date(2017, 12, 23)]


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """A master and two workers of PySpark's own; yields the master's address."""
    home = Path(str(find_spec("pyspark").origin)).parent  # type: ignore[union-attr]
    master_port, *pages = free_ports(4)
    address = f"spark://127.0.0.1:{master_port}"
    local = {
        "JAVA_HOME": str(java_home()),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_HOME": str(home),
    }
    package = "org.apache.spark.deploy"
    bound = ("--host", "127.0.0.1", "--webui-port")
    commands = [
        [f"{package}.master.Master", *bound, str(pages[0]), "--port", str(master_port)],
        *(
            [
                f"{package}.worker.Worker",
                *bound,
                str(page),
                "-c",
                "1",
                "-m",
                "1g",
                "-d",
                str(folder / str(page)),
                address,
            ]
            for page in pages[1:]
        ),
    ]
    started = []
    try:
        for command in commands:
            with (folder / f"{len(started)}.log").open("wb") as log:
                started.append(
                    subprocess.Popen(
                        [home / "bin" / "spark-class", *command],
                        env={**os.environ, **local},
                        stdout=log,
                        stderr=subprocess.STDOUT,
                    )
                )
            wait_for(lambda: ports.answers("127.0.0.1", master_port), "the master")
        wait_for(lambda: workers(pages[0]) == 2, "two workers")
        yield address
    finally:
        for daemon in started:
            for process in (*psutil.Process(daemon.pid).children(recursive=True), daemon):
                process.kill()
            daemon.wait()


def workers(page: int) -> int:
    """How many the master knows."""
    with urllib.request.urlopen(f"http://127.0.0.1:{page}/json/", timeout=60) as answer:
        return int(json.load(answer)["aliveworkers"])


@pytest.fixture
def archived(clean_database: Settings, tmp_path: Path) -> Settings:
    """Two dates of orders of forty customers, some amended, cancelled, sent twice and broken."""
    own = clean_database.model_copy(update={"archive_uri": str(tmp_path / "archive")})
    log = Log()
    for number in range(300):
        at = datetime.combine(DAYS[number % 2], datetime.min.time(), UTC) + timedelta(minutes=number * 4)
        cents = 1_000 + number * 7
        line = {"product_id": f"p{number % 11}", "category": f"k{number % 3}", "quantity": 1 + number % 4}
        event = order(
            number,
            at,
            customer_id=f"c{number % 40}",
            total_amount=f"{cents / 100:.2f}",
            items=[{**line, "amount": f"{cents / 100:.2f}"}] if number % 29 else [],
        )
        log.add(event, number % 3)
        if number % 17 == 0:
            log.add(event, number % 3)
        if number % 13 == 0:
            log.add({**event, "event_id": f"x{number}", "event_type": "order_cancelled"}, number % 3)
    log.archive(own)
    return own


def computed(own: Settings) -> tuple[Run, ...]:
    """Runs of both dates, computed by spark-submit with these settings."""
    opened = [runs.open_run(own, runs.new_run_id(day, datetime.now(UTC)), day) for day in DAYS]
    submit(
        own,
        "batch",
        [part for run in opened for part in ("--date", str(run.business_date), "--run-id", run.run_id)],
    )
    return tuple(opened)


def digests(own: Settings, opened: tuple[Run, ...]) -> dict[str, tuple[int, str]]:
    """Rows and their digest, by table, in an order of their own, without what is each run's own: id and clock."""
    rows_of = {}
    ids = {run.run_id: str(run.business_date) for run in opened}
    with database.connect(own, database.READER) as reader:
        for table in (table for tables in TABLES.values() for table in tables):
            found = reader.execute(f"SELECT * FROM batch.{table} WHERE run_id = ANY(%s)", [list(ids)])
            names = [column.name for column in found.description or ()]
            rows_of[table] = [dict(zip(names, row, strict=True)) for row in found]
    rows_of["order_facts"] = pl.read_delta(own.order_facts).to_dicts()
    told = {}
    for table, rows in rows_of.items():
        plain = ({**row, "run_id": ids[row["run_id"]], "computed_at": None} for row in rows)
        lines = sorted(repr(sorted(row.items())) for row in plain)
        told[table] = (len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest())
    return told


def test_two_workers_compute_to_the_byte_what_one_machine_computes(archived: Settings, tmp_path: Path) -> None:
    here = archived.model_copy(update={"order_facts_uri": str(tmp_path / "here")})
    with cluster(tmp_path) as master:
        there = archived.model_copy(update={"order_facts_uri": str(tmp_path / "there"), "spark_master": master})
        on_cluster = digests(there, computed(there))
    ran = {executor.parents[1] for executor in tmp_path.glob("[0-9]*/app-*/[0-9]*")}
    assert len(ran) == 2, "both workers worked"
    history.forget_facts(there)  # it has a table of its own
    assert on_cluster == digests(here, computed(here))
    assert all(rows > 0 for rows, _ in on_cluster.values()), on_cluster
