"""Where a benchmark runs: Kafka and a durable Postgres of its own, and how work is measured there."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tandem.local import kafka, postgres, process
from tandem.local.jars import ensure_jars, java_home
from tandem.settings import PROJECT_ROOT, Settings

CACHE = Path(os.environ.get("TANDEM_BENCHMARK_CACHE", PROJECT_ROOT / ".tandem-benchmarks"))
"""Where peers are installed."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What was measured. ``cpu_seconds``: of the one measured and of its Postgres connections, without the broker."""

    events: int
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of one core for an event."""
        return self.cpu_seconds / self.events * 1e6

    def figures(self) -> dict[str, float | int]:
        """For JSON."""
        return {
            "events": self.events,
            "seconds": round(self.seconds, 2),
            "events_per_second": round(self.per_second),
            "cpu_us_per_event": round(self.cpu_us, 2),
            "events_per_cpu_second": round(1e6 / self.cpu_us) if self.cpu_us else 0,
        }


@contextmanager
def installation(*, with_kafka: bool = True, **changes: str) -> Iterator[Settings]:
    """Kafka and Postgres of the run's own, in a folder that goes with it; ``changes``: further settings."""
    folder = Path(tempfile.mkdtemp(prefix="tandem-benchmark-"))
    folder.chmod(0o711)  # root lets another user run Postgres, who must get through
    names = ("postgres_port", "kafka_port", "kafka_controller_port")
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    settings = Settings(state_dir=folder, **ports, **changes)  # type: ignore[arg-type]
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # or what was started would outlive the run
    try:
        postgres.start(settings)
        if with_kafka:
            kafka.start(settings)
            kafka.ensure_topics(settings)
        yield settings
    finally:
        for name in (kafka.NAME, postgres.NAME):
            process.stop(settings, name)
        postgres.delete_data(settings)
        shutil.rmtree(folder, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)


@contextmanager
def batch_installation(**changes: str) -> Iterator[Settings]:
    """Postgres alone, and in this process's environment what Spark and its jobs look for."""
    with installation(with_kafka=False, archive_uri="", order_facts_uri="", **changes) as own:
        os.environ.update({**process.environment(own), "JAVA_HOME": str(java_home())})
        ensure_jars()
        yield own


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def cpu_seconds(*processes: psutil.Process) -> float:
    """Of these processes and all their children so far, ended ones too."""
    return sum(_of_itself(part) for one in processes for part in (one, *one.children(recursive=True)))


def _of_itself(process: psutil.Process) -> float:
    try:
        spent = process.cpu_times()
    except psutil.NoSuchProcess:  # ended since it was listed: its parent has it among its children's
        return 0.0
    return spent.user + spent.system + spent.children_user + spent.children_system


@dataclass(slots=True)
class Stopwatch:
    """Wall and CPU time since ``start``."""

    server: psutil.Process
    wall: float = 0.0
    cpu: float = 0.0

    @classmethod
    def of(cls, settings: Settings) -> Stopwatch:
        """For work in this process and in Postgres."""
        found = process.find(settings, postgres.NAME)
        assert found is not None  # noqa: S101 - it was started with the installation
        watch = cls(found)
        watch.start()
        return watch

    def start(self) -> None:
        """Forget what was before."""
        self.wall, self.cpu = time.perf_counter(), self._cpu()

    def rate(self, events: int) -> Rate:
        """These events were done since the start."""
        return Rate(events, time.perf_counter() - self.wall, self._cpu() - self.cpu)

    def _cpu(self) -> float:
        return time.process_time() + cpu_seconds(self.server)


@dataclass(frozen=True, slots=True)
class Timing:
    """What a task took. ``cpu_seconds``: of this process and of all that it started."""

    task: str
    seconds: float
    cpu_seconds: float

    def plus(self, other: Timing) -> Timing:
        """Both, one after the other."""
        return Timing(self.task, self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds)


class Tasks:
    """Times tasks, and tells each on stderr as it ends."""

    def __init__(self) -> None:
        self.timings: list[Timing] = []

    def time(self, task: str, work: Callable[[], object]) -> Timing:
        """Do the work, and note what it took under the name of the task."""
        here = psutil.Process()
        started, cpu = time.perf_counter(), cpu_seconds(here)
        work()
        timing = Timing(task, round(time.perf_counter() - started, 2), round(cpu_seconds(here) - cpu, 2))
        print(f"{task:<40}{timing.seconds:>10.2f} s{timing.cpu_seconds:>10.2f} s CPU", file=sys.stderr, flush=True)
        self.timings.append(timing)
        return timing


def machine() -> dict[str, object]:
    """What the figures were taken on."""
    return {
        "cpus": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "load_average": round(os.getloadavg()[0], 1),
    }
