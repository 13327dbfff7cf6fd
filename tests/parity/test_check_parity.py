"""One declaration per check, two layers: both must find every check failed where it fails, and count it alike."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from awkward import event
from pyspark.sql import SparkSession
from test_decode_parity import batch, speed

from tandem.checks import CHECKS
from tandem.events import EventType

pytestmark = pytest.mark.spark

AMENDED = {"event_type": '"order_amended"', "previous_total_amount": '"5.00"'}
FAILING: dict[str, list[bytes | None]] = {
    "MALFORMED_PAYLOAD": [None, b"", b"{", b"[]", b"\xff", event(total_amount="NaN")],
    "MISSING_EVENT_TYPE": [event(event_type=""), event(event_type="null"), event(event_type='""')],
    "MISSING_EVENT_ID": [event(event_id=""), event(event_id="1.5"), event(event_id="[]")],
    "INVALID_EVENT_TIME": [event(event_time=""), event(event_time='"2017-02-30T00:00:00Z"'), event(event_time="7")],
    "FUTURE_ORDER_DATE": [event(event_time='"2017-12-21T11:00:00.000001Z"')],
    "MISSING_ORDER_ID": [event(order_id=""), event(order_id="true")],
    "MISSING_CUSTOMER_ID": [event(customer_id=""), event(customer_id="{}")],
    "INVALID_TOTAL_AMOUNT": [event(total_amount=""), event(total_amount='"0.00"'), event(total_amount='"-1"')],
    "INVALID_PREVIOUS_TOTAL": [event(event_type='"order_amended"'), event(**AMENDED | {"previous_total_amount": "0"})],
    "MISSING_ORDER_ITEMS": [event(items=""), event(items="[]"), event(**AMENDED, items="null")],
    "INVALID_ITEM": [event(items="[{}]"), event(items="[7]")],
    "TOTAL_AMOUNT_MISMATCH": [event(total_amount='"9.90"'), event(total_amount='"10.11"')],
    "AMENDED_AMOUNT_MISMATCH": [event(**AMENDED, total_amount='"14.00"')],
    "FOREIGN_CURRENCY": [event(currency='"EUR"')],
    "INVALID_EMAIL_FORMAT": [event(customer_email='"nobody"'), event(customer_email='"a@b"')],
}
SOUND = [
    event(),
    event(event_time='"2017-12-21T11:00:00Z"'),
    event(total_amount='"10.10"'),
    event(customer_email='"a@b.example"', currency='"USD"'),
    event(**AMENDED, total_amount='"15.00"'),
    *(event(event_type=f'"{kind}"', items="", total_amount="") for kind in EventType if kind.startswith("payment")),
]


def counts(rows: list[dict[str, Any]]) -> Counter[tuple[str | None, str]]:
    """What the quality metrics of both layers are made of."""
    return Counter((row["decision"], code) for row in rows for code in [*row["reasons"].split(","), "all"] if code)


def test_both_layers_find_every_check_failed_where_it_fails_and_count_it_alike(spark: SparkSession) -> None:
    assert FAILING.keys() == {check.code for check in CHECKS}
    values = [value for of_check in FAILING.values() for value in of_check] + SOUND
    by_speed, by_batch = speed(values), batch(spark, values)
    assert counts(by_speed) == counts(by_batch)
    wanted = [code for code, of_check in FAILING.items() for _ in of_check]
    for code, row in zip(wanted, by_batch, strict=False):
        assert code in row["reasons"].split(",")
    assert [row["reasons"] for row in by_batch[len(wanted) :]] == [""] * len(SOUND)
