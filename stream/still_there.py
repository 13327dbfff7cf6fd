"""Whether Kafka still has what was read of it.

A broker that was set back, as to a backup of its disk, or that lost the end of its log with its power, gives the
offsets behind it once more, to other records, under the topic's old id. Both layers would skip what came there alike.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from logging import Logger

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tandem.errors import TandemError
from tandem.settings import Settings

_ANSWER_S = 10.0
_POLL_S = 0.2
# The library's constants for its own error codes are public, if oddly named.
_END = KafkaError._PARTITION_EOF  # noqa: SLF001 - as said above
_NOT_THERE = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}  # noqa: SLF001 - as said above
_TIMED_OUT = KafkaError._TIMED_OUT  # noqa: SLF001 - as said above


def times_at(
    settings: Settings, topic: str, places: Mapping[int, int], group: str, log: Logger
) -> dict[int, int | None]:
    """The broker's time in ms of the record at an offset of each partition; None where no record is there.

    ``topic``: as the broker calls it. Raises KafkaException where Kafka does not answer.
    """
    found: dict[int, int | None] = {}
    consumer = Consumer(
        {
            "bootstrap.servers": settings.brokers,
            "group.id": f"{group}-look",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
        },
        logger=log,
    )
    try:
        consumer.assign([TopicPartition(topic, partition, offset) for partition, offset in places.items()])
        deadline = time.monotonic() + _ANSWER_S
        while found.keys() != places.keys():
            if time.monotonic() > deadline:
                raise KafkaException(KafkaError(_TIMED_OUT, f"{topic} cannot be read"))
            for message in consumer.consume(len(places), _POLL_S):
                partition = message.partition()
                if partition is not None and partition not in found and _tells(message):
                    found[partition] = _time(message, places[partition])
                    consumer.pause([TopicPartition(topic, partition)])
    finally:
        consumer.close()
    return found


def _tells(message: Message) -> bool:
    error = message.error()
    return error is None or error.code() == _END or error.code() in _NOT_THERE


def _time(message: Message, offset: int) -> int | None:
    if message.error() is not None or message.offset() != offset:
        return None
    time_ms: int = message.timestamp()[1]
    return time_ms


def set_back(topic: str, partition: int, offset: int) -> TandemError:
    """What to say where Kafka has another record, or none, at an offset that was read."""
    return TandemError(
        f"{topic} partition {partition} no longer has the record that was read at offset {offset}: Kafka was set back",
        "nothing of it was read; see 'What was set back' in docs/archive.md",
    )
