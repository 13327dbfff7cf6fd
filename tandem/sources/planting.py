"""From a place to a record: each fault as the bytes that go out and the label that says what to expect of them."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tandem.clock import business_date
from tandem.settings import Settings
from tandem.sources import damage, faults
from tandem.sources.faults import REPLACING
from tandem.sources.labels import Label
from tandem.sources.partitioning import partition_of
from tandem.sources.payloads import OutgoingEvent, SourceEvent, encode, instant, timestamp
from tandem.sources.placing import Placement

_UNREADABLE: dict[str, frozenset[str]] = {
    "MALFORMED_PAYLOAD": frozenset({"event_id", "order_id", "customer_id"}),
    "MISSING_EVENT_ID": frozenset({"event_id"}),
    "MISSING_ORDER_ID": frozenset({"order_id"}),
    "MISSING_CUSTOMER_ID": frozenset({"customer_id"}),
}
"""Ids that a reader does not find in a record that fails the check."""


@dataclass(frozen=True, slots=True)
class PlantedRecord:
    """A record right after the source's event at ``after``, and its label."""

    placement: Placement
    record: OutgoingEvent
    label: Label


def plant(placement: Placement, order: SourceEvent, partitions: int, config: Settings) -> PlantedRecord:
    """The record of one fault in this order."""
    value, event = _event(placement, order)
    check = placement.kind.check
    missing = _UNREADABLE.get(check or "", frozenset())
    customer = event.payload.customer_id or ""
    record = OutgoingEvent(
        None if check == "MISSING_CUSTOMER_ID" else customer.encode(),
        value,
        event.at_us,
        event.payload.event_id,
        event.payload.event_type,
        event.cents,
        planted=placement.kind.name not in REPLACING,
    )
    kind = placement.kind
    label = Label(
        kind=kind.name,
        event_id=None if "event_id" in missing else event.payload.event_id,
        order_id=None if "order_id" in missing else event.payload.order_id,
        customer_id=None if "customer_id" in missing else event.payload.customer_id,
        business_date=business_date(instant(event.at_us), config.zone),
        event_time=timestamp(event.at_us),
        partition=None if record.key is None else partition_of(record.key, partitions),
        cents=event.cents,
        speed=str(kind.speed),
        batch=str(kind.batch),
        check=check,
        cause=kind.cause,
        difference_cents=kind.revenue_sign * event.cents,
    )
    return PlantedRecord(placement, record, label)


def _event(placement: Placement, order: SourceEvent) -> tuple[bytes, SourceEvent]:
    kind, random = placement.kind, Random(placement.seed)  # noqa: S311 - reproducible choices, nothing secret
    match kind.name:
        case faults.REPEATED_ORDER:
            event = damage.repeated(order, kind.name)
        case faults.CANCELLED_SAME_DAY | faults.CANCELLED_NEXT_DAY:
            event = damage.cancellation(order, kind.name, placement.at_us)
        case faults.AMENDED_AMOUNT:
            event = damage.amendment(order, kind.name, placement.at_us, random)
        case faults.INVALID_EMAIL_FORMAT:
            event = damage.with_bad_email(order)
        case _ if kind.check:
            return damage.failing(order, kind.check, random)
        case _:
            event = order
    return encode(event.payload), event
