"""Each check against a predicate in plain Python, and what severities do."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.decode import EVENT_SCHEMA
from stream.validate import validate
from tandem.checks import CHECKS

ORDERS = ("order_created", "order_cancelled", "order_amended")
KINDS = (*ORDERS, "payment_succeeded", "payment_failed")
Row = dict[str, Any]


def off(row: Row, wanted: int) -> bool:
    sound = row["item_count"] > 0 and row["bad_item_count"] == 0 and (row["total_cents"] or 0) > 0
    return sound and abs(row["items_cents"] - wanted) * 100 > row["total_cents"]


PREDICATES: dict[str, Callable[[Row], bool]] = {
    "MALFORMED_PAYLOAD": lambda r: not r["payload_ok"],
    "MISSING_EVENT_TYPE": lambda r: r["payload_ok"] and r["event_type"] is None,
    "MISSING_EVENT_ID": lambda r: r["event_type"] in KINDS and r["event_id"] is None,
    "INVALID_EVENT_TIME": lambda r: r["event_type"] in KINDS and r["event_time"] is None,
    "FUTURE_ORDER_DATE": lambda r: r["event_type"] in KINDS and (r["ahead_us"] or 0) > 3_600_000_000,
    "MISSING_ORDER_ID": lambda r: r["event_type"] in KINDS and r["order_id"] is None,
    "MISSING_CUSTOMER_ID": lambda r: r["event_type"] in KINDS and r["customer_id"] is None,
    "INVALID_TOTAL_AMOUNT": lambda r: r["event_type"] in ORDERS and (r["total_cents"] or 0) <= 0,
    "INVALID_PREVIOUS_TOTAL": lambda r: r["event_type"] == "order_amended" and (r["previous_total_cents"] or 0) <= 0,
    "MISSING_ORDER_ITEMS": lambda r: r["event_type"] in ORDERS and r["item_count"] == 0,
    "INVALID_ITEM": lambda r: r["event_type"] in ORDERS and r["bad_item_count"] > 0,
    "TOTAL_AMOUNT_MISMATCH": lambda r: r["event_type"] in ORDERS[:2] and off(r, r["total_cents"] or 0),
    "AMENDED_AMOUNT_MISMATCH": lambda r: (
        r["event_type"] == "order_amended"
        and r["previous_total_cents"] is not None
        and off(r, (r["total_cents"] or 0) - r["previous_total_cents"])
    ),
    "FOREIGN_CURRENCY": lambda r: r["event_type"] in KINDS and r["foreign_currency"],
    "INVALID_EMAIL_FORMAT": lambda r: (
        r["event_type"] in KINDS
        and r["customer_email"] is not None
        and not re.fullmatch(r"[^@ ]+@[^@ ]+\.[^@ ]+", r["customer_email"])
    ),
}


def severe(code: str, kind: str | None) -> bool:
    """Whether a failed check keeps the event from counting."""
    return code != "INVALID_EMAIL_FORMAT" and not (code == "MISSING_ORDER_ITEMS" and kind != "order_created")


def verdict(row: Row) -> tuple[str | None, str]:
    failed = sorted(code for code, fails in PREDICATES.items() if fails(row))
    if row["event_type"] is not None and row["event_type"] not in KINDS:
        return "ignored", ",".join(failed)
    critical = any(severe(code, row["event_type"]) for code in failed)
    return ("quarantined" if critical else None), ",".join(failed)


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
