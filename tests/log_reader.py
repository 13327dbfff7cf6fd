"""A plain consumer, for what a reader of a topic sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from tandem.settings import Settings

_LOOK_AGAIN_S = 0.1
"""``consume`` waits so long for as many as it was asked for, at the end of the log too."""


def messages(
    settings: Settings, topic: str, ends: Mapping[int, int], isolation: str = "read_committed"
) -> Iterator[Message]:
    """What each partition shows up to the end given for it; beyond, as much as comes with it."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.brokers,
            "group.id": f"{settings.topic_prefix}witness",
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    consumer.assign([TopicPartition(settings.topic(topic), partition, OFFSET_BEGINNING) for partition in ends])
    unread = set(ends)
    try:
        while unread:
            for message in consumer.consume(5_000, _LOOK_AGAIN_S):
                if message.error() is None:
                    yield message
                elif message.error().code() != KafkaError._PARTITION_EOF:
                    raise AssertionError(message.error().str())
                elif message.offset() >= ends[message.partition()]:
                    unread.discard(message.partition())
    finally:
        consumer.close()
