"""Runs one peer over the topic that the speed layer read, and says how fast it was."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import psutil

from benchmarks.peers import environments
from benchmarks.place import Rate, Stopwatch, cpu_seconds
from tandem import database
from tandem.local.java import find_java
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

_HERE = Path(__file__).parent
_LONGEST_S = 1800
_TREE_EVERY_S = 0.2


class FailedError(Exception):
    """A peer ran and broke; the message says how in a line."""


def hand_written(settings: Settings, events: int) -> Rate:
    """The consumer in benchmarks/hand_written.py, its Postgres connection included."""
    said = settings.conninfo(database.OWNER)
    names = {"PGHOST": "host", "PGPORT": "port", "PGDATABASE": "dbname", "PGUSER": "user", "PGPASSWORD": "password"}
    server = Stopwatch.of(settings)
    own = time.process_time()
    command = [sys.executable, "-m", "benchmarks.hand_written", "--brokers", settings.brokers]
    command += ["--topic", _topic(settings), "--events", str(events)]
    found = _run(command, {name: str(said[of]) for name, of in names.items()})
    in_postgres = server.rate(1).cpu_seconds - (time.process_time() - own)  # of the first batch too, which found is not
    return Rate(found.events, found.seconds, found.cpu_seconds + in_postgres * found.events / events)


def quix(settings: Settings, events: int) -> Rate:
    """Quix Streams: a tumbling sum per customer, its cheapest windowed query."""
    python = environments.python_of(*environments.QUIX)
    with _folder() as folder:
        command = [
            str(python),
            str(_HERE / "quix_window.py"),
            settings.brokers,
            _topic(settings),
            str(events),
            str(folder),
        ]
        return _run(command)


def flink_sql(settings: Settings, events: int) -> Rate:
    """Flink SQL: five queries over all that is in the topic, two tasks at a time, start of the job included."""
    python = environments.python_of(*environments.FLINK)
    (jar,) = environments.jars_of(*environments.FLINK_CONNECTOR)
    with _folder() as folder:
        command = [str(python), str(_HERE / "flink_queries.py"), settings.brokers, _topic(settings)]
        return _run([*command, str(jar), str(events), str(folder)])


def kafka_streams_in_memory(settings: Settings, events: int) -> Rate:
    """Kafka Streams on two threads, stores in memory."""
    return _kafka_streams(settings, events, "memory")


def kafka_streams_rocksdb(settings: Settings, events: int) -> Rate:
    """Kafka Streams on two threads, stores in RocksDB."""
    return _kafka_streams(settings, events, "rocksdb")


def _kafka_streams(settings: Settings, events: int, stores: str) -> Rate:
    jars = environments.jars_of(*environments.KAFKA_STREAMS)
    java = str(find_java().command)
    with _folder() as folder:
        command = [java, "-Xmx4g", "-cp", os.pathsep.join(map(str, jars)), str(_HERE / "StreamsPeer.java")]
        return _run([*command, settings.brokers, _topic(settings), str(events), stores, str(folder)])


def _topic(settings: Settings) -> str:
    return settings.topic(ORDER_EVENTS)


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="tandem-peer-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[str], variables: Mapping[str, str] = MappingProxyType({})) -> Rate:
    """What the program says in its last line; its CPU time is that of its whole tree where it does not say."""
    environment = {**os.environ, "JAVA_HOME": str(find_java().home), **variables}
    with (
        tempfile.TemporaryFile("w+") as output,
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=output, stderr=errors, env=environment, start_new_session=True) as running,
    ):
        used = _wait(running)
        output.seek(0)
        errors.seek(0)
        words = output.read().strip().splitlines()
        if running.returncode or not words or not words[-1].startswith("{"):
            reason = (errors.read().strip().splitlines() or words or ["no reason given"])[-1]
            raise FailedError(f"{Path(command[-1]).name} ended with {running.returncode}: {reason[:200]}")
    said = json.loads(words[-1])
    return Rate(said["events"], said["seconds"], said.get("cpu_seconds", used))


def _wait(running: subprocess.Popen[str]) -> float:
    """CPU seconds of the tree, looked at while it runs."""
    used, until = 0.0, time.monotonic() + _LONGEST_S
    tree = psutil.Process(running.pid)
    try:
        while running.poll() is None and time.monotonic() < until:
            with suppress(psutil.Error):
                used = max(used, cpu_seconds(tree))
            time.sleep(_TREE_EVERY_S)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)  # it has a session of its own, with all it started
    return used
