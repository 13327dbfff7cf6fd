"""Where the planned records lie in Kafka: the log is read again from outside and laid beside the plan."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from reconciliation.drill.expect import Logged, Place
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.sources.labels import Label
from tandem.sources.partitioning import partition_of
from tandem.sources.payloads import OutgoingEvent
from tandem.sources.planning import PARTITIONS, ReplayPlan
from tandem.topics import ORDER_EVENTS

_AT_ONCE_S = 0.5
_SILENCE_S = 60.0
"""A broker on the same machine that brings nothing for so long will bring nothing more."""


def labels_of(plan: ReplayPlan) -> dict[int, Label]:
    """The labels of a plan's records, by the identity of the record."""
    return {id(fault.record): fault.label for faults in plan.planted.values() for fault in faults}


def lay_out(plan: ReplayPlan, log: Mapping[int, Sequence[tuple[int, bytes]]]) -> Iterator[Logged]:
    """Every planned record with its place, in the order of the plan. ``log``: offset and value, by partition.

    A record without a key may be in any partition, so it is known by its value. Raises TandemError where the log holds
    anything else than the plan.
    """
    labels = labels_of(plan)
    anywhere = {event.value for event in plan if event.key is None}
    found = {
        value: (partition, offset) for partition, rows in log.items() for offset, value in rows if value in anywhere
    }
    rows = {partition: iter([row for row in rows if row[1] not in anywhere]) for partition, rows in log.items()}
    for event in plan:
        yield Logged(_place(event, rows, found), event.value, labels.get(id(event)))
    if left := sum(len(list(rest)) for rest in rows.values()):
        raise TandemError(
            f"{left} records are in Kafka that nobody planned", "let nobody else send to the drill's Kafka"
        )


def _place(
    event: OutgoingEvent, rows: Mapping[int, Iterator[tuple[int, bytes]]], anywhere: Mapping[bytes, Place]
) -> Place:
    if event.key is None:
        return anywhere[event.value]
    place = partition(event.key)
    offset, value = next(rows.get(place, iter(())), (-1, b""))
    if value != event.value:
        raise TandemError(f"event {event.event_id} is not in Kafka where it was planned", "run the drill again")
    return place, offset


def partition(key: bytes) -> int:
    """Where records of a key lie."""
    return partition_of(key, PARTITIONS)


def read(settings: Settings, ends: Mapping[int, int]) -> dict[int, list[tuple[int, bytes]]]:
    """Offset and value of every committed record below ``ends``, by partition. Raises TandemError."""
    from confluent_kafka import OFFSET_BEGINNING, TopicPartition

    from tandem import kafka_client

    topic = settings.topic(ORDER_EVENTS)
    consumer = kafka_client.consumer(settings, settings.topic("tandem-drill"), {"enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition, end in ends.items() if end])
    log: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
    open_partitions = {partition for partition, end in ends.items() if end}
    heard = time.monotonic()
    try:
        while open_partitions:
            messages = consumer.consume(10_000, _AT_ONCE_S)
            heard = time.monotonic() if messages else heard
            if time.monotonic() - heard > _SILENCE_S:
                raise TandemError(f"Kafka shows no more of {topic}", "see the log of kafka")
            _take(messages, ends, log, open_partitions)
    finally:
        consumer.close()
    return dict(log)


def _take(
    messages: Iterable[object], ends: Mapping[int, int], log: dict[int, list[tuple[int, bytes]]], open_: set[int]
) -> None:
    for message in messages:
        partition = message.partition()  # type: ignore[attr-defined]  # the library has no types
        if message.error() is None:  # type: ignore[attr-defined]
            log[partition].append((message.offset(), message.value()))  # type: ignore[attr-defined]
        elif message.offset() >= ends[partition]:  # type: ignore[attr-defined]  # the end of the partition
            open_.discard(partition)
