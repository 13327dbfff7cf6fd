"""Which business date a run is for. Each case is what Airflow 3.3 really hands to a run of that type."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem import business_date
from tandem.errors import TandemError

UTC_ZONE, BERLIN, NEW_YORK, AUCKLAND = (
    ZoneInfo(n) for n in ("UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland")
)
ZONES = st.sampled_from([UTC_ZONE, BERLIN, NEW_YORK, AUCKLAND, ZoneInfo("Asia/Kolkata"), ZoneInfo("Pacific/Honolulu")])
DAYS = st.dates(date(2001, 1, 1), date(2037, 12, 31))
CHRISTMAS = date(2017, 12, 24)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_scheduled_run_is_for_the_day_its_interval_covers() -> None:
    whole_day = (at("2017-12-23T00:00"), at("2017-12-24T00:00"))
    assert business_date.of_run(zone=UTC_ZONE, run_after=at("2017-12-24T02:00"), interval=whole_day) == date(
        2017, 12, 23
    )


def test_a_backfilled_run_is_for_its_logical_date_whenever_it_really_runs() -> None:
    whole_day = (at("2017-12-21T00:00"), at("2017-12-22T00:00"))
    day = business_date.of_run(zone=UTC_ZONE, run_after=at("2026-11-22T10:15"), interval=whole_day, backfill=True)
    assert day == date(2017, 12, 21)


def test_an_interval_is_read_on_the_business_clock() -> None:
    berlin_day = (at("2017-12-22T23:00"), at("2017-12-23T23:00"))
    assert business_date.of_run(zone=BERLIN, run_after=at("2017-12-24T01:00"), interval=berlin_day) == date(
        2017, 12, 23
    )


def test_a_cron_trigger_whose_interval_is_empty_is_for_the_day_before_it() -> None:
    moment = (at("2017-12-24T02:00"),) * 2
    assert business_date.of_run(zone=UTC_ZONE, run_after=moment[0], interval=moment) == date(2017, 12, 23)


def test_a_run_by_hand_is_for_the_date_that_was_entered() -> None:
    interval = (at("2026-11-21T00:00"), at("2026-11-22T00:00"))
    day = business_date.of_run(
        zone=UTC_ZONE,
        run_after=at("2026-11-22T10:15"),
        entered="2017-12-23",
        partition_key="2017-12-01",
        interval=interval,
    )
    assert day == date(2017, 12, 23)


@pytest.mark.parametrize("entered", [None, ""])
def test_a_run_by_hand_without_a_date_is_for_yesterday(entered: str | None) -> None:
    interval = (at("2026-11-21T00:00"), at("2026-11-22T00:00"))
    day = business_date.of_run(zone=UTC_ZONE, run_after=at("2026-11-22T10:15"), entered=entered, interval=interval)
    assert day == date(2026, 11, 21)


@pytest.mark.parametrize("started_by", ["the API without a logical date", "an asset event"])
def test_a_run_without_any_interval_is_for_the_business_day_before_it_started(started_by: str) -> None:
    assert business_date.of_run(zone=NEW_YORK, run_after=at("2026-11-22T04:30")) == date(2026, 11, 20), started_by


def test_a_partition_key_is_the_date_where_none_was_entered() -> None:
    assert business_date.of_run(zone=UTC_ZONE, run_after=at("2026-11-22T02:00"), partition_key="2017-12-23") == date(
        2017, 12, 23
    )


def test_a_backfill_refuses_one_date_for_all_its_runs() -> None:
    with pytest.raises(TandemError, match="leave 'date' empty"):
        business_date.of_run(zone=UTC_ZONE, run_after=at("2026-11-22T02:00"), entered="2017-12-23", backfill=True)


@pytest.mark.parametrize("text", ["23.12.2017", "2017-13-01", "2017-02-30", "yesterday", "2017-12-23T00:00"])
def test_what_is_not_a_date_is_named_together_with_how_to_write_one(text: str) -> None:
    with pytest.raises(TandemError, match=r"is not a date: write it as YYYY-MM-DD"):
        business_date.parse(text)


@pytest.mark.parametrize("text", ["0001-01-01", "1017-12-21", "9999-12-31"])
def test_a_date_that_no_order_can_have_is_refused(text: str) -> None:
    """A year that was mistyped would be worked on, together with hundreds of thousands of dates after it."""
    with pytest.raises(TandemError, match=f"{text} is not a date that orders can have: give one from 1989-12-31"):
        business_date.parse(text)


def test_a_range_of_one_day_is_a_range() -> None:
    assert business_date.entered_range("2017-12-23", " 2017-12-23 ") == (date(2017, 12, 23), date(2017, 12, 23))


def test_a_range_that_runs_backwards_is_refused() -> None:
    with pytest.raises(TandemError, match="runs backwards: from 2017-12-23 to 2017-12-21"):
        business_date.entered_range("2017-12-23", "2017-12-21")


def test_a_day_that_still_runs_on_the_business_clock_is_refused() -> None:
    with pytest.raises(TandemError, match="has not ended yet in America/New_York"):
        business_date.require_ended(CHRISTMAS, now=at("2017-12-25T04:59"), zone=NEW_YORK)
    business_date.require_ended(CHRISTMAS, now=at("2017-12-25T05:00"), zone=NEW_YORK)


def test_a_day_that_has_not_begun_on_the_business_clock_is_refused() -> None:
    with pytest.raises(TandemError, match="has not begun yet in America/New_York"):
        business_date.require_begun(CHRISTMAS, now=at("2017-12-24T04:59"), zone=NEW_YORK)
    business_date.require_begun(CHRISTMAS, now=at("2017-12-24T05:00"), zone=NEW_YORK)


def test_the_nightly_run_is_due_at_two_on_the_business_clock() -> None:
    assert business_date.due_at(CHRISTMAS, NEW_YORK) == at("2017-12-25T07:00")
    assert business_date.due_at(date(2017, 7, 1), NEW_YORK) == at("2017-07-02T06:00")


def test_the_night_that_has_no_two_o_clock_runs_at_three() -> None:
    skipped = business_date.due_at(date(2018, 3, 24), BERLIN)
    assert skipped.astimezone(BERLIN).time() == time(3)


@given(DAYS, ZONES)
def test_a_date_is_the_newest_due_from_its_own_two_o_clock_to_the_next(day: date, zone: ZoneInfo) -> None:
    due = business_date.due_at(day, zone)
    assert business_date.newest_due(due, zone) == day
    assert business_date.newest_due(due - timedelta(microseconds=1), zone) == day - timedelta(days=1)


@given(DAYS, st.integers(0, 40), ZONES)
def test_bare_dates_on_a_command_line_mean_themselves(first: date, length: int, zone: ZoneInfo) -> None:
    last = first + timedelta(days=length)
    for writing in (zone, UTC):
        start, end = (datetime.combine(day, time.min, tzinfo=writing) for day in (first, last))
        assert (business_date.first_meant(start, zone), business_date.last_meant(end, zone)) == (first, last)


@given(DAYS, st.integers(0, 40), ZONES, st.integers(-10 * 60, 10 * 60))
def test_days_picked_in_a_browser_ten_hours_away_still_mean_themselves(
    first: date, length: int, zone: ZoneInfo, minutes_away: int
) -> None:
    last = first + timedelta(days=length)
    business_offset = datetime.combine(first, time(12), tzinfo=zone).utcoffset() or timedelta()
    browser = timezone(business_offset + timedelta(minutes=minutes_away))
    start = datetime.combine(first, time.min, tzinfo=browser)
    end = datetime.combine(last, time.max, tzinfo=browser)
    assert (business_date.first_meant(start, zone), business_date.last_meant(end, zone)) == (first, last)
