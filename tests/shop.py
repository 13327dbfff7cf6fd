"""A shop that sends records, and a reader of its own for what the archive must hold."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from tandem.local import process
from tandem.settings import PROJECT_ROOT, Settings
from tandem.topics import ORDER_EVENTS

NOON = datetime(2017, 12, 23, 12, tzinfo=UTC)


@dataclass(frozen=True, order=True)
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
    ) -> None:
        """The values in one transaction, which is committed or aborted."""
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

    def begin(self, value: bytes, partition: int) -> None:
        """Leave a transaction open with one record in it."""
        self._producer.begin_transaction()
        self._producer.produce(self._topic, value, partition=partition)
        self._producer.flush(60)

    def abort(self) -> None:
        self._producer.abort_transaction(60)


def visible(settings: Settings, **options: Any) -> list[Record]:
    """What a plain read_committed consumer sees from the first offset to the last, sorted."""
    topic = settings.topic(ORDER_EVENTS)
    consumer = Consumer(
        {
            "bootstrap.servers": settings.brokers,
            "group.id": f"{settings.topic_prefix}witness",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            **options,
        }
    )
    partitions = sorted(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
    records, open_partitions = [], set(partitions)
    while open_partitions:
        for message in consumer.consume(5_000, 1.0):
            if message.error() is None:
                time_ms = message.timestamp()[1]
                records.append(Record(message.partition(), message.offset(), message.key(), message.value(), time_ms))
            elif message.error().code() == KafkaError._PARTITION_EOF:
                open_partitions.discard(message.partition())
    consumer.close()
    return sorted(records)


def archived(settings: Settings) -> list[Record]:
    """Every record in the archive, sorted; one that is there twice is there twice."""
    columns = ["partition", "offset", "key", "value", pl.col("kafka_time").dt.epoch("ms")]
    return sorted(Record(*row) for row in pl.scan_delta(settings.archive).select(columns).collect().iter_rows())


def ends(settings: Settings, *, isolation: str = "read_committed") -> dict[int, int]:
    """The offset after the last record, markers included, of every partition."""
    topic = settings.topic(ORDER_EVENTS)
    consumer = Consumer({"bootstrap.servers": settings.brokers, "group.id": "ends", "isolation.level": isolation})
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    found = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=30)[1] for p in sorted(partitions)}
    consumer.close()
    return found


def start_archiver(settings: Settings, *options: str, log: Any = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """``tandem archive`` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tandem", "archive", *options],
        cwd=PROJECT_ROOT,
        env={**os.environ, **process.environment(settings)},
        stdout=subprocess.PIPE,
        stderr=log,
    )


def moments(count: int, longest_s: float) -> list[float]:
    """Random waits, different in every run, so that kills fall anywhere."""
    return [random.uniform(0.0, longest_s) for _ in range(count)]
