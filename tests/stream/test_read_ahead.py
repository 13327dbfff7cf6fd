"""A micro-batch that is read and decoded before its turn is committed in its turn, or not at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orders
import pytest
import speed_rig as rig

from stream import sink
from stream.session import Session
from stream.stats import StatsState
from tandem import database
from tandem.settings import Settings

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
