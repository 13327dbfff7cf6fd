"""What a reader of the topic sees."""

from __future__ import annotations

from dataclasses import dataclass

from confluent_kafka import IsolationLevel
from log_reader import messages
from shop import ends

from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS


@dataclass(frozen=True)
class Seen:
    partition: int
    offset: int
    key: bytes | None
    value: bytes


def visible(shop: Settings, isolation: IsolationLevel = IsolationLevel.READ_COMMITTED) -> list[Seen]:
    """Every record that is visible now, partition by partition in the order of the log."""
    shown = messages(shop, ORDER_EVENTS, ends(shop, isolation), isolation.name.lower())
    return [Seen(record.partition(), record.offset(), record.key(), record.value()) for record in shown]
