"""A worker that comes after Kafka has expired what it was to read: it reads the archive, or says what is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import orders
import pytest
import speed_rig as rig
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from stream import sink
from stream.archive import archive
from stream.worker import Worker
from tandem import database
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

START = datetime(2017, 12, 21, 20, tzinfo=UTC)


def sales(first: int, count: int) -> list[rig.Outgoing]:
    """Five minutes from one to the next, with copies of the one before, and some that come 90 minutes late."""
    sent = []
    for number in range(first, first + count):
        moment = START + timedelta(minutes=5 * number - (90 if number % 7 == 0 else 0))
        lines = [orders.line(f"p{number % 9}", 100 + number, category=f"k{number % 4}")]
        payload = orders.order(f"e{number}", moment, *lines, customer=f"c{number % 17}")
        sent.append(rig.Outgoing(orders.encode(payload), f"c{number % 17}".encode(), number % 3))
        if number % 5 == 0:
            sent.append(sent[-1])
    return sent


def expire(settings: Settings, below: dict[int, int]) -> None:
    admin = AdminClient({"bootstrap.servers": settings.brokers})
    parts = [TopicPartition(settings.topic(ORDER_EVENTS), part, offset) for part, offset in below.items()]
    for answer in admin.delete_records(parts).values():
        answer.result(120)


def keep(settings: Settings) -> None:
    archive(settings, stop=Event(), until_caught_up=True)


class AfterWaits(Event):
    """Waits no time at all, and tells its worker to stop after so many waits; ``waits``: how long each was to be."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        if len(self.waits) == self._count:
            self.set()
        return self.is_set()


class AfterThreeMicroBatches(Event):
    """Tells its worker to stop then."""

    worker: Worker | None = None

    def is_set(self) -> bool:
        return self.worker is not None and self.worker.stats.micro_batches >= 3


@pytest.fixture
def left(topic_prefix: Settings) -> Settings:
    """A worker has counted some, and was gone while more came."""
    rig.produce(topic_prefix, sales(0, 60))
    rig.run_to_end(topic_prefix)
    rig.produce(topic_prefix, sales(60, 200))
    return topic_prefix


def test_what_expired_is_read_from_the_archive_and_counts_as_if_it_had_been_read_in_time(left: Settings) -> None:
    keep(left)
    log = rig.visible(left)
    before = rig.positions(left)
    # Of one partition all, of one the greater part, of one what was read long ago.
    expire(left, {0: rig.ends(left)[0], 1: before[1] + 40, 2: before[2] - 1})
    rig.run_to_end(left.model_copy(update={"micro_batch_max_events": 23}))
    wanted = rig.assert_books_are_those_of(left, log)
    rig.assert_segments_abut(left)
    assert {decision for decision, _ in wanted.decisions.values()} == {"counted", "duplicate", "late"}
    rig.produce(left, sales(260, 20))
    rig.run_to_end(left)
    ends = {record.partition: record.offset for record in log}
    new = [record for record in rig.visible(left) if record.offset > ends.get(record.partition, -1)]
    rig.assert_books_are_those_of(left, sorted([*log, *new], key=lambda record: (record.partition, record.offset)))


@pytest.mark.parametrize("archived", ["none", "late", "short"])
def test_where_the_archive_lacks_them_too_it_says_which_and_of_which_dates_and_reads_nothing(
    left: Settings, archived: str
) -> None:
    """There is no archive; it began when they had expired; it ends before them."""
    before, books = rig.positions(left), rig.cells(left, "order_minutes")
    low = before[1] + 40
    if archived == "short":
        archiver_stopped_at = rig.ends(left)[1]
        keep(left)
        rig.produce(left, sales(260, 200))
        before_lost, low = archiver_stopped_at, archiver_stopped_at + 30
        expire(left, {1: low})
    else:
        expire(left, {1: low})
        before_lost = before[1]
        if archived == "late":
            keep(left)
    lost = rf"offsets \[{before_lost}, {low}\) of order-events partition 1 are neither in Kafka nor in the archive"
    with pytest.raises(TandemError, match=lost) as refused:
        rig.run_to_end(left)
    assert "the figures of 2017-12-2" in str(refused.value)
    assert (rig.positions(left), rig.cells(left, "order_minutes")) == (before, books)


def test_a_worker_that_is_stopped_while_it_reads_the_archive_goes_on_where_it_was(left: Settings) -> None:
    keep(left)
    log, before = rig.visible(left), rig.positions(left)
    expire(left, rig.ends(left))

    small = left.model_copy(update={"micro_batch_max_events": 11})
    stop = AfterThreeMicroBatches()
    stop.worker = Worker(small, stop)
    stop.worker.run(until_caught_up=True)
    assert before != rig.positions(left) != rig.ends(left)
    rig.run_to_end(small)
    rig.assert_books_are_those_of(left, log)


def test_while_another_reads_the_archive_a_worker_waits_longer_each_time(left: Settings) -> None:
    """It would join and leave the group without a rest otherwise."""
    keep(left)
    expire(left, rig.ends(left))
    stop = AfterWaits(4)
    worker = Worker(left, stop)
    with database.connect(left, database.SPEED, autocommit=True) as other:
        assert other.execute(sink.queries.catching_up).fetchone() == (True,)
        running = Thread(target=worker.run, daemon=True)
        running.start()
        running.join(300)
        ended = not running.is_alive()
        stop.set()
        running.join(300)
    assert ended
    assert worker.stats.fenced == 4
    assert stop.waits == sorted(set(stop.waits))
