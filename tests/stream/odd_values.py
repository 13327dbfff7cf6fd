"""Values that JSON engines read differently, as raw tokens, and strategies that put them together."""

from __future__ import annotations

import json

import payload_oracle as oracle
from hypothesis import strategies as st

_NUMBERS = """
0 -0 7 -3 12.30 12.3 12.345 1e2 1E2 1e-2 2.5e0 0.10 -5.00 10000000.00 99999999999.99 100000000000 1e16 1e400
123456789012345678901234567890 3.0 2.50 0.1000000000000000055 -0.0 1e22 1.0E+2 999999999 1000000000 18446744073709551616
"""
_WORDS = """
12.34 -1.5 1.5 12.340 12.345 12. .5 1e2 +1 ٣ 007 0 3 3.0 3.00 -2 order_created order_cancelled payment_failed
nothing_known USD EUR usd a@b.example a@b {} [] [x {y true false null NaN 99999999999.99 100000000000
"""
_TIMES = """
2017-12-21T08:00:00Z 2017-12-21T08:00:00.1Z 2017-12-21T08:00:00.123456789Z 2017-12-21T08:00:00.9999999Z
2017-12-21T23:30:00-05:45 2017-12-21T23:30:00+14:00 2017-02-30T08:00:00Z 2016-02-29T00:00:00Z 2017-02-29T00:00:00Z
2017-12-21T24:00:00Z 2016-12-31T23:59:60Z 2017-12-21T08:60:00Z 2017-12-21T08:00Z 2017-12-21T08:00:00
2017-12-21t08:00:00z 2017-12-21T08:00:00+24:00 2017-12-21T08:00:00+23:59 2017-12-21T08:00:00+0530
1989-12-31T23:59:59.999999Z 1990-01-01T00:00:00Z 1990-01-01T00:30:00+01:00 9999-12-31T23:59:59Z
9999-12-31T23:59:59-00:01 0000-01-01T00:00:00Z 2017-13-01T00:00:00Z 2017-12-21T08:00:00.Z
2017-12-21T08:00:00.1234567890Z 02017-12-21T08:00:00Z 2017-12-21
"""
_SPACED = ["", " ", "12.34\n", " 12.34", "a\nb", "1\u00a0", "é" * 512, "é" * 513, "x\0y", "\0", '"', "\\", "\\."]
_ODD = ["null", "true", "false", "{}", "[]", '{"a":1}', "[1,2]", '["x"]', '{"amount":"1.00"}', '"\\u0041"', '"\\/"']

TOKENS = [*_NUMBERS.split(), *_ODD, *map(json.dumps, [*_WORDS.split(), *_SPACED, *_TIMES.split()])]
"""Valid JSON values."""

ITEM_FIELDS = ("product_id", "category", "quantity", "unit_price", "amount")
FIELDS = (*oracle.TEXT_FIELDS, "event_time", "total_amount", "previous_total_amount", "items")


def quoted(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(texts, st.booleans()).map(lambda pair: json.dumps(pair[0], ensure_ascii=pair[1]))


ANY = st.one_of(st.sampled_from(TOKENS), quoted(st.text(max_size=8)))
TIMES = st.datetimes().map(lambda moment: f'"{moment.isoformat()}Z"')


def pairs(known: dict[str, st.SearchStrategy[str]]) -> st.SearchStrategy[str]:
    """A JSON object with some of the known names, unknown ones, and names that repeat."""
    of_known = [st.tuples(st.just(name), values) for name, values in known.items()]
    unknown = st.tuples(quoted(st.text(max_size=5)).map(lambda text: text[1:-1]), ANY)
    return st.tuples(st.lists(st.one_of(*of_known, unknown), max_size=14), st.sampled_from([",", ", ", " ,\n\t"])).map(
        lambda drawn: "{" + drawn[1].join(f'"{name}":{value}' for name, value in drawn[0]) + "}"
    )


ITEMS = st.lists(st.one_of(pairs(dict.fromkeys(ITEM_FIELDS, ANY)), ANY), max_size=4).map(
    lambda items: "[" + ",".join(items) + "]"
)
OBJECTS = pairs(dict.fromkeys(FIELDS, ANY) | {"event_time": st.one_of(TIMES, ANY), "items": st.one_of(ITEMS, ANY)})


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An event with a few bytes changed, dropped or put in."""
    value = draw(OBJECTS).encode()
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(value)))
        put = draw(
            st.sampled_from([b"", b",", b"}", b"NaN", b"\xff", b"\xc3", b"\x00", b"\x01", b" ", b'"', b"\\ud800", b"1"])
        )
        value = value[:at] + put + value[at + draw(st.integers(0, 1)) :]
    return value


VALUES = st.one_of(OBJECTS.map(str.encode), damaged(), st.binary(max_size=12), ANY.map(str.encode), st.none())

MALFORMED: list[bytes | None] = [
    None,
    b"",
    b" ",
    b"null",
    b"[]",
    b'"text"',
    b"1",
    b'{"event_id":"a"} x',
    b'{"event_id":"a"}{"event_id":"b"}',
    b'{"event_id":"a",}',
    b'{"event_id":"a","x":[1,]}',
    b'{"event_id":"a","x":NaN}',
    b'{"event_id":"a","x":-Infinity}',
    b'{"event_id":"a","x":nan}',
    b"{'event_id':'a'}",
    b'{event_id:"a"}',
    b'{"event_id":"a","x":01}',
    b'{"event_id":"a","x":1.}',
    b'{"event_id":"a","x":.5}',
    b'{"event_id":"a","x":0x1}',
    b'{"event_id":"\xff"}',
    b'\xef\xbb\xbf{"event_id":"a"}',
    b'{"event_id":"\\ud800"}',
    b'{"event_id":"a\x01"}',
    b'{"event_id":"a"}\x00',
    b'{"event_id":"a"',
    b'{"event_id":"a" /* note */}',
    '{"event_id":"a"}'.encode("utf-16"),
    bytes(range(256)),
]
"""None of these is one JSON object in UTF-8."""


def nested(levels: int) -> bytes:
    """An event with so many brackets around its innermost."""
    return b'{"event_id":"deep","x":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"
