"""A shop that sends records, and a reader of its own for what the archive must hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from confluent_kafka import IsolationLevel, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from log_reader import messages

from tandem.local import process
from tandem.settings import PROJECT_ROOT, Settings
from tandem.topics import ORDER_EVENTS

NOON = datetime(2017, 12, 23, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Record:
    """One record as it lies in Kafka or in the archive."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    kafka_time_ms: int


def order(number: int, when: datetime = NOON) -> bytes:
    event = {
        "event_id": f"e-{number}",
        "event_type": "order_created",
        "event_time": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "order_id": f"o-{number}",
        "customer_id": f"c-{number % 97}",
        "total_amount": "1.00",
        "items": [{"product_id": "milk", "category": "dairy", "quantity": 1, "amount": "1.00"}],
    }
    return json.dumps(event).encode()


class Shop:
    """A transactional producer of the test's topic."""

    def __init__(self, settings: Settings, name: str = "shop") -> None:
        self._settings = settings
        self._topic = settings.topic(ORDER_EVENTS)
        self._producer = Producer(
            {
                "bootstrap.servers": settings.brokers,
                "transactional.id": f"{settings.topic_prefix}{name}",
                "linger.ms": 5,
                "log_level": 0,
            }
        )
        self._producer.init_transactions(60)
        self._number = 0

    def sell(self, count: int, days: int = 3, **options: Any) -> None:
        """``count`` orders over ``days`` dates, in one transaction."""
        numbers = range(self._number, self._number + count)
        self._number += count
        values = [order(number, NOON - timedelta(days=number % days)) for number in numbers]
        self.send(values, keys=[b"c-%d" % (number % 97) for number in numbers], **options)

    def send(
        self,
        values: Iterable[bytes | None],
        keys: Sequence[bytes | None] | None = None,
        *,
        partition: int | None = None,
        commit: bool = True,
        wait: bool = True,
    ) -> None:
        """The values in one transaction, which is committed or aborted; by default every partition knows it then."""
        where = {} if partition is None else {"partition": partition}
        self._producer.begin_transaction()
        for at, value in enumerate(values):
            self._producer.produce(self._topic, value, keys[at] if keys else None, **where)
            if at % 5_000 == 0:
                self._producer.poll(0)
        if commit:
            self._producer.commit_transaction(60)
        else:
            self._producer.flush(60)
            self._producer.abort_transaction(60)
        if wait:
            settle(self._settings)

    def begin(self, value: bytes, partition: int) -> None:
        """Leave a transaction open with one record in it."""
        self._producer.begin_transaction()
        self._producer.produce(self._topic, value, partition=partition)
        self._producer.flush(60)

    def abort(self) -> None:
        self._producer.abort_transaction(60)


def visible(settings: Settings) -> list[Record]:
    """What a plain read_committed consumer sees up to the present end of the log, sorted.

    A commit returns before every partition knows of it: so read to the end that was there, not to the last that shows.
    """
    records = [
        Record(shown.partition(), shown.offset(), shown.key(), shown.value(), shown.timestamp()[1])
        for shown in messages(settings, ORDER_EVENTS, ends(settings))
    ]
    return sorted(records, key=lambda record: (record.partition, record.offset))


def archived(settings: Settings) -> list[Record]:
    """Every record in the archive, sorted; one that is there twice is there twice."""
    columns = ["partition", "offset", "key", "value", pl.col("kafka_time").dt.epoch("ms")]
    rows = pl.scan_delta(settings.archive).select(columns).sort("partition", "offset").collect().iter_rows()
    return [Record(*row) for row in rows]


def ends(
    settings: Settings, isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED, topic: str = ORDER_EVENTS
) -> dict[int, int]:
    """The offset after the last of every partition, transaction markers included; open transactions if uncommitted."""
    topic = settings.topic(topic)
    admin = AdminClient({"bootstrap.servers": settings.brokers, "log_level": 0})
    deadline = time.monotonic() + 300
    while True:
        try:
            partitions = admin.list_topics(topic, timeout=30).topics[topic].partitions
            asked = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in sorted(partitions)}
            answers = admin.list_offsets(asked, isolation_level=isolation, request_timeout=30)
            return {part.partition: answer.result().offset for part, answer in answers.items()}
        except KafkaException:  # a topic that was just made has no leader for a moment
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def start_archiver(settings: Settings, *options: str, log: Any = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """``tandem archive`` as a process of its own."""
    return _start(settings, ["tandem", "archive", *options], log)


def start_speed_worker(settings: Settings, *options: str, log: Any = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """``python -m stream`` as a process of its own."""
    return _start(settings, ["stream", *options], log)


def _start(settings: Settings, module: list[str], log: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", *module],
        cwd=PROJECT_ROOT,
        env={**os.environ, **process.environment(settings)},
        stdout=subprocess.PIPE,
        stderr=log,
    )


def settle(settings: Settings) -> None:
    """Wait until every partition knows how every transaction ended.

    The producer is answered as soon as the outcome is certain, before the partitions have heard of it.
    """
    while ends(settings) != ends(settings, IsolationLevel.READ_COMMITTED):
        time.sleep(0.05)
