"""The event contract of ``order-events``: what a payload may hold and what both layers decode it to.

Both layers decode on their own (polars and DuckDB here, Spark there) and must arrive at the same typed
columns. So the grammar of every scalar is one regular expression that all engines read alike, and what does not
match it is NULL, never a guess. The checks then say what a NULL means.

How a payload is read:

- JSON is RFC 8259 in UTF-8: no NaN, no comma before a closing bracket, no lone surrogate, nothing after the object, and
  at most MAX_NESTING levels. Anything else is malformed as a whole.
- Where a name stands twice in one object, the first counts.
- A text is a JSON string of 1 to MAX_TEXT_LENGTH characters (code points) without U+0000, or a JSON integer, of which
  the digits are taken. Anything else, such as an object or a number with a fraction, is NULL.
- An amount or a quantity is a JSON string or a JSON number that matches its pattern; a number with a fraction or an
  exponent is read as a double and written as its shortest plain decimal (1e2 is 100.0, 12.30 is 12.3).
- A pattern matches the value as a whole: ``$`` is the very end, also before a final line break.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EventType(StrEnum):
    """The kinds of event that count; any other kind is archived and journalled as ignored."""

    ORDER_CREATED = "order_created"
    ORDER_CANCELLED = "order_cancelled"
    ORDER_AMENDED = "order_amended"
    PAYMENT_SUCCEEDED = "payment_succeeded"
    PAYMENT_FAILED = "payment_failed"


ORDER_TYPES = (EventType.ORDER_CREATED, EventType.ORDER_CANCELLED, EventType.ORDER_AMENDED)


class Decision(StrEnum):
    """What a layer did with an event. Exactly one holds, the first that applies in this order."""

    IGNORED = "ignored"
    """The event type is not one of EventType."""
    QUARANTINED = "quarantined"
    """A critical check failed."""
    DUPLICATE = "duplicate"
    """The event was accepted before."""
    LATE = "late"
    """Speed layer only: further behind the partition's watermark than the allowed lateness."""
    COUNTED = "counted"


MAX_NESTING = 1000
MAX_TEXT_LENGTH = 512
"""Texts become keys in databases, which bound them."""

AMOUNT_PATTERN = r"^-?[0-9]{1,11}([.][0-9]{1,2}0*)?$"
"""Money: at most two places that are not zero. Total, previous total, unit price and line amount. Eleven digits, so
that the lines of the largest message Kafka takes cannot overflow an int64 of cents."""

MAX_CENTS = 10**13
"""Every amount is nearer to zero than this; so is quantity × unit_price, or it is no amount."""

QUANTITY_PATTERN = r"^-?[0-9]{1,9}([.]0+)?$"
"""Quantities are whole; goods sold by weight give the line's ``amount`` and a quantity of 1, or 0."""

EVENT_TIME_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
"""RFC 3339 with an offset; digits past the microsecond are cut off. No 24:00, no leap second, no offset of a day or
more, because engines disagree on them. Not a date of the calendar, before EARLIEST_EVENT_TIME, or after the year 9999
in UTC: NULL."""

EARLIEST_EVENT_TIME = "1990-01-01T00:00:00+00:00"

UNCATEGORISED = "uncategorised"
"""Category of a line that names none."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a typed frame. ``kind``: text, int64, bool, timestamp (microseconds, UTC), bytes, items."""

    name: str
    kind: str
    meaning: str


EVENT_COLUMNS: tuple[Column, ...] = (
    Column("partition", "int32", "Kafka partition"),
    Column("offset", "int64", "Kafka offset"),
    Column("kafka_time", "timestamp", "the broker's append time"),
    Column("payload_ok", "bool", "valid UTF-8 that is one JSON object, see above"),
    Column("event_id", "text", "as in the payload, see above for every text"),
    Column("event_type", "text", "as in the payload"),
    Column("event_time", "timestamp", "by EVENT_TIME_PATTERN, else NULL"),
    Column("ahead_us", "int64", "event_time - kafka_time in microseconds"),
    Column("order_id", "text", "as in the payload"),
    Column("customer_id", "text", "as in the payload"),
    Column("total_cents", "int64", "by AMOUNT_PATTERN, else NULL"),
    Column("previous_total_cents", "int64", "by AMOUNT_PATTERN, else NULL"),
    Column("currency", "text", "as in the payload"),
    Column("foreign_currency", "bool", "a currency is given and it is not the business's"),
    Column("payment_method", "text", "as in the payload"),
    Column("status", "text", "as in the payload"),
    Column("region", "text", "as in the payload"),
    Column("customer_email", "text", "as in the payload"),
    Column("items", "items", "list of product_id text, category text, quantity int64, amount_cents int64"),
    Column("item_count", "int64", "length of items, 0 where there is no list"),
    Column("bad_item_count", "int64", "items without product_id, whole quantity or amount"),
    Column("items_cents", "int64", "sum of the items' amount_cents, 0 where there are none"),
    Column("units", "int64", "sum of the items' quantity, 0 where there are none"),
)
"""A typed event, one row per record. ``amount_cents`` of an item is its ``amount``, or else, where that is absent or
null, quantity × unit_price (exact, since both grammars make it whole cents). An item's quantity is required where it
has no amount and defaults to 0 where it is absent or null beside one. An item that is not an object is a bad item;
``items`` that is not a list counts as missing."""

LINE_COLUMNS: tuple[Column, ...] = (
    Column("partition", "int32", "of the event"),
    Column("offset", "int64", "of the event"),
    Column("event_type", "text", "of the event"),
    Column("event_time", "timestamp", "of the event"),
    Column("customer_id", "text", "of the event"),
    Column("product_id", "text", "of the item"),
    Column("category", "text", "of the item, UNCATEGORISED where it names none"),
    Column("quantity", "int64", "of the item"),
    Column("amount_cents", "int64", "of the item"),
)
"""The counted events' items, one row per item."""
