"""Each check against a predicate in plain Python, and what severities do."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest
from check_oracle import KINDS, PREDICATES, Row, verdict
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.decode import EVENT_SCHEMA
from stream.validate import validate
from tandem.checks import CHECKS

MAYBE_TEXT = st.sampled_from([None, "x", "y"])
CENTS = st.one_of(st.none(), st.sampled_from([-1, 0, 1, 100, 101, 99, 10_000, 10_100, 10_101, 9_999_999_999_999]))
ROWS = st.fixed_dictionaries(
    {
        "payload_ok": st.sampled_from([True, True, True, False]),
        "event_type": st.sampled_from([*KINDS, "order_returned", None]),
        "event_id": MAYBE_TEXT,
        "order_id": MAYBE_TEXT,
        "customer_id": MAYBE_TEXT,
        "event_time": st.one_of(st.none(), st.datetimes()),
        "ahead_us": st.sampled_from([None, -5, 0, 3_600_000_000, 3_600_000_001]),
        "total_cents": CENTS,
        "previous_total_cents": CENTS,
        "item_count": st.sampled_from([0, 1, 3]),
        "bad_item_count": st.sampled_from([0, 0, 1]),
        "items_cents": CENTS.map(lambda cents: cents or 0),
        "foreign_currency": st.booleans(),
        "customer_email": st.sampled_from([None, "a@b.example", "a@b", "a b@c.d", "@", "a@b.example\n", "a@@b.c"]),
    }
)


def frame(rows: list[Row]) -> pl.DataFrame:
    blank: Row = {"partition": 0, "offset": 0, "units": 0}
    naive = {**EVENT_SCHEMA, "event_time": pl.Datetime("us")}
    return pl.DataFrame([{**dict.fromkeys(EVENT_SCHEMA), **blank, **row} for row in rows], schema=naive)


@settings(max_examples=200, deadline=None)
@given(st.lists(ROWS, max_size=20))
def test_checks_and_severities_say_what_plain_python_says(rows: list[Row]) -> None:
    found = validate(frame(rows))
    assert list(zip(found["decision"], found["reasons"], strict=True)) == [verdict(row) for row in rows]


SOUND: Row = {
    "payload_ok": True,
    "event_id": "e",
    "event_type": "order_created",
    "event_time": datetime(2017, 12, 23),  # noqa: DTZ001 - the frame keeps no zone
    "ahead_us": 0,
    "order_id": "o",
    "customer_id": "c",
    "total_cents": 10_000,
    "item_count": 1,
    "bad_item_count": 0,
    "items_cents": 10_000,
    "foreign_currency": False,
}


@pytest.mark.parametrize(("off_by", "fails"), [(100, False), (101, True), (-100, False), (-101, True)])
def test_items_may_be_one_percent_off_the_total_and_no_more(*, off_by: int, fails: bool) -> None:
    found = validate(frame([SOUND | {"items_cents": 10_000 + off_by}]))
    assert found["reasons"].to_list() == ["TOTAL_AMOUNT_MISMATCH" if fails else ""]


def test_every_check_has_a_predicate_here() -> None:
    assert {check.code for check in CHECKS} == set(PREDICATES)
