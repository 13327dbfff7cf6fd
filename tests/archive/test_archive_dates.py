"""Under which date an event is archived: never another than a decoder reads from it."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.archive_dates import business_dates
from tandem.events import EVENT_TIME_PATTERN
from tandem.master_dataset import UNKNOWN

KAFKA_TIME = datetime(2026, 3, 1, 12, tzinfo=UTC)


def archived_date(value: bytes | None, zone: str = "UTC", kafka_time: datetime | None = KAFKA_TIME) -> str:
    times = pl.Series([kafka_time], dtype=pl.Datetime("us", "UTC"))
    return business_dates([value], times, ZoneInfo(zone))[0]


def event(event_time: Any, **more: Any) -> bytes:
    return json.dumps({"event_id": "e-1", "event_time": event_time, **more}).encode()


@pytest.mark.parametrize(
    ("event_time", "zone", "expected"),
    [
        ("2017-12-23T12:00:00Z", "UTC", "2017-12-23"),
        ("2017-12-23T23:59:59.999999999Z", "UTC", "2017-12-23"),
        ("2017-12-23T23:30:00Z", "Europe/Berlin", "2017-12-24"),
        ("2017-12-23T23:30:00-05:00", "UTC", "2017-12-24"),
        ("2017-12-24T00:30:00+01:00", "UTC", "2017-12-23"),
        ("1990-01-01T00:00:00Z", "UTC", "1990-01-01"),
        ("1990-01-01T00:00:00Z", "America/New_York", "1989-12-31"),
        ("2026-03-02T12:00:00Z", "UTC", "2026-03-02"),
    ],
)
def test_a_plausible_time_is_archived_under_its_business_date(event_time: str, zone: str, expected: str):
    assert archived_date(event(event_time), zone) == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"null",
        b"17",
        b'"event_time"',
        b"\xff\xfe",
        b'[{"event_time": "2017-12-23T12:00:00Z"}]',
        b'[["event_time", "2017-12-23T12:00:00Z"], ["event_time", 1]]',
        b'{"event_id": "e-1"}',
        b'{"event_time": null}',
        b'{"event_time": 1513987200}',
        b'{"event_time": ["2017-12-23T12:00:00Z"]}',
        b'{"order": {"event_time": "2017-12-23T12:00:00Z"}}',
        b'{"event_time": "2017-12-23T12:00:00Z"',
        b'{"event_time": "2017-12-23T12:00:00Z"} and more',
        b'{"event_time": "2017-12-23T12:00:00Z", "event_time": "2017-12-24T12:00:00Z"}',
        b'{"event_time": "2017-12-23T12:00:00Z", "event\\u005ftime": "2017-12-24T12:00:00Z"}',
        b"[" * 200_000,
        b'{"event_time": {"event_time":' * 50_000,
        event("2017-12-23"),
        event("2017-12-23T12:00:00"),
        event("2017-12-23 12:00:00Z"),
        event("2017-02-29T12:00:00Z"),
        event("2017-12-23T24:00:00Z"),
        event("2017-12-23T12:00:00Z\n"),
        event(" 2017-12-23T12:00:00Z"),
        event("1989-12-31T23:59:59Z"),
        event("0001-01-01T00:00:00Z"),
        event("9999-12-31T23:59:59-23:59"),
        event("2026-03-02T12:00:01Z"),
    ],
)
def test_what_is_unreadable_or_implausible_is_archived_under_an_unknown_date(value: bytes | None):
    assert archived_date(value) == UNKNOWN


def test_a_nested_time_is_not_taken_for_the_events_own():
    assert archived_date(event("2017-12-23T12:00:00Z", order={"event_time": "2018-01-01T00:00:00Z"})) == "2017-12-23"


def test_text_that_looks_like_the_field_changes_nothing():
    assert archived_date(event("2017-12-23T12:00:00Z", note='"event_time": "2018-01-01T00:00:00Z"')) == "2017-12-23"


def test_an_escaped_name_is_the_same_name():
    assert archived_date(b'{"event\\u005ftime": "2017-12-23T12:00:00Z"}') == "2017-12-23"


def test_without_a_broker_time_nothing_is_plausible():
    assert archived_date(event("2017-12-23T12:00:00Z"), kafka_time=None) == UNKNOWN


def sequential_date(value: bytes, zone: str) -> date | None:
    """The contract read plainly, one event at a time: the business date, None where event_time is NULL."""
    try:
        decoded = json.loads(value)
    except (ValueError, RecursionError):
        return None
    text = decoded.get("event_time") if isinstance(decoded, dict) else None
    if not isinstance(text, str) or not re.fullmatch(EVENT_TIME_PATTERN.strip("^$"), text):
        return None
    try:
        moment = datetime.fromisoformat(re.sub(r"[.][0-9]+", "", text)).astimezone(ZoneInfo(zone))
    except (ValueError, OverflowError):
        return None
    return moment.date() if moment >= datetime(1990, 1, 1, tzinfo=UTC) else None


nearly_times = st.one_of(
    st.integers(473_385_600, 1_798_761_600).map(
        lambda s: datetime.fromtimestamp(s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ),
    st.builds(
        "{:04d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}{}{}".format,
        st.sampled_from([0, 1, 1969, 1989, 1990, 2016, 2017, 2026, 2027, 9999]),
        st.integers(0, 13),
        st.integers(0, 32),
        st.integers(0, 25),
        st.sampled_from([0, 30, 59, 60]),
        st.sampled_from([0, 59, 60, 61]),
        st.sampled_from(["", ".0", ".999999999", ".", ".1234567890"]),
        st.sampled_from(["Z", "z", "", "+00:00", "-23:59", "+14:00", "+24:00", "+05:60", "+0530", "Z\n"]),
    ),
    st.text(max_size=8),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | nearly_times,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["event_time", "a", "é"]), inner),
    max_leaves=6,
)
documents = st.one_of(
    st.builds(lambda when, more: json.dumps({**more, "event_time": when}).encode(), nearly_times, st.just({})),
    st.builds(
        lambda when, more, plain: json.dumps({"a": more, "event_time": when}, ensure_ascii=plain).encode(),
        nearly_times,
        json_values,
        st.booleans(),
    ),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=20),
)


@settings(max_examples=400, deadline=None)
@given(value=documents, zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati"]))
def test_the_date_is_the_one_that_is_decoded_or_unknown(value: bytes, zone: str):
    decoded, found = sequential_date(value, zone), archived_date(value, zone)
    assert found in {UNKNOWN, str(decoded)}
    if decoded is not None and decoded <= (KAFKA_TIME + timedelta(hours=12)).date():
        assert found == str(decoded)
