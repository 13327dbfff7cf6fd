"""What a reader of the topic sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, TopicPartition

from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

PARTITIONS = 12


@dataclass(frozen=True)
class Seen:
    partition: int
    offset: int
    key: bytes | None
    value: bytes


def visible(shop: Settings, isolation: str = "read_committed") -> list[Seen]:
    """Every record that is visible now, partition by partition in the order of the log."""
    return list(_read(shop, isolation))


def _read(shop: Settings, isolation: str) -> Iterator[Seen]:
    consumer = Consumer(
        {
            "bootstrap.servers": shop.brokers,
            "group.id": "reader",
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    topic = shop.topic(ORDER_EVENTS)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    open_partitions = set(range(PARTITIONS))
    try:
        while open_partitions:
            for message in consumer.consume(1000, timeout=10):
                if message.error() is None:
                    yield Seen(message.partition(), message.offset(), message.key(), message.value())
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition())
                else:
                    raise AssertionError(message.error().str())
    finally:
        consumer.close()
