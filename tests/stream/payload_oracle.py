"""What a payload means, read from the contract's words with the standard library only: one record at a time."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

MAX_TEXT = 512
MAX_LEVELS = 1000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)


class NotAnEventError(Exception):
    """The value is not one JSON object in UTF-8."""


@dataclass(frozen=True)
class Number:
    """A JSON number: its digits where it is whole, else the shortest decimal of its double."""

    text: str
    whole: bool


@dataclass(frozen=True)
class Item:
    product_id: str | None
    category: str
    quantity: int | None
    amount_cents: int | None

    @property
    def bad(self) -> bool:
        return self.product_id is None or self.quantity is None or self.amount_cents is None


@dataclass(frozen=True)
class Event:
    payload_ok: bool = False
    texts: dict[str, str | None] = field(default_factory=dict)
    event_time: datetime | None = None
    total_cents: int | None = None
    previous_total_cents: int | None = None
    items: tuple[Item, ...] = ()


TEXT_FIELDS = (
    "event_id",
    "event_type",
    "order_id",
    "customer_id",
    "currency",
    "payment_method",
    "status",
    "region",
    "customer_email",
)


def read(value: bytes | None) -> Event:
    try:
        fields = _object(value)
    except NotAnEventError:
        return Event(texts=dict.fromkeys(TEXT_FIELDS))
    items = fields.get("items")
    return Event(
        payload_ok=True,
        texts={name: text(fields.get(name)) for name in TEXT_FIELDS},
        event_time=instant(fields.get("event_time")),
        total_cents=cents(fields.get("total_amount")),
        previous_total_cents=cents(fields.get("previous_total_amount")),
        items=tuple(map(item, items)) if isinstance(items, list) else (),
    )


def _object(value: bytes | None) -> dict[str, Any]:
    if value is None:
        raise NotAnEventError
    try:
        parsed = json.loads(
            value.decode("utf-8"),
            object_pairs_hook=_first_wins,
            parse_int=lambda digits: Number(digits if digits != "-0" else "0", whole=True),
            parse_float=lambda number: Number(_plain(float(number)), whole=False),
            parse_constant=_refuse,
        )
    except (ValueError, RecursionError) as error:
        raise NotAnEventError from error
    if not isinstance(parsed, dict) or not _sound(parsed) or value.startswith(b"\xef\xbb\xbf"):
        raise NotAnEventError
    return parsed


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if not all(_sound(part) for pair in pairs for part in pair):
        raise NotAnEventError
    return dict(reversed(pairs))


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _plain(number: float) -> str:
    return format(Decimal(repr(number)), "f") if abs(number) < float("inf") else "inf"


def _sound(part: Any) -> bool:
    """No text has half a surrogate pair."""
    match part:
        case str():
            return not any("\ud800" <= character <= "\udfff" for character in part)
        case list():
            return all(map(_sound, part))
        case dict():
            return all(map(_sound, part.keys())) and all(map(_sound, part.values()))
    return True


def text(part: Any) -> str | None:
    if isinstance(part, Number) and part.whole:
        part = part.text
    if isinstance(part, str) and 1 <= len(part) <= MAX_TEXT and "\0" not in part:
        return part
    return None


def _written(part: Any, pattern: str) -> str | None:
    if isinstance(part, Number):
        part = part.text
    return part if isinstance(part, str) and re.fullmatch(pattern, part) else None


def cents(part: Any) -> int | None:
    found = _written(part, r"-?[0-9]{1,11}(\.[0-9]{1,2}0*)?")
    return int(Decimal(found) * 100) if found else None


def whole(part: Any) -> int | None:
    found = _written(part, r"-?[0-9]{1,9}(\.0+)?")
    return int(Decimal(found)) if found else None


def instant(part: Any) -> datetime | None:
    if not isinstance(part, str):
        return None
    found = re.fullmatch(
        r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
        r"(?:(Z)|([+-])([0-9]{2}):([0-9]{2}))",
        part,
    )
    if not found:
        return None
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    micros = int((found[7] or "0").ljust(9, "0")[:6])
    off_hours, off_minutes = int(found[10] or 0), int(found[11] or 0)
    if off_hours > 23 or off_minutes > 59:
        return None
    offset = timedelta(hours=off_hours, minutes=off_minutes) * (-1 if found[9] == "-" else 1)
    try:
        moment = datetime(year, month, day, hour, minute, second, micros, tzinfo=timezone(offset)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if moment >= EARLIEST else None


def item(part: Any) -> Item:
    if not isinstance(part, dict):
        return Item(None, "uncategorised", None, None)
    quantity, price, amount = part.get("quantity"), part.get("unit_price"), part.get("amount")
    if amount is not None:
        money, pieces = cents(amount), 0 if quantity is None else whole(quantity)
    else:
        pieces, unit = whole(quantity), cents(price)
        money = None if pieces is None or unit is None else pieces * unit
        if money is not None and abs(money) >= 10**13:
            money = None
    return Item(text(part.get("product_id")), text(part.get("category")) or "uncategorised", pieces, money)
