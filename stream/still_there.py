"""Whether Kafka still has what was read of it.

A broker that was set back, as to a backup of its disk, or that lost the end of its log with its power, gives the
offsets behind it once more, to other records, under the topic's old id. Both layers would skip what came there alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from stream.types import Position
from tandem import compacted, kafka_client
from tandem.errors import TandemError
from tandem.settings import Settings

_ANSWER_S = 10.0
_POLL_S = 0.2
_LOOKS = 3
_AGAIN_S = 2.0
"""A leader that was just elected shows its last records only once its followers have them: one look is too few."""


def require(
    settings: Settings,
    admin: AdminClient,
    last: Mapping[Position, tuple[int, int]],
    lows: Callable[[Collection[Position]], Mapping[Position, int]],
    *,
    group: str,
) -> None:
    """Raises TandemError where Kafka has another record, or none, at an offset that has not expired.

    ``last``: offset, and the broker's time in ms, of a record of each partition; ``lows``: asks for the first offset
    that Kafka holds of each. Raises KafkaException where Kafka does not answer.
    """
    for looks in range(1, _LOOKS + 1):
        found = times_at(settings, {position: offset for position, (offset, _) in last.items()}, group)
        others = [position for position, (_, time_ms) in last.items() if found[position] != time_ms]
        first = lows(others) if others else {}
        gone = {}
        for position in others:
            (topic, partition), (offset, _) = position, last[position]
            is_gone = found[position] is None
            if offset < first[position] or (is_gone and compacted.is_compacted(settings, admin, topic)):
                continue  # nothing tells what was there
            if not is_gone or looks == _LOOKS:
                raise set_back(topic, partition, offset)
            gone[position] = last[position]
        if not gone:
            return
        last = gone
        time.sleep(_AGAIN_S)


def times_at(settings: Settings, places: Mapping[Position, int], group: str) -> dict[Position, int | None]:
    """The broker's time in ms of the record at an offset of each partition; None where no record is there.

    Raises KafkaException where Kafka does not answer.
    """
    if not places:
        return {}
    names = {settings.topic(topic): topic for topic, _ in places}
    found: dict[Position, int | None] = {}
    options = {
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "queued.min.messages": 1,  # of what follows nothing is wanted
        "fetch.queue.backoff.ms": 5,
    }
    consumer = kafka_client.consumer(settings, f"{group}-look", options)
    try:
        consumer.assign(
            [TopicPartition(settings.topic(topic), number, offset) for (topic, number), offset in places.items()]
        )
        deadline = time.monotonic() + _ANSWER_S
        while found.keys() != places.keys():
            if time.monotonic() > deadline:
                topic, partition = min(places.keys() - found.keys())
                problem = f"{topic} partition {partition} cannot be read"
                raise KafkaException(KafkaError(kafka_client.TIMED_OUT, problem))
            for message in consumer.consume(len(places), _POLL_S):
                if tells(message):
                    found.setdefault(of := (names[message.topic()], message.partition()), _time(message, places[of]))
                    consumer.pause([TopicPartition(message.topic(), message.partition())])
    finally:
        consumer.close()
    return found


def tells(message: Message) -> bool:
    """Whether it says what is, or is not, at an offset, and not that something fails."""
    error = message.error()
    return error is None or error.code() == kafka_client.END or error.code() in kafka_client.NOT_THERE


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
