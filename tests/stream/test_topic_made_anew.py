"""A topic that is deleted and made anew while it is read: of the new one nothing is taken for a part of the old one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from threading import Event, Thread

import orders
import pytest
import speed_rig as rig
from shop import archived

from stream.archive import archive, next_offsets
from stream.rebuild import rebuild
from stream.worker import Worker
from tandem.errors import TandemError
from tandem.local import kafka as local_kafka
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS, TOPICS

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

START = datetime(2017, 12, 21, 20, tzinfo=UTC)
READ = 30
REFUSED = (
    "topic order-events is not the one that was read before: it was made anew, or the settings name another:"
    " nothing of it was read; see 'Another topic of the same name' in docs/archive.md"
)


def sales(first: int, count: int) -> list[rig.Outgoing]:
    return [
        rig.Outgoing(orders.encode(orders.order(f"e{n}", START + timedelta(minutes=n), orders.line("p", 100))), b"c", 2)
        for n in range(first, first + count)
    ]


def make_anew(settings: Settings, records: int) -> None:
    topics = [topic for topic in TOPICS if topic.name == ORDER_EVENTS]
    local_kafka.delete_topics(settings, topics)
    local_kafka.ensure_topics(settings, topics=topics)
    rig.produce(settings, sales(100, records))


class Running(Thread):
    """A worker or an archiver in a thread, and what ended it."""

    def __init__(self, work: Callable[[Event], object]) -> None:
        super().__init__()
        self._work, self._stop_it, self.error = work, Event(), ""

    def run(self) -> None:
        try:
            self._work(self._stop_it)
        except TandemError as error:
            self.error = str(error)

    def ends(self, within_s: float = 60) -> str:
        """Why it ends by itself; '' where it does not."""
        self.join(within_s)
        self._stop_it.set()
        self.join()
        return self.error


@contextmanager
def running(work: Callable[[Event], object]) -> Iterator[Running]:
    thread = Running(work)
    thread.start()
    try:
        yield thread
    finally:
        thread.ends(0)


NEW_ONES = pytest.mark.parametrize("records", [READ - 1, READ, 2 * READ], ids="{} records in the new one".format)
"""At fewer, the next offset is not there; at as many, it is the end; at more, it is a record that is not the next."""


@NEW_ONES
def test_a_running_worker_books_nothing_of_a_topic_that_was_made_anew(topic_prefix: Settings, records: int) -> None:
    rig.produce(topic_prefix, sales(0, READ))
    with running(lambda stop: Worker(topic_prefix, stop).run()) as worker:
        rig.wait_for(lambda: rig.is_caught_up(topic_prefix), "the first orders to be counted")
        before = rig.positions(topic_prefix), rig.cells(topic_prefix, "order_minutes")
        make_anew(topic_prefix, records)
        if records == READ:
            rig.produce(topic_prefix, sales(200, 1))
        assert worker.ends() == REFUSED
    assert (rig.positions(topic_prefix), rig.cells(topic_prefix, "order_minutes")) == before


@NEW_ONES
def test_a_running_archiver_keeps_nothing_of_a_topic_that_was_made_anew(topic_prefix: Settings, records: int) -> None:
    rig.produce(topic_prefix, sales(0, READ))
    own = topic_prefix.model_copy(update={"archive_batch_linger": timedelta(milliseconds=100)})
    with running(lambda stop: archive(own, stop=stop)) as archiver:
        rig.wait_for(lambda: next_offsets(own) == rig.ends(own), "the first orders to be archived")
        before = archived(own)
        make_anew(own, records)
        if records == READ:
            rig.produce(own, sales(200, 1))
        assert archiver.ends() == REFUSED
    assert archived(own) == before


def test_a_rebuild_takes_nothing_of_a_topic_that_was_made_anew_meanwhile(topic_prefix: Settings) -> None:
    rig.produce(topic_prefix, sales(0, READ))
    rig.run_to_end(topic_prefix)
    before = rig.positions(topic_prefix), rig.cells(topic_prefix, "order_minutes")

    def say(what: str) -> None:
        if what.startswith("reading"):
            make_anew(topic_prefix, 2 * READ)

    with pytest.raises(TandemError) as refused:
        rebuild(topic_prefix, date(2017, 12, 21), swap=True, say=say)
    assert str(refused.value) == REFUSED
    assert (rig.positions(topic_prefix), rig.cells(topic_prefix, "order_minutes")) == before
