"""kill -9 of a speed worker and an archiver together, five times during a replay: nothing lost, nothing twice.

One installation serves all tests of this file: the replay with its kills fills it once.
"""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest
from depth import IS_FULL, tries
from grocer import baskets, by_date
from installations import installations
from shop import Record, archived, ends, settle, start_archiver, start_speed_worker, visible

from stream.archive import next_offsets
from stream.archive_verify import verify
from tandem import database, journal
from tandem.local import kafka, postgres
from tandem.settings import Settings
from tandem.sources.completejourney import completejourney
from tandem.sources.planning import plan_replay
from tandem.sources.producer import BatchLimit, ReplayProducer, ReplayResult, produce
from tandem.topics import ORDER_EVENTS

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(2400)]

FIRST, LAST = "2017-01-01", ("2017-05-05" if IS_FULL else "2017-02-19")
AT_LEAST = tries(20_000, full=50_000)
KILLS = 5
SMALL_STEPS = {
    # Many small commits, so that a kill falls into every part of one.
    "micro_batch_max_events": 500,
    "archive_batch_max_events": 500,
    "archive_batch_linger": timedelta(milliseconds=200),
}


def query(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    with database.connect(settings, database.READER) as connection:
        return connection.execute(statement).fetchall()


def wait_for(condition: Callable[[], bool], timeout_s: float = 400) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


@dataclass
class ReplayState:
    """A replay that stands still at each stage until it is let on, so that every kill falls into the middle of it."""

    settings: Settings
    size: int = 0
    stage: int = 0
    failures: list[BaseException] = field(default_factory=list)

    def run(self) -> None:
        try:
            source = completejourney(date.fromisoformat(FIRST), date.fromisoformat(LAST), self.settings)
            plan = plan_replay(source, self.settings)
            self.size = plan.size
            producer = ReplayProducer(self.settings, source.name)
            produce(plan, producer, rate=1_500, on_progress=self.hold, limit=BatchLimit(events=300, seconds=0.2))
        except BaseException as failure:  # noqa: BLE001 - shown by whoever waits for the replay
            self.failures.append(failure)

    def hold(self, sent: ReplayResult) -> None:
        while sent.events > self.size * (self.stage + 1) / (KILLS + 1):
            time.sleep(0.05)


class Pair:
    """A speed worker and an archiver."""

    def __init__(self, settings: Settings, *options: str) -> None:
        self._settings = settings
        self._before = self.progress()
        self.programs: list[subprocess.Popen[bytes]] = [
            start(settings, *options) for start in (start_speed_worker, start_archiver)
        ]

    def progress(self) -> tuple[int, int]:
        """How far the speed layer and the archive are, in offsets."""
        ((reached,),) = query(self._settings, "SELECT coalesce(sum(next_offset), 0)::bigint FROM speed.partitions")
        return reached, sum(next_offsets(self._settings).values())

    def both_work(self) -> bool:
        assert all(program.poll() is None for program in self.programs)
        return all(now > then for now, then in zip(self.progress(), self._before, strict=True))

    def kill(self) -> None:
        for program in self.programs:
            program.send_signal(signal.SIGKILL)
        for program in self.programs:
            program.communicate(timeout=300)

    def wait(self) -> list[int]:
        for program in self.programs:
            program.communicate(timeout=600)
        return [program.returncode for program in self.programs]


def kill_a_pair(replay: ReplayState) -> None:
    """Start both, let both get on with their work, kill both."""
    pair = Pair(replay.settings)
    try:
        wait_for(lambda: pair.both_work() or bool(replay.failures))
        time.sleep(random.uniform(0, 3))
    finally:
        pair.kill()


@pytest.fixture(scope="module")
def killed() -> Iterator[Settings]:
    for own in installations(**SMALL_STEPS):
        postgres.start(own)
        kafka.start(own)
        replay = ReplayState(own)
        thread = threading.Thread(target=replay.run, daemon=True)
        thread.start()
        for _ in range(KILLS):
            kill_a_pair(replay)
            assert thread.is_alive(), replay.failures
            replay.stage += 1
        thread.join(600)
        assert not replay.failures
        settle(own)
        assert Pair(own, "--until-caught-up").wait() == [0, 0]
        yield own


@pytest.fixture(scope="module")
def witnessed(killed: Settings) -> list[Record]:
    """What an independent read_committed consumer sees."""
    return visible(killed)


@pytest.fixture(scope="module")
def sold() -> pd.DataFrame:
    return baskets(FIRST, LAST)


def test_the_replay_was_long_enough(witnessed: list[Record], sold: pd.DataFrame):
    assert len(witnessed) == len(sold) >= AT_LEAST


def test_the_speed_layers_totals_are_exact_on_every_date(killed: Settings, sold: pd.DataFrame):
    rows = query(
        killed,
        "SELECT business_date::text, sum(order_count)::bigint, sum(revenue_cents)::bigint, sum(units)::bigint,"
        " (SELECT count(DISTINCT customer_id) FROM speed.customer_days d WHERE d.business_date = o.business_date)"
        " FROM speed.order_minutes o GROUP BY business_date",
    )
    names = ("order_count", "revenue_cents", "units", "unique_customers")
    assert {day: dict(zip(names, values, strict=True)) for day, *values in rows} == by_date(sold[sold["cents"] > 0])


def test_every_record_got_one_decision(killed: Settings, sold: pd.DataFrame):
    decisions = dict(query(killed, "SELECT decision, sum(events)::bigint FROM speed.outcomes GROUP BY decision"))
    free = int((sold["cents"] == 0).sum())
    assert decisions == {"counted": len(sold) - free, "quarantined": free}
    assert query(killed, "SELECT count(*) FROM speed.quarantine") == [(free,)]


def test_every_visible_record_is_archived_once_as_it_came(killed: Settings, witnessed: list[Record]):
    assert archived(killed) == witnessed
    assert verify(killed).problems == ()


def test_every_visible_record_is_in_the_journal_once(killed: Settings, witnessed: list[Record]):
    with database.connect(killed, database.READER) as connection:
        rows = journal.read(connection, ORDER_EVENTS)
    decided = rows.select("partition", "offset").sort("partition", "offset").rows()
    assert decided == [(record.partition, record.offset) for record in witnessed]


def test_journal_segments_abut_from_the_first_offset_to_the_end_of_the_log(killed: Settings):
    for partition, end in ends(killed).items():
        segments = query(
            killed,
            "SELECT first_offset, next_offset FROM speed.journal"
            f" WHERE topic = '{ORDER_EVENTS}' AND partition = {partition} ORDER BY first_offset",
        )
        assert all(one[1] == following[0] for one, following in pairwise(segments))
        assert (segments[0][0], segments[-1][1]) == (0, end)


def test_both_layers_reached_the_end_of_the_log(killed: Settings):
    rows = query(killed, f"SELECT partition, next_offset FROM speed.partitions WHERE topic = '{ORDER_EVENTS}'")
    assert dict(rows) == next_offsets(killed) == ends(killed)


def test_journal_and_panes_agree_on_every_date(killed: Settings, sold: pd.DataFrame):
    with database.connect(killed, database.READER) as connection:
        days = [date.fromisoformat(day) for day in sorted(sold["date"].unique())]
        differing = {day: journal.disagreements(connection, ORDER_EVENTS, day) for day in days}
    assert {day: found for day, found in differing.items() if found} == {}
