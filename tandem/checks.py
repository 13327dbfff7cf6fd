"""Checks per event (capability Q1) as data: check × event type × severity, read by both layers.

A condition is an SQL expression over the typed columns of ``tandem.events.EVENT_COLUMNS``, in the small common part
of polars' and Spark's SQL. It says when the check FAILS; NULL counts as not failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tandem.events import ORDER_TYPES, EventType

RULE_VERSION = "1"
"""Raise it with any change to a check or a grammar: the journal and every batch run carry it."""


class Severity(StrEnum):
    """What a failed check does to the event."""

    CRITICAL = "critical"
    """The event goes to quarantine, whole, and is not counted."""
    WARNING = "warning"
    """The event counts; the reason is kept with it."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``severity`` maps the event types it applies to."""

    code: str
    fails_when: str
    severity: dict[str, Severity]
    meaning: str


_EVERY = tuple(EventType)
_ORDERS = ORDER_TYPES


def _all(types: tuple[EventType, ...], severity: Severity = Severity.CRITICAL) -> dict[str, Severity]:
    return {str(t): severity for t in types}


_ANY_OTHER = ""
"""Stands for records whose event type could not be read at all."""

CHECKS: tuple[Check, ...] = (
    Check(
        "MALFORMED_PAYLOAD",
        "NOT payload_ok",
        {_ANY_OTHER: Severity.CRITICAL},
        "the value is not one JSON object in UTF-8",
    ),
    Check(
        "MISSING_EVENT_TYPE",
        "payload_ok AND event_type IS NULL",
        {_ANY_OTHER: Severity.CRITICAL},
        "no event_type",
    ),
    Check("MISSING_EVENT_ID", "event_id IS NULL", _all(_EVERY), "no event_id, so copies cannot be told"),
    Check(
        "INVALID_EVENT_TIME",
        "event_time IS NULL",
        _all(_EVERY),
        "event_time is missing, not RFC 3339 with an offset, or before 1990",
    ),
    Check(
        "FUTURE_ORDER_DATE",
        "ahead_us > 3600000000",
        _all(_EVERY),
        "more than 1 h ahead of the broker's clock",
    ),
    Check("MISSING_ORDER_ID", "order_id IS NULL", _all(_EVERY), "no order_id"),
    Check("MISSING_CUSTOMER_ID", "customer_id IS NULL", _all(_EVERY), "no customer_id"),
    Check(
        "INVALID_TOTAL_AMOUNT",
        "total_cents IS NULL OR total_cents <= 0",
        _all(_ORDERS),
        "total_amount is missing, not an amount, or not above 0",
    ),
    Check(
        "INVALID_PREVIOUS_TOTAL",
        "previous_total_cents IS NULL OR previous_total_cents <= 0",
        _all((EventType.ORDER_AMENDED,)),
        "an amendment does not say what the total was before",
    ),
    Check(
        "MISSING_ORDER_ITEMS",
        "item_count = 0",
        {
            EventType.ORDER_CREATED: Severity.CRITICAL,
            # What is taken back may be a sum without lines: the order's books stay right, the product's do not.
            EventType.ORDER_CANCELLED: Severity.WARNING,
            EventType.ORDER_AMENDED: Severity.WARNING,
        },
        "no items",
    ),
    Check(
        "INVALID_ITEM",
        "bad_item_count > 0",
        _all(_ORDERS),
        "an item lacks its product, a whole quantity or an amount",
    ),
    Check(
        "TOTAL_AMOUNT_MISMATCH",
        "item_count > 0 AND bad_item_count = 0 AND total_cents > 0"
        " AND abs(items_cents - total_cents) > total_cents / 100.0",
        _all((EventType.ORDER_CREATED, EventType.ORDER_CANCELLED)),
        "the items' amounts are more than 1 % off the total",
    ),
    Check(
        "AMENDED_AMOUNT_MISMATCH",
        "item_count > 0 AND bad_item_count = 0 AND total_cents > 0"
        " AND abs(items_cents - (total_cents - previous_total_cents)) > total_cents / 100.0",
        _all((EventType.ORDER_AMENDED,)),
        "the items' deltas are off the change of the total by more than 1 % of the total",
    ),
    Check("FOREIGN_CURRENCY", "foreign_currency", _all(_EVERY), "another currency than the business's"),
    Check(
        "INVALID_EMAIL_FORMAT",
        "customer_email IS NOT NULL AND NOT (customer_email RLIKE '^[^@ ]+@[^@ ]+[.][^@ ]+$')",
        _all(_EVERY, Severity.WARNING),
        "customer_email is not name@host.domain",
    ),
)


def applies_when(check: Check, severity: Severity) -> str | None:
    """SQL condition under which ``check`` applies with ``severity``, or None where it never does."""
    types = [t for t, s in check.severity.items() if s is severity]
    if not types:
        return None
    if types == [_ANY_OTHER]:
        return "TRUE"
    return "event_type IN (" + ", ".join(f"'{t}'" for t in types) + ")"
