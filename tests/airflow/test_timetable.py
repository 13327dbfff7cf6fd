"""The nightly timetable as Airflow uses it: for the schedule, for runs by hand, and for backfills."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import ModuleType
from zoneinfo import ZoneInfo

import pendulum
import pytest

from tandem.settings import Settings


@pytest.fixture(scope="module")
def business_day() -> ModuleType:
    from airflow.plugins_manager import ensure_plugins_loaded

    ensure_plugins_loaded()
    import business_day

    return business_day


def backfilled(business_day: ModuleType, zone: str, first: str, last: str) -> list[date]:
    """The business dates of the runs that Airflow makes of a range, by the loop it uses itself."""
    from airflow.timetables.base import TimeRestriction

    timetable = business_day.BusinessDayTimetable(zone)
    restriction = TimeRestriction(pendulum.parse(first), pendulum.parse(last), catchup=True)
    dates, interval = [], None
    while info := timetable.next_dagrun_info(last_automated_data_interval=interval, restriction=restriction):
        interval = info.data_interval
        dates.append(interval.start.astimezone(ZoneInfo(zone)).date())
    return dates


_DAY = timedelta(days=1)
THREE_DAYS = [date(2017, 12, day) for day in (21, 22, 23)]


@pytest.mark.parametrize(
    ("written_by", "first", "last"),
    [
        ("the command line, bare dates", "2017-12-21T00:00:00Z", "2017-12-23T00:00:00Z"),
        ("the page in Berlin", "2017-12-20T23:00:00Z", "2017-12-23T22:59:59.999Z"),
        ("the page in New York", "2017-12-21T05:00:00Z", "2017-12-24T04:59:59.999Z"),
        ("the page in Tokyo", "2017-12-20T15:00:00Z", "2017-12-23T14:59:59.999Z"),
    ],
)
def test_a_backfill_takes_exactly_the_dates_that_were_entered(
    business_day: ModuleType, written_by: str, first: str, last: str
) -> None:
    assert backfilled(business_day, "UTC", first, last) == THREE_DAYS, written_by


def test_bare_dates_mean_business_dates_in_another_zone_too(business_day: ModuleType) -> None:
    assert backfilled(business_day, "America/New_York", "2017-12-21T00:00:00Z", "2017-12-23T00:00:00Z") == THREE_DAYS


@pytest.mark.parametrize("zone", ["America/Santiago", "Asia/Beirut", "America/Havana"])
@pytest.mark.parametrize("clocks", ["forward", "back"])
def test_bare_dates_mean_themselves_where_clocks_change_at_midnight(
    business_day: ModuleType, zone: str, clocks: str
) -> None:
    day = {
        "America/Santiago": {"forward": date(2026, 9, 6), "back": date(2026, 4, 4)},
        "Asia/Beirut": {"forward": date(2026, 3, 29), "back": date(2026, 10, 24)},
        "America/Havana": {"forward": date(2026, 3, 8), "back": date(2026, 11, 1)},
    }[zone][clocks]
    # Airflow's command line reads a bare date on its own clock, which is the business's: it has no midnight that day.
    read = {each: pendulum.parse(str(each), tz=zone).in_tz("UTC").isoformat() for each in (day - _DAY, day, day + _DAY)}
    assert backfilled(business_day, zone, read[day], read[day]) == [day]
    assert backfilled(business_day, zone, read[day - _DAY], read[day]) == [day - _DAY, day]
    assert backfilled(business_day, zone, read[day], read[day + _DAY]) == [day, day + _DAY]


def test_the_day_the_clocks_change_is_one_run_of_23_hours(business_day: ModuleType) -> None:
    from airflow.timetables.base import TimeRestriction

    timetable = business_day.BusinessDayTimetable("Europe/Berlin")
    one_day = TimeRestriction(pendulum.parse("2018-03-25T00:00Z"), pendulum.parse("2018-03-25T00:00Z"), catchup=True)
    interval = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=one_day).data_interval
    assert (interval.end - interval.start).total_hours() == 23


def test_without_catch_up_only_the_newest_missed_night_is_run(
    business_day: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.timetables.base import DataInterval, TimeRestriction

    monkeypatch.setattr(business_day, "now", lambda _: pendulum.datetime(2026, 11, 22, 8, 30))
    timetable = business_day.BusinessDayTimetable("UTC")
    restriction = TimeRestriction(pendulum.datetime(2000, 1, 1), None, catchup=False)
    long_ago = DataInterval(pendulum.datetime(2017, 12, 23), pendulum.datetime(2017, 12, 24))
    newest = timetable.next_dagrun_info(last_automated_data_interval=long_ago, restriction=restriction)
    assert newest.logical_date == pendulum.datetime(2026, 11, 21)
    assert newest.run_after == pendulum.datetime(2026, 11, 22, 2)
    after = timetable.next_dagrun_info(last_automated_data_interval=newest.data_interval, restriction=restriction)
    assert after.run_after == pendulum.datetime(2026, 11, 23, 2)


def test_a_run_by_hand_covers_the_last_day_that_has_ended(business_day: ModuleType) -> None:
    timetable = business_day.BusinessDayTimetable("America/New_York")
    interval = timetable.infer_manual_data_interval(run_after=pendulum.datetime(2026, 11, 22, 4, 30))
    assert interval.start == datetime(2026, 11, 20, 5, tzinfo=UTC)
    assert interval.end == datetime(2026, 11, 21, 5, tzinfo=UTC)


def test_the_scheduler_gets_the_same_timetable_back_from_its_database(business_day: ModuleType) -> None:
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable

    kept = decode_timetable(encode_timetable(business_day.BusinessDayTimetable("Europe/Berlin")))
    assert kept.summary == "02:00 Europe/Berlin"


def test_the_zone_that_nobody_set_is_the_one_the_settings_default_to(
    business_day: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TANDEM_BUSINESS_TIMEZONE", raising=False)
    assert business_day.BusinessDayTimetable().summary == f"02:00 {Settings().business_timezone}"
