"""The first half of decode: raw values → fields as texts, a whole micro-batch at a time.

DuckDB takes the fields out of the JSON. It is looser than JSON (NaN, trailing commas), and its texts do not tell
``"1.5"`` from ``1.5``. So every value also passes a strict parser, and the few rows whose texts may have been something
else are taken out a second time with their JSON types kept.
"""

from __future__ import annotations

import json
import re
import threading
from functools import cache

import duckdb
import msgspec
import numpy as np
import polars as pl

from tandem.events import EVENT_TIME_PATTERN, MAX_NESTING, MAX_TEXT_LENGTH

TEXTS = (
    "event_id",
    "event_type",
    "order_id",
    "customer_id",
    "currency",
    "payment_method",
    "status",
    "region",
    "customer_email",
)
AMOUNTS = ("total_amount", "previous_total_amount")
ITEM_TEXTS = ("product_id", "category")
ITEM_NUMBERS = ("quantity", "unit_price", "amount")

_MAYBE_NOT_TEXT = r"^([{\[]|true$|false$|-?[0-9]+([.][0-9]+([eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)$)"
"""How a text looks that DuckDB may have made of an object, a list, a boolean or a number with a fraction. A number as a
whole: of random ids in hexadecimal, one in ten begins like one."""

_LARGE = 1 << 14
"""Bytes of a value that is no usual order: to put it beside others costs more than to look at each by itself."""
_LONGEST = 12 * MAX_TEXT_LENGTH
"""Bytes of a text that fits: a character takes at most twelve in JSON."""
_STRICT = msgspec.json.Decoder(msgspec.Raw)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_STEPS = np.zeros(256, np.int8)
_STEPS[[*b"[{"]], _STEPS[[*b"]}"]] = 1, -1
"""What each byte outside of strings does to the depth."""


def parse(values: list[bytes | None]) -> pl.DataFrame:
    """One row per value: ``row``, ``payload_ok``, TEXTS, AMOUNTS as texts, ``event_us``, ``items``, ``item_count``.

    ``event_us`` is microseconds since 1970; ``items`` a list of structs of texts. What cannot be read is NULL; a text
    may be empty still.
    """
    try:
        if max(map(len, values), default=0) <= _LARGE:  # type: ignore[arg-type]  # None raises, as it must
            # One call for all; one bad value spoils it. That each is a value by itself, DuckDB finds out.
            _STRICT.decode(b"[" + b",".join(values) + b"]")  # type: ignore[arg-type]  # none is None
            if not any(map(_too_deep, values)):  # type: ignore[arg-type]  # none is None
                return _take_out(pl.Series("value", values, pl.Binary).cast(pl.String))
    except (TypeError, msgspec.DecodeError, RecursionError, pl.exceptions.PolarsError, duckdb.InvalidInputException):
        pass  # one by one, then
    return _take_out(pl.Series("value", [_text(value) for value in values], pl.String))


def _too_deep(value: bytes) -> bool:
    """Whether brackets stand in more than MAX_NESTING others. Only what could be JSON is looked at."""
    if len(value) <= 2 * MAX_NESTING:  # it cannot close so many
        return False
    # The two that open differ in one bit. As bytes, each of them would be counted in a pass of its own.
    if np.count_nonzero(np.frombuffer(value, np.uint8) | 0x20 == ord("{")) <= MAX_NESTING:
        return False
    signs = np.frombuffer(_STRING.sub(b"", value), np.uint8)
    depth = 0
    for start in range(0, len(signs), _LARGE):  # what is too deep mostly is so at its beginning
        depths = np.cumsum(_STEPS[signs[start : start + _LARGE]], dtype=np.int32)
        if depth + int(depths.max()) > MAX_NESTING:
            return True
        depth += int(depths[-1])
    return False


def _text(value: bytes | None) -> str | None:
    """One value as a text, None where it is not JSON in UTF-8."""
    if value is None or _too_deep(value):
        return None
    try:
        text = value.decode("utf-8")
        _STRICT.decode(value)
    except RecursionError:
        # Within MAX_NESTING, but more than the interpreter's own limit leaves to the strict parser.
        return text if _ENGINE.connection.execute("SELECT json_valid(?)", [text]).fetchall() == [(True,)] else None
    except (UnicodeDecodeError, msgspec.DecodeError):
        return None
    return text if len(value) <= _LARGE else _without_long_texts(value).decode("utf-8")


def _without_long_texts(value: bytes) -> bytes:
    """The same JSON, with an empty text for each that fits nowhere: to carry a megabyte on costs milliseconds.

    One that ends with 0 stays, as an amount may have any number of zeros.
    """
    # With other signs for what escapes, so that each quote left over begins or ends a text.
    plain = value.replace(rb"\\", b"__").replace(rb"\"", b"__") if b"\\" in value else value
    signs = np.frombuffer(plain, np.uint8)
    quotes = np.flatnonzero(signs == ord('"'))
    begins, ends = quotes[::2] + 1, quotes[1::2]
    is_long = (ends - begins > _LONGEST) & (signs[ends - 1] != ord("0"))
    kept = zip([0, *ends[is_long]], [*begins[is_long], len(value)], strict=True)
    return b"".join(value[start:end] for start, end in kept)


def _take_out(value: pl.Series) -> pl.DataFrame:
    """The fields of readable texts. Raises duckdb.InvalidInputException where one is not JSON."""
    fields = _run(value, careful=False).with_columns(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"),
        value.str.contains(r"^[ \t\r\n]*\{").fill_null(value=False).alias("payload_ok"),
    )
    doubtful = _doubtful(fields, value)
    if doubtful.any():
        again = _run(value.filter(doubtful), careful=True)
        again = again.with_columns(fields.filter(doubtful).select("row", "payload_ok"))
        fields = pl.concat([fields.filter(~doubtful), again]).sort("row")
    return fields


def _doubtful(fields: pl.DataFrame, value: pl.Series) -> pl.Series:
    """Rows with a text that may not be what it seems, or that may not fit."""

    def doubtful(text: pl.Expr) -> pl.Expr:
        return text.str.contains(_MAYBE_NOT_TEXT) | (text.str.len_bytes() > MAX_TEXT_LENGTH)

    events = fields.select(pl.any_horizontal(doubtful(pl.col(name)).fill_null(value=False) for name in TEXTS))
    items = fields.select("row", "items").filter(pl.col("items").list.len() > 0).explode("items")
    lines = items.filter(pl.any_horizontal(doubtful(pl.col("items").struct.field(name)) for name in ITEM_TEXTS))
    with_nul = value.str.contains("\\u0000", literal=True).fill_null(value=False)
    return events.to_series() | with_nul | fields["row"].is_in(lines["row"].implode())


class _Engine(threading.local):
    """A connection for each thread: what one has registered as ``incoming`` is its own."""

    def __init__(self) -> None:
        # What is needed comes with the wheel; nothing is to be looked up on the network while decoding.
        self.connection = duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False})


_ENGINE = _Engine()


def _run(value: pl.Series, *, careful: bool) -> pl.DataFrame:
    engine = _ENGINE.connection
    # Through Arrow, which copies nothing; pyarrow's own conversion of Python values would load pandas.
    engine.register("incoming", value.to_frame().to_arrow())
    try:
        return pl.DataFrame(engine.sql(_query(careful=careful)).to_arrow_table())
    finally:
        engine.unregister("incoming")


def _as_text(field: str) -> str:
    """SQL: a JSON field as the contract's text. What is too long for one is not looked at: that costs milliseconds."""
    text = f"({field} ->> '$')"
    is_text = f"json_type({field}) = 'VARCHAR' AND NOT contains({text}, chr(0))"
    is_integer = rf"regexp_full_match({field}::VARCHAR, '-?[0-9]+')"
    fits = f"({is_text} OR {is_integer}) AND length({text}) BETWEEN 1 AND {MAX_TEXT_LENGTH}"
    return f"CASE WHEN strlen({field}) > {_LONGEST} + 2 THEN NULL WHEN {fits} THEN {text} END"


@cache
def _query(*, careful: bool) -> str:
    """SQL over ``incoming(value)``. Careful: JSON types are kept until a text is known to be one."""
    kind = "JSON" if careful else "VARCHAR"
    item = dict.fromkeys(ITEM_TEXTS, kind) | dict.fromkeys(ITEM_NUMBERS, "VARCHAR")
    shape = dict.fromkeys(TEXTS, kind) | dict.fromkeys((*AMOUNTS, "event_time"), "VARCHAR") | {"items": [item]}
    texts = [f"{_as_text(f'd.{name}') if careful else f'd.{name}'} AS {name}" for name in TEXTS]
    items = "d.items"
    if careful:
        parts = [f"{name}: {_as_text(f'i.{name}')}" for name in ITEM_TEXTS]
        parts += [f"{name}: i.{name}" for name in ITEM_NUMBERS]
        items = f"list_transform(d.items, lambda i: {{{', '.join(parts)}}})"
    return f"""
        SELECT {", ".join(texts)}, {", ".join(f"d.{name}" for name in AMOUNTS)}, {items} AS items,
               epoch_us(CASE WHEN regexp_matches(d.event_time, '{EVENT_TIME_PATTERN}')
                             THEN try_cast(d.event_time AS TIMESTAMPTZ) END) AS event_us
        FROM (SELECT json_transform(value, '{json.dumps(shape)}') AS d FROM incoming)
    """  # noqa: S608 - every name stands in this file
