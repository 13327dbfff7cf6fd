"""Clients of Kafka, alike wherever they are made, and its error codes by what they mean.

librdkafka writes refused connections to standard error, many a second while a broker is away. Whoever waits for one
says so once instead.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from tandem.settings import Settings

# The library's constants for its own error codes are public, if oddly named.
END = KafkaError._PARTITION_EOF  # noqa: SLF001 - as said above
TIMED_OUT = KafkaError._TIMED_OUT  # noqa: SLF001 - as said above
REFUSED_SETTING = KafkaError._INVALID_ARG  # noqa: SLF001 - as said above
NOT_THERE = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}  # noqa: SLF001 - as said above
"""An offset that Kafka has not, or no longer."""
UNKNOWN_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}  # noqa: SLF001 - as said above
"""Also of a topic that another broker has just made."""
PASSING = {
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - as said above
    KafkaError._TRANSPORT,  # noqa: SLF001 - as said above
    KafkaError._RESOLVE,  # noqa: SLF001 - as said above
    KafkaError._MAX_POLL_EXCEEDED,  # noqa: SLF001 - as said above
    TIMED_OUT,
    *UNKNOWN_TOPIC,
}
"""What a consumer waits out, beside what the library calls retriable."""
_MOVING = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
}
LARGEST_MESSAGE = 990_000
"""Bytes of key and value that a producer takes: its limit of a million counts what goes around them too."""
_log = logging.getLogger("tandem.librdkafka")
_log.addHandler(logging.NullHandler())
_log.propagate = False


def is_moving(error: Exception) -> bool:
    """Whether a partition has no leader just now, as after a restart or right after its creation."""
    return isinstance(error, KafkaException) and error.args[0].code() in _MOVING


def admin(settings: Settings) -> AdminClient:
    """Asks over connections of its own: on a consumer's, an answer waits behind a fetch that waits for data."""
    return AdminClient(_address(settings), logger=_log)


def consumer(settings: Settings, group: str, options: Mapping[str, Any]) -> Consumer:
    """Reads what is committed, and commits nothing by itself. ``group`` is joined only by who subscribes."""
    base = {"group.id": group, "isolation.level": "read_committed", "enable.auto.commit": False}
    return Consumer({**_address(settings), **base, **options}, logger=_log)


def producer(settings: Settings, options: Mapping[str, Any]) -> Producer:
    """Sends what it is given."""
    return Producer({**_address(settings), **options}, logger=_log)


def _address(settings: Settings) -> dict[str, Any]:
    return {"bootstrap.servers": settings.brokers}
