from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta

import odd_values as odd
import payload_oracle as oracle
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream.decode import EVENT_SCHEMA, decode
from stream.parse import parse
from stream.types import Decoded, Records
from tandem.events import EVENT_COLUMNS

BUSINESS_CURRENCY = "USD"
KAFKA_TIME_MS = 1_513_900_000_000


def records(values: list[bytes | None]) -> Records:
    count = len(values)
    return Records([3] * count, list(range(count)), [KAFKA_TIME_MS] * count, [None] * count, values)


def decoded(*values: bytes | None) -> Decoded:
    return decode(records(list(values)), BUSINESS_CURRENCY)


def event(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def expected(value: bytes | None, offset: int) -> dict[str, object]:
    kafka_time = oracle.EPOCH + timedelta(milliseconds=KAFKA_TIME_MS)
    read = oracle.read(value)
    sound = [item for item in read.items if not item.bad]
    currency = read.texts["currency"]
    return {
        "partition": 3,
        "offset": offset,
        "kafka_time": kafka_time,
        "payload_ok": read.payload_ok,
        **read.texts,
        "event_time": read.event_time,
        "ahead_us": None if read.event_time is None else (read.event_time - kafka_time) // timedelta(microseconds=1),
        "total_cents": read.total_cents,
        "previous_total_cents": read.previous_total_cents,
        "foreign_currency": currency is not None and currency != BUSINESS_CURRENCY,
        "item_count": len(read.items),
        "bad_item_count": len(read.items) - len(sound),
        "items_cents": sum(item.amount_cents or 0 for item in read.items),
        "units": sum(item.quantity or 0 for item in read.items),
    }


def expected_lines(values: list[bytes | None]) -> list[dict[str, object]]:
    return [
        {
            "row": row,
            "product_id": item.product_id,
            "category": item.category,
            "quantity": item.quantity,
            "amount_cents": item.amount_cents,
        }
        for row, value in enumerate(values)
        for item in oracle.read(value).items
    ]


def assert_as_the_contract_says(values: list[bytes | None]) -> None:
    found = decode(records(values), BUSINESS_CURRENCY)
    for row, value in zip(found.events.iter_rows(named=True), values, strict=True):
        assert row == expected(value, row["offset"]), value
    assert found.lines.to_dicts() == expected_lines(values)


def test_every_kind_of_value_in_every_field_is_decoded_as_the_contract_says() -> None:
    fields = [f'{{"{name}":{token}}}' for name in odd.FIELDS for token in odd.TOKENS]
    items = [f'{{"items":[{{"{name}":{token}}},{token}]}}' for name in odd.ITEM_FIELDS for token in odd.TOKENS]
    full = [
        f'{{"items":[{{"product_id":"p","quantity":{token},"unit_price":"1.10"}},{{"product_id":"p","amount":{token}}}]}}'
        for token in odd.TOKENS
    ]
    assert_as_the_contract_says([value.encode() for value in (*fields, *items, *full)])


@settings(max_examples=100, deadline=None)
@given(st.lists(odd.VALUES, max_size=12))
@example([b'{"x":[1', b"2]}", b'{"event_id":"a"},{"event_id":"b"}'])
@example([b'{"event_id":"a"}', b'  {"event_id":"b"}\n'])
@example([b'{"event_id":"a","event_id":"b","items":[{"product_id":"1","product_id":"2","amount":"1"}]}'])
def test_every_value_is_decoded_as_the_contract_says_whatever_stands_beside_it(values: list[bytes | None]) -> None:
    assert_as_the_contract_says(values)


@pytest.mark.parametrize("value", odd.MALFORMED, ids=repr)
def test_what_is_not_one_json_object_is_malformed_and_spoils_nothing_else(value: bytes | None) -> None:
    good = event(event_id="good", total_amount="12.34")
    found = decoded(good, value, good).events
    assert found["payload_ok"].to_list() == [True, False, True]
    assert found["event_id"].to_list() == ["good", None, "good"]
    assert found["total_cents"].to_list() == [1234, None, 1234]


def test_a_thousand_levels_of_nesting_are_read_and_one_more_is_malformed() -> None:
    found = decoded(*map(odd.nested, (2, 999, 1000, 1001, 100_000))).events
    assert found["payload_ok"].to_list() == [True, True, True, False, False]
    assert found["event_id"].to_list() == ["deep", "deep", "deep", None, None]


def test_brackets_inside_texts_are_no_nesting() -> None:
    found = decoded(event(event_id="a", note="[{" * 3000), event(event_id="b", note='\\"[' * 3000)).events
    assert found["event_id"].to_list() == ["a", "b"]


def test_a_megabyte_in_one_field_neither_fits_nor_hurts() -> None:
    found = decoded(event(event_id="x" * 1_000_000, order_id="o"), event(event_id="b", note="y" * 1_000_000)).events
    assert found["event_id"].to_list() == [None, "b"]
    assert found["order_id"].to_list() == ["o", None]
    assert found["payload_ok"].to_list() == [True, True]


LONG = st.builds(
    lambda parts, times, end: "".join(parts) * times + end,
    st.lists(st.sampled_from(['"', "\\", "x", "0", "\n", "\u00e4", "\U0001f600", '",', "\0"]), min_size=1, max_size=6),
    st.sampled_from([1, 500, 9_000]),
    st.sampled_from(["", "0", "\\", '"']),
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from([*oracle.TEXT_FIELDS, "note", "event_time"]), LONG, max_size=4), st.booleans())
@example({"event_id": "x" * 20_000, "total_amount": "1." + "0" * 20_000}, True)
@example({"note": '\\"' * 9_000, "total_amount": "1." + "0" * 20_000 + "1"}, False)
def test_long_texts_are_read_as_the_contract_says(fields: dict[str, str], ascii_only: bool) -> None:
    value = json.dumps(fields | {"order_id": "o", "items": [fields, {"amount": "2"}]}, ensure_ascii=ascii_only).encode()
    assert decoded(value).events.to_dicts() == [expected(value, 0)]
    assert decoded(value).lines.to_dicts() == expected_lines([value])


def test_lines_of_the_largest_message_do_not_overflow() -> None:
    line = {"product_id": "p", "quantity": 999_999_999, "amount": "99999999999.99"}
    found = decoded(event(items=[line] * 15_000)).events
    assert found["items_cents"].item() == 15_000 * 9_999_999_999_999
    assert found["units"].item() == 15_000 * 999_999_999


def test_quantity_times_unit_price_beyond_the_range_of_amounts_is_no_amount() -> None:
    found = decoded(event(items=[{"product_id": "p", "quantity": 999_999_999, "unit_price": "99999999999.99"}]))
    assert found.events["bad_item_count"].item() == 1
    assert found.lines["amount_cents"].to_list() == [None]


def test_no_records_give_no_rows_with_the_same_columns() -> None:
    assert decoded().events.schema == pl.Schema(EVENT_SCHEMA)
    assert decoded().lines.schema == decoded(event(items=[{}])).lines.schema


def test_the_columns_are_those_of_the_contract() -> None:
    scalar = [column.name for column in EVENT_COLUMNS if column.kind != "items"]
    assert decoded(b"{}").events.columns == scalar


def test_parsing_leaves_pandas_alone() -> None:
    # Loading it would double the start of a worker.
    code = "import sys, stream.worker, stream.parse as p; p.parse([b'{}', b'x']); sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_parse_of_nothing_is_empty() -> None:
    assert parse([]).is_empty()
