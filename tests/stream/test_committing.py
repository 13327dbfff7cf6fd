"""A commit runs beside the next micro-batch, and nobody gets ahead of it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from stream import sink
from stream.committing import AfterCommits, Committing
from tandem import database
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

_POSITION = "SELECT next_offset FROM speed.partitions WHERE topic = %(topic)s"


def step(epoch: int, old: int, new: int) -> sink.Writes:
    return sink.Writes([sink.Move(ORDER_EVENTS, 0, epoch, old, new)])


@pytest.fixture
def other(clean_database: Settings) -> Iterator[psycopg.Connection[tuple[int]]]:
    with database.connect(clean_database, database.SPEED, autocommit=True) as connection:
        yield connection


def test_a_look_up_waits_for_the_commit_that_is_running_and_sees_it(
    clean_database: Settings, other: psycopg.Connection[tuple[int]]
) -> None:
    with sink.connect(clean_database) as connection:
        epoch = sink.claim(connection, ORDER_EVENTS, 0, 0, "mine").epoch
        committing = Committing(connection)
        noted: list[str] = []
        with other.transaction():
            other.execute("SELECT FROM speed.partitions FOR UPDATE")  # so that the commit cannot end yet
            committing.start(step(epoch, 0, 10), lambda: noted.append("first"))
            reader = database.connect(clean_database, database.SPEED, autocommit=True)
            assert reader.execute(_POSITION, {"topic": ORDER_EVENTS}).fetchall() == [(0,)]
            assert noted == []
        with reader:
            found = AfterCommits(reader, committing).execute(_POSITION, {"topic": ORDER_EVENTS})
            assert found.fetchall() == [(10,)]
        assert noted == ["first"]
        committing.close()


def test_behind_a_commit_that_failed_nothing_is_sent(
    clean_database: Settings, other: psycopg.Connection[tuple[int]]
) -> None:
    with sink.connect(clean_database) as connection:
        epoch = sink.claim(connection, ORDER_EVENTS, 0, 0, "mine").epoch
        sink.claim(other, ORDER_EVENTS, 0, 0, "yours")
        committing = Committing(connection)
        noted: list[str] = []
        committing.start(step(epoch, 0, 10), lambda: noted.append("first"))
        with pytest.raises(sink.Fenced):
            committing.start(step(epoch, 10, 20), lambda: noted.append("second"))
        committing.wait()
        assert (noted, committing.is_running) == ([], False)
        committing.close()
    assert other.execute(_POSITION, {"topic": ORDER_EVENTS}).fetchall() == [(0,)]
