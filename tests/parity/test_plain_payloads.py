"""A plain payload, which one typed from_json reads, must say the same as the strict way that reads everything else."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest
from awkward import VALUES
from pyspark.sql import SparkSession
from test_decode_parity import COLUMNS, batch

from benchmarks.orders import orders
from spark_jobs import plain

pytestmark = pytest.mark.spark

_TEXTS = ('"p1"', '"caf\u00e9 \U0001f600"', '"a}]{[,:"', '"null"', '"1.5"', "7", "-7", "null", '"' + "x" * 512 + '"')
_AMOUNTS = ('"10.00"', '"-0.5"', '"007"', '"99999999999.99"', "12", "12.3", "-0.01", "99999999999.99", "0", "null")
_QUANTITIES = ("0", "2", "-3", "999999999", "null")
_TIMES = (
    '"2017-12-21T08:00:00Z"', '"2017-02-29T08:00:00Z"', '"2017-12-21T08:00:00.123456789-05:30"',
    '"1989-12-31T23:59:59Z"', '"9999-12-31T23:59:59-00:01"', '"2017-12-21T08:00:00+23:59"', "null",
)  # fmt: skip
_OTHERS = ("true", "false", "null", '""', "-0.0", "12345678901234567", '"' + "y" * 600 + '"')
_EVENT = {
    **dict.fromkeys(("event_id", "order_id", "customer_id", "currency", "region", "status"), _TEXTS),
    "event_type": ('"order_created"', '"order_amended"', '"seen"', "null"),
    "event_time": _TIMES,
    **dict.fromkeys(("total_amount", "previous_total_amount"), _AMOUNTS),
    **dict.fromkeys(("note", "Event_Id", "", "event_id "), _OTHERS),
}
_ITEM = {
    **dict.fromkeys(("product_id", "category"), _TEXTS),
    "quantity": _QUANTITIES,
    **dict.fromkeys(("unit_price", "amount"), _AMOUNTS),
}
_PIECES = (
    b"NaN", b"'", b"\\", b"\\u0041", b"\\u0000", b"1e2", b"01", b"-", b".5", b",", b"}", b"]", b"{", b"[", b'"', b":",
    b" ", b"\t", b"\n", b"\x00", b"\x0b", b"\x1f", b"\x7f", b"\xc3\xa9", b"\xff", b"\xef\xbb\xbf", b"\xe2\x80\xa8",
    b"/* */",
    b"null", b'""', b'{"a":1}', b"[1]", b'"event_id":"e2",', b'"items":[],', b"12345678901234567890", b"0",
)  # fmt: skip
_LONG = (
    b'{"items":[' + b",".join([b'{"product_id":"p","amount":"1.00"}'] * 5_000) + b"]}",
    b"{" + b",".join([b'"a":1'] * 5_000) + b"}",
    b'{"note":"' + b"x" * 90_000 + b'"}',
    b'{"note":"' + b"x" * 90_000,
    b" " * 90_000 + b"{}",
    b'{"items":[' + b"{" * 30_000,
    b'{"customer_id":"' + b"\xc3\xa9" * 30_000 + b'"}',
    b'{"total_amount":"1.' + b"0" * 90_000 + b'"}',
    b'{"total_amount":' + b"1" * 90_000 + b"}",
)


def described(dice: random.Random, kinds: dict[str, tuple[str, ...]], space: str) -> str:
    """An object with some of the fields, in any order; rarely one of them twice."""
    names = dice.sample(sorted(kinds), dice.randint(1, len(kinds)))
    if dice.random() < 0.1:
        names.append(dice.choice(names))
    fields = (f'"{name}"{space}:{space}{dice.choice(kinds[name])}' for name in names)
    return "{" + space + f"{space},{space}".join(fields) + space + "}"


def written(seed: int) -> bytes:
    """A payload that is plain, or nearly, or was until some of its bytes were changed; the same for the same seed."""
    dice = random.Random(seed)
    space = dice.choice(("", "", " ", "\t\r\n "))
    items = f"{space},{space}".join(described(dice, _ITEM, space) for _ in range(dice.randrange(4)))
    kinds = {**_EVENT, "items": (f"[{space}{items}{space}]",) * 3 + ("null",)}
    value = bytearray(f"{space}{described(dice, kinds, space)}{space}".encode())
    for _ in range(dice.choice((0, 0, 1, 1, 2))):
        start, length = dice.randrange(len(value)), dice.randrange(1, 40)
        some = bytes(value[start : start + length])
        at = dice.randrange(len(value) + 1)
        match dice.randrange(4):
            case 0:
                del value[start : start + dice.randrange(1, 4)]
            case 1:
                value[at:at] = some
            case 2:
                value[at:at] = dice.choice(_PIECES)
            case _:
                value[start : start + 1] = dice.choice(_PIECES)
    return bytes(value)


def test_a_plain_payload_is_read_as_the_strict_way_reads_it(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [*VALUES, *_LONG, *map(written, range(2000))]
    quick = batch(spark, values)
    monkeypatch.setattr(plain, "PATTERN", "(?!)")
    strict = batch(spark, values)
    differing = [
        (value, {name: (ours[name], theirs[name]) for name in COLUMNS if ours[name] != theirs[name]})
        for value, ours, theirs in zip(values, quick, strict, strict=True)
        if ours != theirs
    ]
    assert differing == []


def test_what_shops_send_is_plain(spark: SparkSession) -> None:
    sent = [
        b'{"event_id": "e1", "customer_id": 7, "total_amount": 12.30, "items": [{"quantity": 1, "product_id": "p"}]}',
        next(value for _, value in orders(1)),
    ]
    texts = spark.createDataFrame(pa.table({"text": pa.array(map(bytes.decode, sent))}))
    assert texts.select(plain.read("text").isNotNull()).toArrow().column(0).to_pylist() == [True, True]
