"""A commit and a claim may be cut off before any of their steps: all of it is in the books once, or none is.

The worker is one without Kafka, in this process. What ends it is the end of its connection, which is all that Postgres
learns of a process that is killed. Workers that are killed with everything they have: test_speed_failpoints.py.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from random import Random
from zoneinfo import ZoneInfo

import failpoints
import pytest
import speed_rig as rig
from depth import tries
from desk_rig import Desk
from topic_books import shop

from stream import sink
from stream.settle import Settler
from stream.types import Records, Rules
from tandem.settings import Settings

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(3000),
    pytest.mark.usefixtures("clean_database"),
]

DEATHS = tries(1, full=20)
"""Before each of some fifty steps, in either way to send rows; else before some that are drawn by lot."""
_DRAWN = 20
RULES = Rules(ZoneInfo("UTC"), "USD", timedelta(hours=1), timedelta(hours=24), high_value_cents=10_000)
PARTITIONS = range(2)
LATE_IN_2096_MS = 4_000_000_000_000


class CutOffError(BaseException):
    """The worker is gone."""


class Log:
    """Records as Kafka would hold them, without end; ``read`` once so far."""

    def __init__(self, seed: int) -> None:
        self._coming = shop(1_000_000_000, seed=seed)
        self.read: list[rig.Visible] = []
        self._ends: Counter[int] = Counter()

    def next(self, offsets: dict[int, int], count: int) -> Records:
        """From an offset of each partition on: what was read before, and up to so many that are new."""
        for record in islice(self._coming, count):
            assert record.key is not None
            partition = sum(record.key) % len(PARTITIONS)
            at = (partition, self._ends[partition], LATE_IN_2096_MS)
            self.read.append(rig.Visible(*at, record.key, record.value, {}))
            self._ends[partition] += 1
        behind = (record for record in self.read[-2_000:] if record.offset >= offsets[record.partition])
        rows = sorted(behind, key=lambda record: (record.partition, record.offset))
        return Records(
            [record.partition for record in rows],
            [record.offset for record in rows],
            [record.time_ms for record in rows],
            [record.key for record in rows],
            [record.value for record in rows],
        )


class Worker:
    """A desk that dies, and its successor."""

    def __init__(self, settings: Settings, seed: int) -> None:
        self._settings, self.log, self._random = settings, Log(seed), Random(seed)
        self._desk: Desk | None = None
        self.lives = 0

    def turn(self) -> None:
        """Take over where nobody is, and commit a micro-batch."""
        if self._desk is None:
            self.lives += 1
            self._desk = Desk(self._settings, f"life {self.lives}", RULES)
            self._desk.take_over(PARTITIONS)
        self._desk.commit(self.log.next(self._desk.offsets, self._random.randint(1, 30)))

    def cut_off(self) -> None:
        """The connections end; nothing is said first."""
        if self._desk:
            for connection in self._desk.connections:
                with socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as end:
                    end.shutdown(socket.SHUT_RDWR)
        raise CutOffError

    def bury(self) -> None:
        """Let go of what is dead."""
        if self._desk:
            self._desk.close()
        self._desk = None


@pytest.fixture(params=[sink._FEW, -1], ids=["small", "by COPY"])
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sink, "_FEW", request.param)
        yield


@pytest.mark.usefixtures("way")
def test_all_of_a_micro_batch_counts_once_or_not_at_all_wherever_its_worker_ends(topic_prefix: Settings) -> None:
    seed = Random().randrange(1 << 32)
    print(f"seed {seed}")
    random, worker = Random(seed), Worker(topic_prefix, seed)
    steps: Counter[str] = Counter()
    with failpoints.before_steps_of_postgres(lambda step: steps.update([step])):
        for _ in range(40):
            worker.turn()
    assert len(steps) > 40, "what is not seen is not died of"
    died: Counter[str] = Counter()
    drawn = random.sample(sorted(steps), tries(_DRAWN, full=len(steps)))
    left = [step for step in drawn for _ in range(DEATHS)]
    random.shuffle(left)
    for step in left:
        before = random.randrange(min(2, steps[step]))

        def reach(label: str, step: str = step, at: list[int] = [before]) -> None:  # noqa: B006 - new for each step
            if label == step:
                at[0] -= 1
                if at[0] < 0:
                    worker.cut_off()

        with failpoints.before_steps_of_postgres(reach):
            for _ in range(30):  # hours close seldom
                try:
                    worker.turn()
                except CutOffError:
                    died[step] += 1
                    break
        worker.bury()  # also who did not die: claims are steps too
    worker.turn()
    for step, count in sorted(died.items()):
        print(f"{count:3} {step}")
    Settler(topic_prefix).close(settled=True)
    rig.assert_books_are_those_of(topic_prefix, worker.log.read)
    assert sum(died.values()) > len(left) * 3 // 4
