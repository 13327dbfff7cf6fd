"""One event of a source: its money in whole cents, and the JSON that it becomes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONEY = re.compile(r"-?[0-9]+([.][0-9]{2})?")


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of an order; ``amount`` is the line's money with two places."""

    product_id: str | None
    category: str | None
    quantity: int
    amount: str
    unit_price: str | None = None


class Payload(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The JSON object of one event, in the contract's order. What is None is left out."""

    event_id: str
    event_type: str
    event_time: str
    order_id: str | None = None
    customer_id: str | None = None
    total_amount: str
    previous_total_amount: str | None = None
    items: tuple[Item, ...] | list[Item]
    currency: str | None = None
    payment_method: str | None = None
    region: str | None = None
    customer_email: str | None = None


class SourceEvent(msgspec.Struct, frozen=True):
    """One event of a source: its time in microseconds since 1970 UTC, its total in cents, and its payload."""

    at_us: int
    cents: int
    payload: Payload


class OutgoingEvent(msgspec.Struct, frozen=True):
    """One record to produce, in the order of the log. ``planted``: a fault, not one of the source's own records."""

    key: bytes | None
    value: bytes
    at_us: int
    event_id: str
    event_type: str
    cents: int
    planted: bool = False

    @property
    def event_time(self) -> datetime:
        """The event's time, aware, UTC."""
        return instant(self.at_us)


_ENCODER = msgspec.json.Encoder()


def encode(payload: Payload) -> bytes:
    """The payload as JSON."""
    return _ENCODER.encode(payload)


def outgoing(event: SourceEvent) -> OutgoingEvent:
    """A source's own event as a record. An event without a customer has no key."""
    payload = event.payload
    key = payload.customer_id.encode() if payload.customer_id else None
    return OutgoingEvent(key, encode(payload), event.at_us, payload.event_id, payload.event_type, event.cents)


def amount(cents: int) -> str:
    """Cents as a decimal string with two places."""
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole}.{rest:02d}"


def cents_of(money: str) -> int:
    """Cents of a decimal string such as ``amount`` writes. Raises ValueError for anything else."""
    if not _MONEY.fullmatch(money):
        raise ValueError(f"'{money}' is not an amount such as 12.34")
    return int(money.replace(".", "")) if "." in money else int(money) * 100


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 UTC of an aware instant."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def instant(at_us: int) -> datetime:
    """The aware UTC instant of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=at_us)


def timestamp(at_us: int) -> str:
    """An instant as RFC 3339 in UTC, with a fraction only where there is one."""
    return instant(at_us).isoformat().replace("+00:00", "Z")
