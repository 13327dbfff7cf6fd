"""Which business date a run is for, whatever started it, and which dates are meant by a range that somebody entered.

Airflow hands a run up to four dates, depending on what made it. Everything in Tandem is keyed by one, so this is the
only place that decides. Nothing here imports Airflow.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from tandem import clock
from tandem.errors import TandemError
from tandem.events import EARLIEST_EVENT_TIME

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

NIGHTLY_AT = time(2)
"""When the nightly run of the day before starts, on the clock of the business time zone."""

_DAY = timedelta(days=1)
_FIRST = datetime.fromisoformat(EARLIEST_EVENT_TIME).date() - _DAY
"""Of the first event that is read, in any time zone."""
_LAST = date(9998, 12, 31)
"""Leaves a day after it, whose midnight ends it in any time zone."""


def of_run(
    *,
    zone: ZoneInfo,
    run_after: datetime,
    entered: str | None = None,
    partition_key: str | None = None,
    interval: tuple[datetime, datetime] | None = None,
    backfill: bool = False,
) -> date:
    """The business date of a run: the date that was entered, else the partition key, else the data interval.

    ``interval`` is Airflow's data interval. One that covers time stands for the date it starts on; an empty one (cron
    triggers, where start = end = the moment of the run) and none at all (runs by API or by an asset) stand for the date
    before the run. Raises TandemError where the entered date cannot be read, or came with a backfill.
    """
    if entered:
        if backfill:
            raise TandemError(f"this backfill was given the one date {entered} for all its runs", "leave 'date' empty")
        return parse(entered)
    if partition_key:
        return parse(partition_key)
    if interval and interval[0] < interval[1]:
        return clock.business_date(interval[0], zone)
    return clock.business_date(interval[0] if interval else run_after, zone) - _DAY


def require_no_other(day: date, *, logical_date: datetime, run_after: datetime, zone: ZoneInfo) -> None:
    """Raise TandemError where a run by hand, which is for ``day``, was given a logical date that means another.

    The day before it is computed, or yesterday, while Airflow lists the run under it and lets no other have it. One of
    about now, as the form enters it, means none.
    """
    about_now = clock.business_date(logical_date, zone) == clock.business_date(run_after, zone)
    if not about_now and clock.business_date(logical_date, zone) != day:
        raise TandemError(
            f"a logical date, {clock.shown(logical_date, zone)}, is not the business date: this run would be for {day}",
            "delete the run, as a backfill leaves out a date that has one, and start it with 'date' instead",
        )


def parse(text: str) -> date:
    """A date written as ``YYYY-MM-DD``. Raises TandemError for anything else, and where no event can be of the date."""
    try:
        found = datetime.strptime(text.strip(), "%Y-%m-%d").date()  # noqa: DTZ007 - a date has no zone
    except ValueError:
        raise TandemError(f"'{text}' is not a date", "write it as YYYY-MM-DD, for example 2017-12-23") from None
    if not _FIRST <= found <= _LAST:
        raise TandemError(f"{found} is not a date that orders can have", f"give one from {_FIRST} to {_LAST}")
    return found


def entered_range(first: str, last: str) -> tuple[date, date]:
    """Both ends of a range, included. Raises TandemError where one is not a date or the range runs backwards."""
    start, end = parse(first), parse(last)
    if start > end:
        raise TandemError(f"the range runs backwards: from {start} to {end}", "enter the earlier date as 'from'")
    return start, end


def require_ended(day: date, *, now: datetime, zone: ZoneInfo) -> None:
    """Raise TandemError unless ``day`` is over: books of a day that still runs would be certified half-full."""
    if clock.day_bounds(day, zone)[1] > now:
        raise TandemError(f"{day} has not ended yet in {zone.key}", "run it for a date up to yesterday")


def require_begun(day: date, *, now: datetime, zone: ZoneInfo) -> None:
    """Raise TandemError where ``day`` lies in the future, which a year that was mistyped looks like."""
    if clock.day_bounds(day, zone)[0] > now:
        raise TandemError(f"{day} has not begun yet in {zone.key}", "give a date up to today")


def due_at(day: date, zone: ZoneInfo) -> datetime:
    """When the nightly run for ``day`` is due, in UTC: 02:00 of the next date in the business time zone."""
    return datetime.combine(day + _DAY, NIGHTLY_AT, tzinfo=zone).astimezone(UTC)


def newest_due(now: datetime, zone: ZoneInfo) -> date:
    """The latest date whose nightly run is due at ``now``."""
    yesterday = clock.business_date(now, zone) - _DAY
    return yesterday if due_at(yesterday, zone) <= now else yesterday - _DAY


def first_meant(instant: datetime, zone: ZoneInfo) -> date:
    """The first date of a range that begins at ``instant``. See ``last_meant``."""
    return _written_date(instant, zone) or clock.business_date(instant - timedelta(hours=12), zone) + _DAY


def last_meant(instant: datetime, zone: ZoneInfo) -> date:
    """The last date of a range that ends at ``instant``, included.

    A bare date on a command line arrives as its midnight and means that date. The Airflow page sends the end of the day
    in the time zone of the browser: a date is meant where its noon lies inside, so that people twelve hours away get
    the dates they picked.
    """
    return _written_date(instant, zone) or clock.business_date(instant - timedelta(hours=12), zone)


def _written_date(instant: datetime, zone: ZoneInfo) -> date | None:
    """The date whose midnight, on the business clock or in UTC, ``instant`` is.

    A date that the clocks rob of its midnight begins at one o'clock, and an entered midnight of it means that.
    """
    day = clock.business_date(instant, zone)
    if instant == clock.day_bounds(day, zone)[0]:
        return day
    for local in (instant.astimezone(zone), instant.astimezone(UTC)):
        if local.time() == time.min:
            return local.date()
    return None
