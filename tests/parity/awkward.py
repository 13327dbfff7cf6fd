"""Values that JSON engines, decimal parsers and calendars read differently, and a generator of more of them."""

from __future__ import annotations

import random

_ITEM = '{"product_id":"p1","category":"TEA","quantity":2,"amount":"10.00"}'


def event(**fields: str) -> bytes:
    """A good ``order_created`` with some fields replaced by raw JSON text; '' leaves a field out."""
    good = {
        "event_id": '"e1"',
        "event_type": '"order_created"',
        "event_time": '"2017-12-21T08:00:00Z"',
        "order_id": '"o1"',
        "customer_id": '"c1"',
        "total_amount": '"10.00"',
        "items": f"[{_ITEM}]",
    }
    return _object({**good, **fields})


def _object(fields: dict[str, str]) -> bytes:
    return ("{" + ",".join(f'"{name}":{text}' for name, text in fields.items() if text) + "}").encode()


def _item(**fields: str) -> str:
    good = {"product_id": '"p1"', "category": '"TEA"', "quantity": "2", "amount": '"10.00"'}
    return "[" + _object({**good, **fields}).decode() + "]"


VALUES: list[bytes | None] = [
    None,
    b"",
    b" ",
    b"null",
    b"true",
    b"7",
    b'"text"',
    b"[]",
    b"{}",
    b" { } ",
    b"[{}]",
    b"{",
    b"}",
    b'{"a":1} x',
    b'{"a":1}{"b":2}',
    b'{"a":1}}',
    b'{"a":1}]',
    b'{"a":{"b":1}',
    b"[1] {}",
    b"{} {}",
    b"{'a':1}",
    b"{a:1}",
    b'{"a":1,}',
    b'{"a":[1,]}',
    b'{"a":NaN}',
    b'{"a":Infinity}',
    b'{"a":-Infinity}',
    b'{"a":nan}',
    b'{"a":01}',
    b'{"a":1.}',
    b'{"a":.5}',
    b'{"a":+1}',
    b'{"a":-}',
    b'{"a":1e}',
    b'{"a":tRue}',
    b'{"a":"\x01"}',
    b'{"a":"x\ny"}',
    b'{"a":"\\x"}',
    b'{"a":"\\u12g4"}',
    b'{"a":1 /* why */}',
    b'\xef\xbb\xbf{"a":1}',
    b'{"a":1}\x00',
    b'{"a":1}\x0b',
    b'{"a":"\xff"}',
    b'{"a":"\xc0\xaf"}',
    b'{"a":"\xed\xa0\x80"}',
    b'{"a":"\\ud800"}',
    b'{"a":"\\udc00\\ud800"}',
    b'{"a":"\\\\ud800"}',
    b'{"a":"\\\\\\ud800"}',
    b'{"\\ud800":1}',
    b"{" + b'"a":[' + b"[" * 997 + b"]" * 997 + b"]}",
    b"{" + b'"a":[' + b"[" * 998 + b"]" * 998 + b"]}",
    b"{" + b'"a":[' + b"[" * 999 + b"]" * 999 + b"]}",
    event(),
    b" \n\t" + event() + b"\r\n ",
    event(event_type='"order_shipped"'),
    event(event_type='"order_shipped"', event_id=""),
    event(event_type=""),
    event(event_type="7"),
    event(Event_Id='"other"'),
    event(extra='{"event_id":"inner","items":[{"event_id":1}]}'),
]

_TEXTS = [
    "",
    "null",
    '""',
    '" "',
    '"\\u0000"',
    '"a\\u0000b"',
    '"\\u00e9\\n\\"quoted\\" \\\\ \\/"',
    '"\\ud83d\\ude00"',
    '"caf\u00e9 \U0001f600"',
    '"\u2028"',
    '"' + "x" * 512 + '"',
    '"' + "x" * 513 + '"',
    '"' + "\U0001f600" * 512 + '"',
    '"' + "\u00e9" * 513 + '"',
    "7",
    "-7",
    "-0",
    "0",
    "00",
    "7.0",
    "7.5",
    "7e0",
    "7E2",
    "1e400",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "-9223372036854775809",
    "12345678901234567890.0",
    "1" * 38,
    "1" * 39,
    "-" + "1" * 300,
    "1" * 512,
    "1" * 513,
    "true",
    "false",
    "{}",
    '{"a":1}',
    "[]",
    '["a"]',
    '"{\\"a\\":1}"',
    '"[1]"',
    '"true"',
    '"1.5"',
    '"null"',
]

_AMOUNTS = [
    "",
    "null",
    '""',
    '"10"',
    '"10.0"',
    '"10.00"',
    '"10.000000000000000000000000000000000000000000000000"',
    '"10.001"',
    '"10.010"',
    '"10."',
    '".5"',
    '"+10"',
    '"-10.00"',
    '"-0"',
    '"0.00"',
    '"00010.00"',
    '" 10.00"',
    '"10.00 "',
    '"10.00\\n"',
    '"1e1"',
    '"1,000.00"',
    '"\u0661\u0660.00"',
    '"99999999999.99"',
    '"100000000000.00"',
    '"NaN"',
    "10",
    "10.0",
    "10.00",
    "10.005",
    "10.01",
    "0.1",
    "0.29",
    "1.005",
    "4.35",
    "1e1",
    "1E+1",
    "1000e-2",
    "1001e-3",
    "1e-7",
    "1e10",
    "1e11",
    "1e15",
    "1e400",
    "-0",
    "-0.0",
    "-10.5",
    "99999999999.99",
    "99999999999.994",
    "99999999999.999",
    "100000000000",
    "12345678901234567890",
    "10.0000000000000000000001",
    "9.9999999999999999999999",
    "10.00000000000001",
    "true",
    "{}",
    "[10]",
    '{"amount":10}',
]

_QUANTITIES = [
    "",
    "null",
    "0",
    "1",
    "-1",
    "1.0",
    "1.00",
    "1.5",
    "2e0",
    "2e9",
    "1e8",
    "1e9",
    "999999999",
    "1000000000",
    '"1"',
    '"1.0"',
    '"1."',
    '"01"',
    '"1.000000000000000000000000000000000000000000000"',
    '"1.5"',
    '"1\\n"',
    "true",
    "[]",
    "-0",
    "-0.0",
]

_TIMES = [
    "",
    "null",
    "1513843200",
    '"2017-12-21"',
    '"2017-12-21 08:00:00Z"',
    '"2017-12-21T08:00Z"',
    '"2017-12-21T08:00:00"',
    '"2017-12-21t08:00:00z"',
    '"2017-12-21T08:00:00Z\\n"',
    '" 2017-12-21T08:00:00Z"',
    '"2017-12-21T08:00:00.Z"',
    '"2017-12-21T08:00:00.1Z"',
    '"2017-12-21T08:00:00.123456Z"',
    '"2017-12-21T08:00:00.123456789Z"',
    '"2017-12-21T08:00:00.999999999Z"',
    '"2017-12-21T08:00:00.1234567890Z"',
    '"2017-12-21T08:00:00+00:00"',
    '"2017-12-21T08:00:00-00:00"',
    '"2017-12-21T00:30:00+01:00"',
    '"2017-12-21T23:30:00.5-05:30"',
    '"2017-12-21T08:00:00+18:01"',
    '"2017-12-21T08:00:00+23:59"',
    '"2017-12-21T08:00:00+24:00"',
    '"2017-12-21T08:00:00+0100"',
    '"2017-12-21T08:00:00 UTC"',
    '"2017-12-21T24:00:00Z"',
    '"2017-12-21T23:59:60Z"',
    '"2017-12-21T08:60:00Z"',
    '"2017-02-29T08:00:00Z"',
    '"2016-02-29T08:00:00Z"',
    '"1900-02-29T08:00:00Z"',
    '"2017-13-01T08:00:00Z"',
    '"2017-00-01T08:00:00Z"',
    '"2017-12-00T08:00:00Z"',
    '"0000-01-01T00:00:00Z"',
    '"0001-01-01T00:00:00+23:59"',
    '"1969-12-31T23:59:59.999999Z"',
    '"1989-12-31T23:59:59.999999Z"',
    '"1990-01-01T00:00:00Z"',
    '"1990-01-01T00:30:00+01:00"',
    '"9999-12-31T23:59:59.999999Z"',
    '"9999-12-31T23:59:59-00:01"',
    '"12017-12-21T08:00:00Z"',
    '"2017-12-21T09:00:00.000001Z"',
    '"2017-12-21T09:00:00Z"',
    '"2017-12-21T11:00:00Z"',
]

_ITEMS = [
    "",
    "null",
    "{}",
    "7",
    '"[]"',
    "[]",
    "[null]",
    "[7]",
    '["a"]',
    "[[]]",
    "[{}]",
    f"[{_ITEM},null]",
    f'[{_ITEM},"x",{_ITEM}]',
    f"[{_ITEM},{_ITEM}]",
    '{"product_id":"p1"}',
    "[" + ",".join([_ITEM] * 300) + "]",
]

_EMAILS = [
    "null",
    '""',
    '"a@b.c"',
    '"a@b"',
    '"a b@c.d"',
    '"a@b.c\\n"',
    '"a@@b.c"',
    '"@b.c"',
    '"a@b.c d"',
    '"\u00e9@b.c"',
    "7",
]

VALUES += [event(**{name: text}) for name in ("event_id", "order_id", "customer_id", "region") for text in _TEXTS]
VALUES += [event(event_time=text) for text in _TIMES]
VALUES += [event(total_amount=text) for text in _AMOUNTS]
VALUES += [event(event_type='"order_cancelled"', total_amount=text, items="") for text in _AMOUNTS]
VALUES += [
    event(event_type='"order_amended"', total_amount='"10.00"', previous_total_amount=text, items="")
    for text in _AMOUNTS
]
VALUES += [event(items=text) for text in _ITEMS]
VALUES += [event(items=_item(product_id=text)) for text in _TEXTS]
VALUES += [event(items=_item(category=text)) for text in _TEXTS]
VALUES += [event(items=_item(amount=text)) for text in _AMOUNTS]
VALUES += [event(items=_item(quantity=text)) for text in _QUANTITIES]
VALUES += [event(items=_item(quantity=text, amount="")) for text in _QUANTITIES]
VALUES += [event(items=_item(quantity=text, amount="null", unit_price='"5.00"')) for text in _QUANTITIES]
VALUES += [event(items=_item(amount="", unit_price=text)) for text in _AMOUNTS]
VALUES += [event(items=_item(amount="", unit_price='"99999999999.99"', quantity=q)) for q in ("1", "2", "999999999")]
VALUES += [event(customer_email=text) for text in _EMAILS]
VALUES += [event(currency=text) for text in ("null", '""', '"USD"', '"EUR"', '"usd"', "7")]
VALUES += [
    event(total_amount=f'"{total}"', items=_item(amount=f'"{amount}"'))
    for total, amount in (("10.00", "10.10"), ("10.00", "10.11"), ("10.00", "9.90"), ("0.01", "0.01"), ("1.01", "1.02"))
]
VALUES += [
    # the first of two equal names counts
    b'{"event_type":"order_created",' + event(event_type='"other"')[1:],
    b'{"event_type":null,' + event()[1:],
    b'{"total_amount":1.50,' + event()[1:],
    b'{"total_amount":"1.50","total_amount":{},' + event()[1:],
    b'{"items":null,' + event()[1:],
    b'{"items":[],' + event()[1:],
    b'{"items":{"a":1,"a":2},' + event()[1:],
    b'{"customer_id":{"a":1},' + event()[1:],
    b'{"customer_id":"{\\"a\\":1}",' + event()[1:],
    b'{"customer_id":"\\u0000",' + event()[1:],
    b'{"customer_id":' + b"1" * 60 + b"," + event()[1:],
    b'{"customer\\u005fid":"escaped",' + event()[1:],
    event()[:-1] + b',"customer\\u005fid":"escaped"}',
    event(extra='{"a":1,"a":{"b":[{"c":1,"c":2}]}}'),
    event(items='[{"product_id":"p1","product_id":"p2","quantity":1,"amount":5,"amount":"x"}]'),
    event(items='[{"product_id":null,"product_id":"p2","quantity":1,"amount":5}]'),
    event(items='[{"product_id":7,"product_id":"p2","quantity":1,"quantity":2,"amount":5},"{}",null,[],7]'),
    event(items='[{"quantity":null,"quantity":2,"product_id":"p","amount":"3.00"}]'),
    event(items='[{"product_id":"a","amount":"1.00","x":"}","product_id":"b"}]'),
    event(items="[]")[:-1] + b',"items":[{"product_id":"a","amount":"1.00"}]}',
    event()[:-1] + b',"event_id":"e2"} x',
    event()[:-1] + b',"event_id":NaN}',
    event()[:-1] + b",'event_id':1}",
    event()[:-1] + b',"event_id":"\\ud800"}',
]


def mixed(seed: int) -> bytes:
    """An event with several awkward fields at once, sometimes with a byte changed; the same for the same seed."""
    dice = random.Random(seed)
    fields = {
        "event_id": dice.choice(_TEXTS),
        "event_type": dice.choice(['"order_created"', '"order_cancelled"', '"order_amended"', '"payment_failed"', "7"]),
        "event_time": dice.choice(_TIMES),
        "customer_id": dice.choice(_TEXTS),
        "total_amount": dice.choice(_AMOUNTS),
        "previous_total_amount": dice.choice(_AMOUNTS),
        "customer_email": dice.choice(_EMAILS),
        "items": "[" + ",".join(_any_item(dice) for _ in range(dice.randrange(4))) + "]",
    }
    chosen = {name: text for name, text in fields.items() if dice.random() < 0.4}
    value = bytearray(event(**chosen))
    if dice.random() < 0.2:
        value[dice.randrange(len(value))] = dice.choice(b'"{}[],:\\0129eE.-+ \x00\xffNu')
    return bytes(value)


def _any_item(dice: random.Random) -> str:
    fields = {
        "product_id": dice.choice(_TEXTS),
        "category": dice.choice(_TEXTS),
        "quantity": dice.choice(_QUANTITIES),
        "unit_price": dice.choice(_AMOUNTS),
        "amount": dice.choice(_AMOUNTS),
    }
    return _item(**{name: text for name, text in fields.items() if dice.random() < 0.5})[1:-1]
