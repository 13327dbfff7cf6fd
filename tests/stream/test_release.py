"""A quarantined record, corrected: what goes out, and what the checks keep from going out."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orders
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.release import Address, Correction, Release, StillFailsError, release
from stream.types import Rules
from tandem.errors import TandemError

PLACE = Address("order-events", 3, 17)
RULES = Rules(ZoneInfo("America/New_York"), "USD", timedelta(hours=1), timedelta(hours=24))
NOW = datetime(2017, 12, 24, 9, tzinfo=UTC)
NIGHT = datetime(2017, 12, 23, 2, tzinfo=UTC)


def released(payload: dict[str, Any] | bytes | None, data: object = None, *, whole: bool = False) -> Release:
    value = orders.encode(payload) if isinstance(payload, dict) else payload
    document = "" if data is None else data if isinstance(data, str) else json.dumps(data)
    return release(PLACE, value, Correction(document, whole), RULES, NOW)


def without_customer(**more: Any) -> dict[str, Any]:
    payload = orders.order("e1", NIGHT, orders.line("p1", 1234), **more)
    del payload["customer_id"]
    return payload


def test_the_event_goes_out_under_the_place_of_the_record_and_the_key_of_its_customer() -> None:
    out = released(without_customer(coupon="XMAS"), {"customer_id": "c-17"})
    assert (out.event_id, out.key) == ("release:order-events:3:17", b"c-17")
    sent = json.loads(out.value)
    assert sent == without_customer(coupon="XMAS") | {"customer_id": "c-17", "event_id": out.event_id}


def test_it_counts_on_the_date_of_its_event_time_in_the_business_time_zone() -> None:
    assert released(without_customer(), {"customer_id": "c1"}).business_date == date(2017, 12, 22)


def test_a_record_that_still_fails_does_not_go_out_and_says_why() -> None:
    with pytest.raises(StillFailsError, match=r"order-events:3:17 still does not count: MISSING_CUSTOMER_ID: correct"):
        released(without_customer())
    with pytest.raises(StillFailsError, match="MISSING_CUSTOMER_ID, TOTAL_AMOUNT_MISMATCH"):
        released(without_customer(), {"total_amount": "99.00"})


def test_what_is_larger_than_kafka_takes_is_refused_before_it_waits_to_be_sent() -> None:
    with pytest.raises(TandemError, match=r"order-events:3:17 is larger than Kafka takes \(1,000,\d{3} bytes\)"):
        released(without_customer(note="x" * 1_000_000), {"customer_id": "c1"})
    assert released(without_customer(note="x" * 980_000), {"customer_id": "c1"}).key == b"c1"


def test_a_warning_keeps_nothing_back_and_is_told() -> None:
    assert released(without_customer(customer_email="?"), {"customer_id": "c1"}).warnings == ("INVALID_EMAIL_FORMAT",)


def test_an_event_that_no_layer_counts_is_not_released() -> None:
    with pytest.raises(StillFailsError, match="order_viewed is not an event type that counts"):
        released(without_customer(), {"customer_id": "c1", "event_type": "order_viewed"})


def test_the_clock_that_matters_is_that_of_the_release() -> None:
    ahead = orders.order("e1", NOW - timedelta(minutes=1), orders.line("p1", 100))
    assert released(ahead).warnings == ()
    with pytest.raises(StillFailsError, match="FUTURE_ORDER_DATE"):
        released(orders.order("e1", NOW + timedelta(hours=2), orders.line("p1", 100)))


@pytest.mark.parametrize("value", [None, b"", b"{broken", b"[1]", b"\xff", b"[" * 5_000, b'{"a":' * 5_000])
def test_what_is_no_json_object_can_only_be_replaced_as_a_whole(value: bytes | None) -> None:
    with pytest.raises(TandemError, match="give the whole event: --whole"):
        released(value, {"customer_id": "c1"})
    event = orders.order("e1", NIGHT, orders.line("p1", 1234))
    assert json.loads(released(value, event, whole=True).value)["order_id"] == "o-e1"


@pytest.mark.parametrize("data", ["[1]", "{", "nothing", '"text"', "NaN"])
def test_data_that_is_no_json_object_is_refused(data: str) -> None:
    with pytest.raises(TandemError, match="not a JSON object"):
        released(without_customer(), data)


@pytest.mark.parametrize("data", ['{"customer_id": "\\ud800"}', '{"customer_id": "c1", "depth": NaN}'])
def test_data_that_no_reader_could_decode_is_refused_by_the_checks(data: str) -> None:
    with pytest.raises(StillFailsError, match="MALFORMED_PAYLOAD"):
        released(without_customer(), data)


def test_the_first_of_two_members_of_one_name_counts_as_the_contract_says() -> None:
    twice = orders.encode(without_customer()).replace(
        b'"order_id":', b'"region": "first", "region": "second", "order_id":'
    )
    assert json.loads(released(twice, {"customer_id": "c1"}).value)["region"] == "first"


def test_a_record_of_another_topic_is_not_released() -> None:
    with pytest.raises(TandemError, match="no order event"):
        release(Address("corrections", 0, 1), b"{}", Correction(), RULES, NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=4)


def patched(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2, line by line."""
    if not isinstance(patch, dict):
        return patch
    if not isinstance(target, dict):
        target = {}
    for name, value in patch.items():
        if value is None:
            if name in target:
                del target[name]
        else:
            target[name] = patched(target.get(name), value)
    return target


@settings(max_examples=60, deadline=None)  # a busy machine is no failure
@given(OBJECTS, OBJECTS)
def test_data_is_merged_as_rfc_7386_says(more: dict[str, Any], change: dict[str, Any]) -> None:
    event = orders.order("e1", NIGHT, orders.line("p1", 1234))
    out = released({"more": more, **event}, {"more": change})
    assert json.loads(out.value)["more"] == patched(more, change)


@pytest.mark.parametrize("text", ["", "order-events", "order-events:1", "order-events:a:b", ":1:2", "order-events:1:²"])
def test_what_is_no_address_says_how_one_is_written(text: str) -> None:
    with pytest.raises(TandemError, match="write it as"):
        Address.parse(text)


def test_an_address_is_read_as_it_is_written() -> None:
    assert Address.parse(str(PLACE)) == PLACE
