"""Business time: days and hours of the business time zone, as half-open intervals of UTC instants."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo


def business_date(instant: datetime, zone: ZoneInfo) -> date:
    """The date of an aware instant in the business time zone."""
    return instant.astimezone(zone).date()


def shown(instant: datetime, zone: ZoneInfo) -> str:
    """An aware instant on the clock of the business, with the zone's name of that moment."""
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """``[start, end)`` of a business date in UTC; 23 or 25 hours long where the clocks change."""
    start, end = (datetime.combine(d, time.min, tzinfo=zone).astimezone(UTC) for d in (day, day + timedelta(days=1)))
    return start, end


def days(first: date, last: date) -> Iterator[date]:
    """Every date from ``first`` to ``last``, both included."""
    for offset in range((last - first).days + 1):
        yield first + timedelta(days=offset)
