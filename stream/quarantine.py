"""Quarantined events: kept whole with their reasons, announced on ``quarantined-data`` and ``data-quality-alerts``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import msgspec
import polars as pl

from stream.fold import business_date
from stream.operators import MESSAGES
from stream.types import Records, Rules
from tandem.events import Decision
from tandem.topics import DATA_QUALITY_ALERTS, ORDER_EVENTS, QUARANTINED_DATA

_MESSAGE_BYTES = 900_000
"""What a message may hold where the broker keeps its defaults; a longer value stays in ``speed.quarantine`` only."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record that does not count. Field by field a row of ``speed.quarantine``; ``value`` as it came."""

    topic: str
    partition: int
    offset: int
    kafka_time: datetime
    key: bytes | None
    value: bytes | None
    reasons: list[str]
    event_id: str | None = None
    event_type: str | None = None
    event_time: datetime | None = None
    order_id: str | None = None
    customer_id: str | None = None
    business_date: date | None = None

    @property
    def address(self) -> str:
        """Where the record stands in Kafka."""
        return f"{self.topic}:{self.partition}:{self.offset}"

    def row(self) -> tuple[Any, ...]:
        """The columns of ``speed.quarantine`` in order."""
        return tuple(getattr(self, name) for name in self.__slots__)


_Message = tuple[str, str, bytes, bytes]
"""A row of MESSAGES."""


def of_orders(decided: pl.DataFrame, records: Records, rules: Rules) -> list[Quarantined]:
    """The quarantined among the decided events of these records."""
    rows = decided.filter(pl.col("decision") == Decision.QUARANTINED).with_columns(
        business_date(pl.col("event_time"), rules.zone).alias("business_date"),
        pl.col("reasons").str.split(","),
        pl.lit(ORDER_EVENTS).alias("topic"),
    )
    return [
        Quarantined(
            key=records.keys[row["row"]],
            value=records.values[row["row"]],
            **{name: row[name] for name in Quarantined.__slots__ if name not in {"key", "value"}},
        )
        for row in rows.iter_rows(named=True)
    ]


def messages(quarantined: Iterable[Quarantined]) -> pl.DataFrame:
    """What is announced, as MESSAGES: every record by itself, one alert per partition and reason of the micro-batch."""
    records = list(quarantined)
    alerts: dict[tuple[str, int, str], list[Quarantined]] = {}
    for record in records:
        for reason in record.reasons:
            alerts.setdefault((record.topic, record.partition, reason), []).append(record)
    rows = [_message(record) for record in records] + [_alert(reason, of) for (_, _, reason), of in alerts.items()]
    return pl.DataFrame(rows, schema=MESSAGES, orient="row")


def _message(record: Quarantined) -> _Message:
    facts = {name: getattr(record, name) for name in Quarantined.__slots__}
    size = len(record.value or b"")
    encoded = b""
    if size <= _MESSAGE_BYTES:  # no text is shorter than its bytes
        encoded = msgspec.json.encode(facts | {"key": _readable(record.key), "value": _readable(record.value)})
    if not 0 < len(encoded) <= _MESSAGE_BYTES:
        encoded = msgspec.json.encode(facts | {"key": None, "value": None, "value_bytes": size})
    return (f"quarantine:{record.address}", QUARANTINED_DATA, record.address.encode(), encoded)


def _readable(raw: bytes | None) -> str | None:
    """Bytes as a text for people; the bytes themselves are in ``speed.quarantine``."""
    return None if raw is None else raw.decode("utf-8", errors="replace")


def _alert(reason: str, records: list[Quarantined]) -> _Message:
    first = records[0]
    facts = {
        "reason": reason,
        "topic": first.topic,
        "partition": first.partition,
        "events": len(records),
        "first_offset": first.offset,
        "last_offset": records[-1].offset,
        "first_kafka_time": first.kafka_time,
    }
    return (f"alert:{first.address}:{reason}", DATA_QUALITY_ALERTS, reason.encode(), msgspec.json.encode(facts))
