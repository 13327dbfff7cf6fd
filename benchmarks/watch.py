"""Workers as processes of their own, and what is visible in Postgres while they run."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import psycopg

from tandem import database
from tandem.local import process
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

LOOK_EVERY_S = 0.01
_QUERY = "SELECT partition, next_offset FROM speed.partitions WHERE topic = %s"


@contextmanager
def worker(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """A speed worker, stopped at the end unless it was killed before."""
    environment = {**os.environ, **process.environment(settings)}
    with (settings.state_dir / "workers.log").open("ab") as log:
        running = subprocess.Popen([sys.executable, "-m", "stream"], env=environment, stdout=log, stderr=log)
    try:
        yield running
    finally:
        running.terminate()
        running.wait()


@dataclass(slots=True)
class Seen:
    """What a reader saw: ``(seconds, offsets committed in all)`` whenever that changed, and the same by partition.

    Seconds are those of time.monotonic. A micro-batch's rows become visible together with its offsets.
    """

    total: list[tuple[float, int]] = field(default_factory=list)
    by_partition: dict[int, list[tuple[float, int]]] = field(default_factory=dict)
    ended: bool = False

    def look(self, reader: psycopg.Connection[tuple[int, int]]) -> None:
        """Look once."""
        rows = reader.execute(_QUERY, [ORDER_EVENTS]).fetchall()
        now_s = time.monotonic()
        for partition, offset in rows:
            steps = self.by_partition.setdefault(partition, [])
            if not steps or steps[-1][1] < offset:
                steps.append((now_s, offset))
        total = sum(offset for _, offset in rows)
        if not self.total or self.total[-1][1] < total:
            self.total.append((now_s, total))

    def wait_for(self, total: int, timeout_s: float = 600) -> float:
        """When so many offsets were committed, in the seconds of time.monotonic."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            for now_s, offsets in reversed(self.total):
                if offsets < total:
                    break
                reached = now_s
            if self.total and self.total[-1][1] >= total:
                return reached
            time.sleep(LOOK_EVERY_S)
        raise TimeoutError(f"{self.total[-1:]} of {total} offsets were committed in {timeout_s} s")

    def longest_silence(self, since_s: float, until_s: float) -> float:
        """Seconds until a partition moved again, the longest of all partitions, within a span.

        A partition that has moved for the last time is at its end, and not silent.
        """
        longest = 0.0
        for steps in self.by_partition.values():
            inside = [since_s, *(at for at, _ in steps if since_s < at <= until_s)]
            longest = max(longest, *(later - earlier for earlier, later in pairwise(inside)), 0.0)
        return longest


@contextmanager
def watching(settings: Settings) -> Iterator[Seen]:
    """A thread that looks every LOOK_EVERY_S."""
    seen = Seen()

    def look() -> None:
        with database.connect(settings, database.READER, autocommit=True) as reader:
            while not seen.ended:
                seen.look(reader)
                time.sleep(LOOK_EVERY_S)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        seen.ended = True
        thread.join()


def counted(settings: Settings) -> tuple[int, int]:
    """Orders and cents over all dates, as the serving layer shows them, with what is not settled yet."""
    with database.connect(settings, database.READER) as reader:
        sums = "coalesce(sum(order_count), 0)::bigint, coalesce(sum(revenue_cents), 0)::bigint"
        row = reader.execute(f"SELECT {sums} FROM serving.speed_daily").fetchone()  # noqa: S608 - both stand here
    assert row is not None  # noqa: S101 - sums are always a row
    return row
