"""A micro-batch that is read and decoded before its turn is committed in its turn, or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orders
import pytest
import speed_rig as rig

from stream import sink
from stream.session import Session
from stream.source import Polled
from stream.stats import StatsState
from stream.types import Position, Records
from tandem import database
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

START = datetime(2017, 12, 21, 8, tzinfo=UTC)


@pytest.fixture
def cut_small(topic_prefix: Settings) -> Settings:
    return topic_prefix.model_copy(update={"micro_batch_max_events": 50})


def produce(settings: Settings, count: int) -> None:
    values = (
        orders.encode(orders.order(f"e{number}", START + timedelta(seconds=number), orders.line("p", 100)))
        for number in range(count)
    )
    rig.produce(settings, (rig.Outgoing(value, None, number % 12) for number, value in enumerate(values)))


def committed(settings: Settings) -> int:
    return sum(rig.positions(settings).values())


def step_until_something_is_ahead(session: Session) -> None:
    rig.wait_for(lambda: session.step() >= 0 and session._ahead is not None, "a full micro-batch")


def test_nothing_behind_a_commit_that_failed_is_committed(cut_small: Settings) -> None:
    produce(cut_small, 600)
    session = Session(cut_small, "first", StatsState())
    try:
        step_until_something_is_ahead(session)
        session._committing.wait()
        before = committed(cut_small)
        with database.connect(cut_small, database.SPEED) as other:
            other.execute("UPDATE speed.partitions SET epoch = epoch + 1")
        with pytest.raises(sink.Fenced):
            rig.wait_for(lambda: session.step() > 0, "never")
    finally:
        session.close()
    assert committed(cut_small) == before
    rig.run_to_end(cut_small)
    rig.assert_books_are_exact(cut_small)


def test_what_is_read_ahead_is_committed_before_its_partitions_are_given_away(cut_small: Settings) -> None:
    produce(cut_small, 600)
    session = Session(cut_small, "first", StatsState())
    try:
        step_until_something_is_ahead(session)
        ahead = session._ahead
        assert ahead is not None
        session._taken([position for position in session._held if position in ahead.polled.reached])
        reached = {partition: offset for (_, partition), offset in ahead.polled.reached.items()}
        assert {partition: rig.positions(cut_small)[partition] for partition in reached} == reached
    finally:
        session.close()
    rig.run_to_end(cut_small)
    rig.assert_books_are_exact(cut_small)


def test_a_session_that_is_closed_leaves_what_it_read_ahead_to_the_next(cut_small: Settings) -> None:
    produce(cut_small, 600)
    session = Session(cut_small, "first", StatsState())
    step_until_something_is_ahead(session)
    session.close(settled=True)
    assert committed(cut_small) < 600
    rig.run_to_end(cut_small)
    rig.assert_books_are_exact(cut_small)


class Scripted:
    """A log of two partitions in place of Kafka: what is read when, and what is left then."""

    def __init__(self, _settings: Settings, granted: Any, _taken: Any) -> None:
        self._granted, self._polls = granted, iter(self._script())
        self.left: dict[Position, int] = {}

    def _script(self) -> Iterator[Polled]:
        self._granted([(ORDER_EVENTS, 0), (ORDER_EVENTS, 1)])
        yield polled({1: [(0, 10)]}, ends={(ORDER_EVENTS, 1): 1})
        self.left = {(ORDER_EVENTS, 0): 100}
        yield polled({0: [(0, 121)]})
        yield polled({0: [(1, 122)]})
        time.sleep(2)  # as where a commit takes long: the second partition goes on meanwhile
        self.left = {}
        yield polled({1: [(1, 20), (2, 100)], 0: [(2, 123)]})
        while True:
            yield polled({})

    def poll(self, _limit: int, _linger_s: float) -> Polled:
        return next(self._polls)

    def lags(self) -> dict[Position, int]:
        return self.left

    def ask_topic_ids(self) -> Any:
        return dict

    def bounds(self, positions: Iterable[Position]) -> dict[Position, tuple[int, int]]:
        return dict.fromkeys(positions, (0, 10))

    def require_still_there(self, last: Any) -> None:
        assert not last

    def check(self, _position: Position, _offset: int) -> None:
        pass

    def show_progress(self, _committed: Any) -> None:
        pass

    def close(self) -> None:
        pass


def polled(read: dict[int, list[tuple[int, int]]], ends: dict[Position, int] | None = None) -> Polled:
    """``read``: by partition offset and minute of an order."""
    rows = [
        (part, offset, START + timedelta(minutes=minute))
        for part, found in sorted(read.items())
        for offset, minute in found
    ]
    parts, offsets, moments = map(list, zip(*rows, strict=True)) if rows else ([], [], [])
    values = [
        orders.encode(orders.order(f"e{part}-{offset}", moment, orders.line("p", 100))) for part, offset, moment in rows
    ]
    times_ms = [int(moment.timestamp() * 1000) for moment in moments]
    of = Records(parts, offsets, times_ms, [None] * len(rows), values)
    reached = {(ORDER_EVENTS, part): found[-1][0] + 1 for part, found in read.items()}
    return Polled(of, Records([], [], [], [], []), reached, ends or {})


def test_a_partition_whose_next_records_were_read_while_a_micro_batch_waits_is_not_idle(cut_small: Settings) -> None:
    impatient = cut_small.model_copy(update={"idle_after": timedelta(seconds=1), "micro_batch_max_events": 3})
    session = Session(impatient, "first", StatsState(), Scripted, sends=False)
    try:
        rig.wait_for(lambda: session.step() >= 0 and committed(cut_small) == 6, "all of the script")
    finally:
        session.close()
    assert rig.query(cut_small, "SELECT sum(order_count) AS orders FROM speed.order_minutes") == [{"orders": 6}]
    assert rig.query(cut_small, "SELECT * FROM speed.orders_entries") == []
