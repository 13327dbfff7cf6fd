"""The reconciliation of one business date, order by order, next to datacompy and to plain SQL in Postgres.

    python -m benchmarks.reconciling [--quick] [--orders N] [--only NAME ...] [--segment-events N]
        [--merged] [--json]

What is timed is the command `tandem reconcile --dry-run`, its start included: it reads the stream's journal and the
batch layer's order_facts, joins them order by order, gives each difference its cause, and adds the causes up by hour,
product and category. The peers get flat tables of what each layer booked, ready made, and only find the orders that
are not alike; all three must find the very orders that were planted. Memory is the largest that was seen resident: of
the process, and what Postgres' own processes do not share. One that takes more than --most-gb is ended.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import polars as pl
import psutil
import psycopg

from benchmarks import business_day
from benchmarks.business_day import DAY, Written
from benchmarks.memory import database_of_its_own
from benchmarks.peers import environments
from benchmarks.place import cpu_seconds, machine
from stream.segments import Merging
from tandem import database
from tandem.local import postgres, process
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

QUICK, FULL = 480_000, 10_000_000
TARGET = {"orders": 10_000_000, "seconds": 60, "memory_mb": 4_096}
_HERE = Path(__file__).parent / "peers"
_LOOK_EVERY_S = 0.1
_PLACE = ["partition", "offset"]
Places = set[tuple[int, int]]


class FailedError(Exception):
    """A run broke or took too much; the message says which in a line."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a comparison took. ``cpu_seconds``: with Postgres; megabytes are the most that were resident."""

    seconds: float
    cpu_seconds: float
    memory_mb: int
    postgres_mb: int
    found: int


class _Watch:
    """Looks at memory while something runs, and ends it where it takes more than it may."""

    def __init__(self, settings: Settings, most_mb: int) -> None:
        server = process.find(settings, postgres.NAME)
        assert server is not None  # noqa: S101 - it was started with the installation
        self._server, self._most_mb, self._ended = server, most_mb, Event()
        self.memory_mb = self.postgres_mb = 0
        self.too_much = False

    def cpu(self) -> float:
        """Seconds that Postgres has used."""
        return cpu_seconds(self._server)

    @contextmanager
    def on(self, watched: psutil.Process | None) -> Iterator[None]:
        """Look at this process, and at Postgres."""
        thread = Thread(target=self._look, args=[watched])
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _look(self, watched: psutil.Process | None) -> None:
        while not self._ended.wait(_LOOK_EVERY_S):
            own = 0
            for part in (self._server, *self._server.children()):
                with suppress(psutil.Error):
                    own += part.memory_full_info().uss
            self.postgres_mb = max(self.postgres_mb, own >> 20)
            with suppress(psutil.Error):
                if watched is not None:
                    self.memory_mb = max(self.memory_mb, watched.memory_info().rss >> 20)
                    if self.memory_mb > self._most_mb:
                        self.too_much = True
                        watched.kill()


def _run(settings: Settings, command: list[str], most_mb: int, fine: set[int]) -> Taken:
    """Run a program under the eyes of a watch. ``fine``: exit statuses that are no failure."""
    watch = _Watch(settings, most_mb)
    before, started = watch.cpu(), time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        environment = {**os.environ, **process.environment(settings)}
        running = subprocess.Popen(command, stdout=said, stderr=said, env=environment)
        with watch.on(psutil.Process(running.pid)):
            _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        if watch.too_much:
            raise FailedError(f"took more than {most_mb:,} MB")
        if running.returncode not in fine:
            said.seek(0)
            raise FailedError((said.read().strip().splitlines() or ["no reason given"])[-1][:200])
    spent = used.ru_utime + used.ru_stime + watch.cpu() - before
    # Not ru_maxrss: a child's begins with what this process had when it was forked.
    return Taken(round(seconds, 1), round(spent, 1), watch.memory_mb, watch.postgres_mb, 0)


def tandem(settings: Settings, _booked: Path, most_mb: int) -> tuple[Taken, Places]:
    """The command, as Airflow runs it, but for the corrections."""
    command = [sys.executable, "-m", "tandem", "reconcile", "--date", str(DAY), "--dry-run", "--json"]
    taken = _run(settings, command, most_mb, fine={0, 1})
    with database.connect(settings, database.READER) as reader:
        rows = reader.execute(
            """SELECT partition, "offset" FROM reconciliation.discrepancies WHERE topic = %s AND reconciliation_id =
               (SELECT max(reconciliation_id) FROM reconciliation.reconciliations)""",
            [ORDER_EVENTS],
        ).fetchall()
        reason = reader.execute(
            "SELECT reason FROM reconciliation.reconciliations ORDER BY reconciliation_id DESC LIMIT 1"
        ).fetchall()
    if reason[0][0]:
        raise FailedError(reason[0][0])
    return taken, set(rows)


def datacompy(settings: Settings, booked: Path, most_mb: int) -> tuple[Taken, Places]:
    """PolarsCompare over the flat Parquet files."""
    python = environments.python_of(*environments.DATACOMPY)
    out = booked / "datacompy.parquet"
    command = [str(python), str(_HERE / "datacompy_orders.py"), str(booked / "speed"), str(booked / "batch"), str(out)]
    taken = _run(settings, command, most_mb, fine={0})
    return taken, set(pl.read_parquet(out).select(_PLACE).rows())


def postgres_sql(settings: Settings, booked: Path, _most_mb: int) -> tuple[Taken, Places]:
    """A full outer join of two tables that are filled and analysed beforehand."""
    with database.connect(settings, database.OWNER, autocommit=True) as owner:
        owner.execute((_HERE / "booked.sql").read_bytes())
        for side in ("speed", "batch"):
            _fill(owner, side, booked)
        owner.execute("ANALYZE")
        owner.execute("SET work_mem = '512MB'")
        owner.execute("SET max_parallel_workers_per_gather = 2")
        watch = _Watch(settings, 0)
        before, started = watch.cpu(), time.perf_counter()
        with watch.on(None):
            rows = owner.execute((_HERE / "full_join.sql").read_bytes()).fetchall()
        seconds, spent = time.perf_counter() - started, watch.cpu() - before
        owner.execute("DROP TABLE booked_by_speed, booked_by_batch")
    return Taken(round(seconds, 1), round(spent, 1), 0, watch.postgres_mb, 0), set(rows)


def _fill(owner: psycopg.Connection[Any], side: str, booked: Path) -> None:
    for file in sorted((booked / side).glob("*.parquet")):
        rows = pl.read_parquet(file)
        with owner.cursor() as cursor, cursor.copy(f"COPY booked_by_{side} FROM STDIN (FORMAT csv)") as copy:
            copy.write(rows.write_csv(include_header=False).encode())


RUNS: dict[str, Callable[[Settings, Path, int], tuple[Taken, Places]]] = {
    "tandem": tandem,
    "datacompy": datacompy,
    "postgres_sql": postgres_sql,
}


def measure(orders: int, names: list[str], segment_events: int, most_mb: int, *, merged: bool) -> dict[str, Any]:
    """The figures of one run."""
    taken: dict[str, Taken] = {}
    places: dict[str, Places] = {}
    failed: dict[str, str] = {}
    with database_of_its_own() as settings, tempfile.TemporaryDirectory(prefix="tandem-benchmark-") as folder:
        say(f"writing {orders:,} orders")
        written = business_day.write(settings, orders, segment_events, Path(folder), say)
        merging_seconds = _merge(settings) if merged else None
        for name in names:
            say(f"{name} compares")
            try:
                found, places[name] = RUNS[name](settings, Path(folder), most_mb)
                taken[name] = Taken(**{**asdict(found), "found": len(places[name])})
                say(f"{name}: {found.seconds} s, {found.cpu_seconds} CPU s, {found.memory_mb + found.postgres_mb:,} MB")
            except (environments.NotInstalledError, FailedError) as error:
                failed[name] = str(error)
                say(f"{name}: {error}")
    alike = all(found == next(iter(places.values())) for found in places.values())
    return {
        "orders": orders,
        "segment_events": segment_events,
        "merging_seconds": merging_seconds,
        "taken": {name: asdict(of) for name, of in taken.items()},
        "ratios": _ratios(taken),
        "target": TARGET,
        "planted": sum(written.planted.values()),
        "all_found_the_planted": alike and all(of.found == sum(written.planted.values()) for of in taken.values()),
        "failed": failed,
        "written": _sizes(written),
        "machine": machine(),
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def _merge(settings: Settings) -> float:
    """Seconds of merging the journal's small segments, as a worker does a few at a time."""
    merging, started = Merging(), time.monotonic()
    with database.connect(settings, database.SPEED, autocommit=True) as speed:
        while merging.run(speed):
            pass
    seconds = time.monotonic() - started
    say(f"small segments merged in {seconds:.1f} s")
    return round(seconds, 1)


def _ratios(taken: dict[str, Taken]) -> dict[str, dict[str, float]]:
    """What each peer took over what Tandem took: more than 1 is in Tandem's favour."""
    mine = taken.get("tandem")
    if mine is None:
        return {}

    def of(one: Taken) -> dict[str, float]:
        memory = (one.memory_mb + one.postgres_mb) / (mine.memory_mb + mine.postgres_mb)
        ratios = {"seconds": one.seconds / mine.seconds, "cpu": one.cpu_seconds / mine.cpu_seconds, "memory": memory}
        return {name: round(ratio, 2) for name, ratio in ratios.items()}

    return {name: of(one) for name, one in taken.items() if name != "tandem"}


def _sizes(written: Written) -> dict[str, object]:
    per_order = {"journal": written.journal_bytes, "order_facts": written.facts_bytes}
    sizes = {f"{name}_bytes_per_order": round(size / written.orders, 1) for name, size in per_order.items()}
    return {"planted": written.planted, "cells": written.cells, **sizes}


def say(progress: str) -> None:
    """Progress goes to stderr: the figures may be JSON."""
    print(f"benchmark: {progress}", file=sys.stderr, flush=True)


def show(figures: dict[str, Any]) -> None:
    """Print the figures for people."""
    print(f"{figures['orders']:,} orders, {figures['planted']:,} planted differences")
    print(
        f"{'':>14} {'s':>8} {'CPU s':>8} {'MB':>8} {'Postgres MB':>12} {'found':>8} {'s, CPU, memory: times ours':>28}"
    )
    for name, taken in figures["taken"].items():
        ratios = ", ".join(str(ratio) for ratio in figures["ratios"].get(name, {}).values())
        memory = f"{taken['memory_mb']:>8,} {taken['postgres_mb']:>12,}"
        print(f"{name:>14} {taken['seconds']:>8} {taken['cpu_seconds']:>8} {memory} {taken['found']:>8,} {ratios:>28}")
    for name, reason in figures["failed"].items():
        print(f"{name:>14} failed: {reason}")
    print("all found what was planted" if figures["all_found_the_planted"] else "NOT all found what was planted")


def main() -> None:
    """Run it and print; exit status 1 where not every planted difference was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} orders: a minute")
    parser.add_argument("--orders", type=int, help=f"how many orders the date has (default: {FULL:,})")
    parser.add_argument("--only", nargs="*", choices=RUNS, default=list(RUNS), help="which to run (default: all)")
    parser.add_argument("--segment-events", type=int, default=1_000, help="orders in a journal segment (%(default)s)")
    parser.add_argument("--merged", action="store_true", help="merge small segments first, as a worker would")
    parser.add_argument("--most-gb", type=float, default=8, help="most memory a process may take (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    orders = arguments.orders or (QUICK if arguments.quick else FULL)
    figures = measure(
        orders, arguments.only, arguments.segment_events, round(arguments.most_gb * 1024), merged=arguments.merged
    )
    if arguments.json:
        print(json.dumps(figures))
    else:
        show(figures)
    sys.exit(not figures["all_found_the_planted"])


if __name__ == "__main__":
    main()
