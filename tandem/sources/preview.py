"""What a replay would send, in figures: for ``--dry-run``."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tandem.events import EventType
from tandem.sources.payloads import SourceEvent

FIRST_EVENTS = 10


class EventRow(msgspec.Struct, frozen=True):
    """One event as the preview lists it."""

    event_time: str
    event_type: str
    order_id: str | None
    customer_id: str | None
    lines: int
    total_cents: int


class Preview(msgspec.Struct, frozen=True):
    """The source's events in figures. ``without_customer`` and ``not_above_zero`` will go to quarantine."""

    orders: int
    lines: int
    units: int
    revenue_cents: int
    customers: int
    cancellations: int
    cancelled_cents: int
    first_event_time: str | None
    last_event_time: str | None
    without_customer: int
    not_above_zero: int
    cancellations_not_above_zero: int
    first_events: tuple[EventRow, ...]


def preview(events: Iterable[SourceEvent]) -> Preview:
    """Count every event; list the first ones."""
    first: list[EventRow] = []
    customers: set[str] = set()
    last: str | None = None
    orders = lines = units = revenue_cents = cancellations = cancelled_cents = anonymous = nothing = nothing_back = 0
    for event in events:
        payload, last = event.payload, event.payload.event_time
        if len(first) < FIRST_EVENTS:
            first.append(_row(event))
        anonymous += payload.customer_id is None
        if payload.event_type == EventType.ORDER_CANCELLED:
            cancellations += 1
            cancelled_cents += event.cents
            nothing_back += event.cents <= 0
            continue
        orders += 1
        lines += len(payload.items)
        units += sum(item.quantity for item in payload.items)
        revenue_cents += event.cents
        nothing += event.cents <= 0
        if payload.customer_id:
            customers.add(payload.customer_id)
    return Preview(
        orders,
        lines,
        units,
        revenue_cents,
        len(customers),
        cancellations,
        cancelled_cents,
        first[0].event_time if first else None,
        last,
        anonymous,
        nothing,
        nothing_back,
        tuple(first),
    )


def _row(event: SourceEvent) -> EventRow:
    payload = event.payload
    return EventRow(
        payload.event_time,
        payload.event_type,
        payload.order_id,
        payload.customer_id,
        len(payload.items),
        event.cents,
    )
