"""Postgres away for a minute, Kafka away for a minute, under load: a worker waits, says so, goes on, and is exact."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import speed_rig as rig
from confluent_kafka import KafkaError, KafkaException, Message
from installations import installations
from topic_books import shop

from tandem import kafka_client
from tandem.local import kafka, postgres, process
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1200)]

AWAY_S = 60


@pytest.fixture
def own() -> Iterator[Settings]:
    """An installation whose servers the test stops."""
    for made in installations(micro_batch_max_events=500):
        postgres.start(made)
        kafka.start(made)
        yield made


class Load:
    """A shop that sells all the time, through whatever happens to its broker, and may send an order again."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._stop = settings, Event()
        self.delivered = 0
        self._thread = ThreadPoolExecutor(1)
        self._selling = self._thread.submit(self._sell)

    def _sell(self) -> None:
        patient = {"acks": "all", "message.timeout.ms": 600_000, "linger.ms": 5}
        producer = kafka_client.producer(self._settings, patient)
        topic = self._settings.topic(ORDER_EVENTS)
        for number, record in enumerate(shop(1_000_000)):
            producer.produce(topic, record.value, record.key, on_delivery=self._count)
            producer.poll(0)
            if number % 20 == 0 and self._stop.wait(0.05):
                break
        assert producer.flush(300) == 0

    def _count(self, error: KafkaError | None, _: Message) -> None:
        if error:
            raise KafkaException(error)
        self.delivered += 1

    def stop(self) -> None:
        """Sell nothing more, and ask nothing about what is on its way."""
        self._stop.set()
        self._thread.shutdown(wait=False)

    def end(self) -> None:
        """Send what is on its way; raises what the shop died of."""
        self.stop()
        self._selling.result(360)


def progress_over(settings: Settings) -> int:
    return sum(rig.positions(settings).values())


@pytest.mark.parametrize(
    ("name", "start_again"), [(postgres.NAME, postgres.start), (kafka.NAME, kafka.start)], ids=["postgres", "kafka"]
)
def test_a_server_that_is_away_for_a_minute_costs_nothing_but_the_minute(
    own: Settings, name: str, start_again: Callable[[Settings], None]
) -> None:
    worker = rig.start_worker(own)
    load = Load(own)
    try:
        rig.wait_for(lambda: progress_over(own) > 1_000, "the worker to be in the middle of it")
        process.stop(own, name)
        time.sleep(AWAY_S)
        assert worker.poll() is None
        start_again(own)
        delivered = load.delivered
        rig.wait_for(lambda: load.delivered > delivered + 1_000, "more load")
        load.end()
        rig.wait_for(lambda: rig.is_caught_up(own), "the worker to finish")
    finally:
        load.stop()
        worker.terminate()
        _, said = worker.communicate(timeout=300)
    assert "waiting" in said
    rig.assert_books_are_exact(own)
