"""Both layers' rules in plain Python, read off the documentation and not off the code: what becomes of each record."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tandem.sources.partitioning import partition_of
from tandem.sources.payloads import OutgoingEvent

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
AMOUNT = re.compile(r"-?[0-9]{1,11}([.][0-9]{1,2}0*)?")
EMAIL = re.compile(r"[^@ ]+@[^@ ]+[.][^@ ]+")
WARNINGS = {"INVALID_EMAIL_FORMAT"}


@dataclass(frozen=True)
class Judged:
    """A record, the checks it fails, and what each layer does with it."""

    record: OutgoingEvent
    fields: dict[str, Any]
    failed: frozenset[str]
    speed: str
    batch: str


def cents(value: object) -> int | None:
    return round(float(value) * 100) if isinstance(value, str) and AMOUNT.fullmatch(value) else None


def parse(value: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(value.decode("utf-8"))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def failed_checks(fields: dict[str, Any] | None, currency: str = "USD") -> frozenset[str]:
    if fields is None:
        return frozenset({"MALFORMED_PAYLOAD"})
    if not fields.get("event_type"):
        return frozenset({"MISSING_EVENT_TYPE"})
    failed = {f"MISSING_{name.upper()}" for name in ("event_id", "order_id", "customer_id") if not fields.get(name)}
    try:
        time = datetime.fromisoformat(fields["event_time"])
        failed |= {"FUTURE_ORDER_DATE"} if time > NOW + HOUR else set()
    except ValueError:
        failed.add("INVALID_EVENT_TIME")
    if fields.get("currency", currency) != currency:
        failed.add("FOREIGN_CURRENCY")
    if (email := fields.get("customer_email")) and not EMAIL.fullmatch(email):
        failed.add("INVALID_EMAIL_FORMAT")
    return frozenset(failed | _failed_sums(fields))


def _failed_sums(fields: dict[str, Any]) -> set[str]:
    total, items = cents(fields.get("total_amount")), fields.get("items") or []
    if total is None or total <= 0:
        return {"INVALID_TOTAL_AMOUNT"}
    if not items:
        return {"MISSING_ORDER_ITEMS"}
    if not all(item.get("product_id") and cents(item.get("amount")) is not None for item in items):
        return {"INVALID_ITEM"}
    change, failed = total, "TOTAL_AMOUNT_MISMATCH"
    if fields["event_type"] == "order_amended":
        previous = cents(fields.get("previous_total_amount"))
        if previous is None or previous <= 0:
            return {"INVALID_PREVIOUS_TOTAL"}
        change, failed = total - previous, "AMENDED_AMOUNT_MISMATCH"
    return {failed} if abs(sum(cents(item["amount"]) for item in items) - change) * 100 > total else set()


@dataclass
class Layers:
    """What both layers remember."""

    watermark: dict[int, datetime] = field(default_factory=dict)
    accepted: dict[str, datetime] = field(default_factory=dict)
    """Event id to the partition's watermark when it was accepted."""
    on_date: set[tuple[str, date]] = field(default_factory=set)
    orders: dict[str, datetime] = field(default_factory=dict)

    def speed(self, partition: int, event_id: str, time: datetime) -> str:
        watermark = max(self.watermark.get(partition, time), time)
        known = self.accepted.get(event_id)
        if known is not None and watermark - known <= DAY:
            return "duplicate"
        if time < watermark - HOUR:
            return "late"
        self.watermark[partition] = watermark
        self.accepted[event_id] = watermark
        return "counted"

    def batch(self, fields: dict[str, Any], time: datetime) -> str:
        if (fields["event_id"], time.date()) in self.on_date:
            return "duplicate"
        self.on_date.add((fields["event_id"], time.date()))
        if fields["event_type"] == "order_created":
            first = self.orders.setdefault(fields["order_id"], time)
            if first is not time and time - first <= 7 * DAY:
                return "duplicate"
        return "counted"


def judge(records: Iterable[OutgoingEvent], partitions: int = 12) -> list[Judged]:
    layers, judged = Layers(), []
    for record in records:
        fields = parse(record.value)
        failed = failed_checks(fields)
        if failed - WARNINGS:
            judged.append(Judged(record, fields or {}, failed, "quarantined", "quarantined"))
            continue
        assert fields is not None
        assert record.key is not None
        assert record.key.decode() == fields["customer_id"]
        time = datetime.fromisoformat(fields["event_time"])
        speed = layers.speed(partition_of(record.key, partitions), fields["event_id"], time)
        judged.append(Judged(record, fields, failed, speed, layers.batch(fields, time)))
    return judged
