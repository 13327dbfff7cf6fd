"""The planted events themselves: copies of real orders, changed as their kind of fault says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import msgspec

from tandem.events import EventType
from tandem.sources.payloads import Item, SourceEvent, amount, cents_of, encode, timestamp

FAR_FUTURE_US = timedelta(days=36_525) // timedelta(microseconds=1)
"""A century ahead: past any broker's clock, and the same in every replay of the same data."""

Json = dict[str, Any]


def planted_id(event: SourceEvent, kind: str) -> str:
    """Id of what a fault adds: the same in every replay, another one for each kind and order."""
    return f"{event.payload.event_id}~{kind}"


def repeated(event: SourceEvent, kind: str) -> SourceEvent:
    """The same order under a new event id."""
    return _with_payload(event, event_id=planted_id(event, kind))


def cancellation(event: SourceEvent, kind: str, at_us: int) -> SourceEvent:
    """The whole order taken back at a later time."""
    payload = msgspec.structs.replace(
        event.payload,
        event_id=planted_id(event, kind),
        event_type=str(EventType.ORDER_CANCELLED),
        event_time=timestamp(at_us),
    )
    return SourceEvent(at_us, event.cents, payload)


def amendment(event: SourceEvent, kind: str, at_us: int, random: Random) -> SourceEvent:
    """One line bought once more or, where something is left, taken off. ``cents`` is the change of the total."""
    line = random.choice([item for item in event.payload.items if cents_of(item.amount) > 0])
    sign = random.choice((1, -1)) if cents_of(line.amount) < event.cents else 1
    change = sign * cents_of(line.amount)
    payload = msgspec.structs.replace(
        event.payload,
        event_id=planted_id(event, kind),
        event_type=str(EventType.ORDER_AMENDED),
        event_time=timestamp(at_us),
        total_amount=amount(event.cents + change),
        previous_total_amount=event.payload.total_amount,
        items=(Item(line.product_id, line.category, sign * line.quantity, amount(change)),),
    )
    return SourceEvent(at_us, change, payload)


def with_bad_email(event: SourceEvent) -> SourceEvent:
    """The order itself with an address that is none; it still counts."""
    return _with_payload(event, customer_email=f"customer{event.payload.customer_id}(at)example")


def failing(event: SourceEvent, check: str, random: Random) -> tuple[bytes, SourceEvent]:
    """An extra event that fails exactly this check, as bytes, and what it would have been without the damage."""
    kind = check.lower()
    order_id = f"{event.payload.order_id}~{kind}"
    extra = _with_payload(event, event_id=planted_id(event, kind), order_id=order_id)
    if check == "MALFORMED_PAYLOAD":
        return _malformed(encode(extra.payload), random), extra
    fields = msgspec.to_builtins(extra.payload)
    _DAMAGE[check](fields, extra, random)
    at_us = extra.at_us + FAR_FUTURE_US if check == "FUTURE_ORDER_DATE" else extra.at_us
    return msgspec.json.encode(fields), SourceEvent(at_us, extra.cents, extra.payload)


def _with_payload(event: SourceEvent, **changes: str) -> SourceEvent:
    return SourceEvent(event.at_us, event.cents, msgspec.structs.replace(event.payload, **changes))


def _malformed(value: bytes, random: Random) -> bytes:
    broken_json = value.replace(b'":', b'"', 3)
    truncated = value[: random.randrange(1, len(value))]
    binary = b"\xff\xfe\x00" + random.randbytes(60)
    return random.choice((broken_json, truncated, binary))


def _without(field: str) -> Callable[[Json, SourceEvent, Random], None]:
    def damage(fields: Json, _: SourceEvent, __: Random) -> None:
        del fields[field]

    return damage


def _with(field: str, value: object) -> Callable[[Json, SourceEvent, Random], None]:
    def damage(fields: Json, _: SourceEvent, __: Random) -> None:
        fields[field] = value

    return damage


def _invalid_total(fields: Json, event: SourceEvent, random: Random) -> None:
    fields["total_amount"] = random.choice(("0.00", amount(-event.cents), "twelve", None))


def _invalid_previous(fields: Json, _: SourceEvent, __: Random) -> None:
    fields.update(event_type=str(EventType.ORDER_AMENDED), previous_total_amount="0.00")


def _invalid_item(fields: Json, _: SourceEvent, random: Random) -> None:
    random.choice(fields["items"])["product_id"] = random.choice(("", None))


def _wrong_total(fields: Json, event: SourceEvent, _: Random) -> None:
    fields["total_amount"] = amount(event.cents + event.cents // 10 + 100)


def _wrong_amendment(fields: Json, event: SourceEvent, _: Random) -> None:
    # The total stays, yet the items say that all of it was added.
    fields.update(event_type=str(EventType.ORDER_AMENDED), previous_total_amount=amount(event.cents))


def _future(fields: Json, event: SourceEvent, _: Random) -> None:
    fields["event_time"] = timestamp(event.at_us + FAR_FUTURE_US)


_DAMAGE: dict[str, Callable[[Json, SourceEvent, Random], None]] = {
    "MISSING_EVENT_TYPE": _without("event_type"),
    "MISSING_EVENT_ID": _without("event_id"),
    "INVALID_EVENT_TIME": _with("event_time", "yesterday"),
    "FUTURE_ORDER_DATE": _future,
    "MISSING_ORDER_ID": _without("order_id"),
    "MISSING_CUSTOMER_ID": _without("customer_id"),
    "INVALID_TOTAL_AMOUNT": _invalid_total,
    "INVALID_PREVIOUS_TOTAL": _invalid_previous,
    "MISSING_ORDER_ITEMS": _with("items", []),
    "INVALID_ITEM": _invalid_item,
    "TOTAL_AMOUNT_MISMATCH": _wrong_total,
    "AMENDED_AMOUNT_MISMATCH": _wrong_amendment,
    # The code that ISO 4217 keeps for tests.
    "FOREIGN_CURRENCY": _with("currency", "XTS"),
}
