"""Books kept in plain Python: one event at a time, dictionaries of integers, the standard library's time zones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import payload_oracle as oracle


def hour_of(moment: datetime, zone: ZoneInfo) -> datetime:
    """Start of the hour on the clock of the zone; the hour that the clocks repeat is two (by ``fold``)."""
    return moment.astimezone(zone).replace(minute=0, second=0, microsecond=0).astimezone(UTC)


def minute_of(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


@dataclass
class DayBook:
    """Cells by table, key and measure, summed over partitions."""

    zone: ZoneInfo
    cells: dict[str, dict[tuple[object, ...], Counter[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Counter))
    )
    customers: set[tuple[date, str]] = field(default_factory=set)

    def book(self, event: oracle.Event) -> None:
        """One counted event."""
        assert event.event_time is not None
        moment, kind, total = event.event_time, event.texts["event_type"], event.total_cents
        day = moment.astimezone(self.zone).date()
        if kind not in ("order_created", "order_cancelled", "order_amended"):
            return
        assert total is not None
        minute = self.cells["order_minutes"][day, minute_of(moment)]
        if kind == "order_created":
            minute.update(revenue_cents=total, order_count=1, units=sum(item.quantity or 0 for item in event.items))
            customer = event.texts["customer_id"]
            assert customer is not None
            self.customers.add((day, customer))
        elif kind == "order_cancelled":
            minute.update(cancelled_revenue_cents=total)
        else:
            minute.update(amended_revenue_cents=total - (event.previous_total_cents or 0))
        self._book_lines("product_hours", "product_id", event, day)
        self._book_lines("category_hours", "category", event, day)

    def _book_lines(self, table: str, dimension: str, event: oracle.Event, day: date) -> None:
        assert event.event_time is not None
        hour = hour_of(event.event_time, self.zone)
        seen = set()
        for item in event.items:
            key = getattr(item, dimension)
            cell = self.cells[table][day, hour, key]
            match event.texts["event_type"]:
                case "order_created":
                    cell.update(revenue_cents=item.amount_cents, units=item.quantity, order_count=int(key not in seen))
                case "order_cancelled":
                    cell.update(cancelled_revenue_cents=item.amount_cents, cancelled_units=item.quantity)
                case "order_amended":
                    cell.update(amended_revenue_cents=item.amount_cents, amended_units=item.quantity)
            seen.add(key)

    def of(self, table: str) -> dict[tuple[object, ...], dict[str, int]]:
        """The cells of a table without zeros, so that books compare whatever columns a row happens to name."""
        return {
            key: named for key, cell in self.cells[table].items() if (named := {k: v for k, v in cell.items() if v})
        }


def kept(events: Iterable[oracle.Event], zone: ZoneInfo) -> DayBook:
    """The books of these counted events."""
    book = DayBook(zone)
    for event in events:
        book.book(event)
    return book


@dataclass
class Clerk:
    """Decides as the docs say, for one partition: counted, duplicate or late."""

    accepted: list[tuple[str, datetime]] = field(default_factory=list)

    def decide(self, event_id: str, moment: datetime) -> str:
        watermark = max((time for _, time in self.accepted), default=None)
        if watermark is not None:
            if any(known == event_id and time >= watermark - timedelta(hours=24) for known, time in self.accepted):
                return "duplicate"
            if moment < watermark - timedelta(hours=1):
                return "late"
        self.accepted.append((event_id, moment))
        return "counted"
