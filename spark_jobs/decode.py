"""Decode the raw values of the archive to the typed columns of ``tandem.events.EVENT_COLUMNS``, without UDFs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs import payload as json
from spark_jobs import plain
from tandem.events import (
    AMOUNT_PATTERN,
    EARLIEST_EVENT_TIME,
    EVENT_COLUMNS,
    EVENT_TIME_PATTERN,
    MAX_CENTS,
    MAX_TEXT_LENGTH,
    QUANTITY_PATTERN,
    UNCATEGORISED,
)

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_RECORD = ("partition", "offset", "kafka_time", "value")
_TEXTS = tuple(column.name for column in EVENT_COLUMNS if column.kind == "text")
_AMOUNTS = {"total_amount": "total_cents", "previous_total_amount": "previous_total_cents"}
_NAMES = (*_TEXTS, "event_time", *_AMOUNTS, "items")
_ITEM_NAMES = ("product_id", "category", "quantity", "unit_price", "amount")


def decode(records: DataFrame, currency: str) -> DataFrame:
    """EVENT_COLUMNS from ``partition, offset, kafka_time, value``; further columns stay in front, value goes.

    ``currency`` is the business's.
    """
    others = [name for name in records.columns if name not in _RECORD]
    fields = _typed(_opened(records), others)
    items = fields.withColumn("items", F.expr(f"coalesce({plain.ITEMS}, {_ITEMS_WITH_MONEY})"))
    derived = {
        "ahead_us": F.unix_micros("event_time") - F.unix_micros("kafka_time"),
        "foreign_currency": F.coalesce(F.col("currency") != currency, F.lit(False)),
        **{name: F.expr(expression) for name, expression in _OVER_ITEMS.items()},
    }
    event = F.struct(*(derived.get(c.name, F.col(c.name)).alias(c.name) for c in EVENT_COLUMNS))
    # A condition on what was decoded is not pushed down through a generator, where it would decode once more.
    return items.select(*others, F.inline(F.array(event)))


def business_date(instant: Column, zone: str) -> Column:
    """The date of an instant in the business time zone; the session's own zone is UTC."""
    return F.to_date(F.from_utc_timestamp(instant, zone))


def _opened(records: DataFrame) -> DataFrame:
    """Adds ``plain``, a struct of plain.SCHEMA; where it is NULL ``text`` and ``payload``, a struct of variants.

    All are NULL where the value is malformed.
    """
    first_of_each = json.first_of_each("text", "closed", _NAMES, _ITEM_NAMES)
    return (
        records.withColumn("text", F.expr("CASE WHEN is_valid_utf8(value) THEN CAST(value AS STRING) END"))
        .withColumn("plain", plain.read("text"))
        .withColumn("text", F.expr(f"CASE WHEN plain IS NULL THEN {json.well_formed('text')} END"))
        .withColumn("closed", F.expr(json.closed("text")))
        .withColumn("parsed", F.expr("try_parse_json(closed)"))
        .withColumn("repaired", F.expr(f"CASE WHEN parsed IS NULL THEN {first_of_each} END"))
        .withColumn("text", F.expr("coalesce(repaired, text)"))
        .withColumn("parsed", F.expr(f"coalesce(parsed, try_parse_json({json.closed('repaired')}))"))
        .withColumn("payload", F.expr(json.opened("parsed", (*_NAMES, json.END))))
        .withColumn("payload", F.expr(json.whole("payload", "text")))
    )


def _typed(opened: DataFrame, others: list[str]) -> DataFrame:
    """The payload's scalars with their types, and its items as structs of variants."""
    variants = "try_variant_get(payload.items, '$', 'array<variant>')"
    raw_items = f"transform({variants}, x -> {json.opened('x', _ITEM_NAMES)})"
    scalars = opened.select(
        *others,
        *_RECORD[:3],
        "text",
        "plain",
        F.expr("plain IS NOT NULL OR payload IS NOT NULL").alias("payload_ok"),
        *(F.expr(_text(f"payload.{name}", f"'$.{name}'")).alias(name) for name in _TEXTS),
        F.expr("coalesce(plain.event_time, try_variant_get(payload.event_time, '$', 'string'))").alias("event_time"),
        *(
            F.expr(f"coalesce({plain.cents(f'plain.{name}')}, {_cents(f'payload.{name}')})").alias(cents)
            for name, cents in _AMOUNTS.items()
        ),
        F.expr(raw_items).alias("raw_items"),
    )
    # The expression that says what is plain has held a plain time against the pattern already.
    timely = f"plain IS NOT NULL OR {_matches('event_time', EVENT_TIME_PATTERN)}"
    micros = F.expr(f"CASE WHEN {timely} THEN {_micros('event_time')} END")
    return scalars.withColumns(
        {
            **{name: F.expr(f"coalesce(plain.{name}, {_storable(name)})") for name in _TEXTS},
            "event_time": micros,
            "items": F.expr(_items("raw_items")),
        }
    ).withColumn("event_time", F.expr(_plausible("event_time")))


def _matches(text: str, pattern: str) -> str:
    # Java's $ also stands before a final line break, \z does not.
    return rf"{text} RLIKE r'{pattern.removesuffix('$')}\z'"


def _text(field: str, path: str) -> str:
    """A variant as text where it is a text or an integer; ``path`` finds the same field in the column ``text``."""
    return f"""CASE coalesce(schema_of_variant({field}), 'VOID')
        WHEN 'STRING' THEN try_variant_get({field}, '$', 'string')
        WHEN 'BIGINT' THEN try_variant_get({field}, '$', 'string')
        WHEN 'VOID' THEN NULL
        WHEN 'BOOLEAN' THEN NULL
        ELSE {json.digits("text", path, MAX_TEXT_LENGTH)} END"""


def _storable(text: str) -> str:
    return f"CASE WHEN length({text}) BETWEEN 1 AND {MAX_TEXT_LENGTH} AND NOT contains({text}, chr(0)) THEN {text} END"


def _number(field: str, pattern: str, scale: int) -> str:
    """A variant that is a text of ``pattern``, or a number that would match it, times 10 to the ``scale``; a bigint.

    A double that was written with at most 15 digits is the nearest to exactly one such decimal.
    """
    text = f"try_variant_get({field}, '$', 'string')"
    number = f"try_variant_get({field}, '$', 'double')"
    digits = int(pattern[pattern.index(",") + 1 : pattern.index("}")])
    return f"""CASE schema_of_variant({field})
        WHEN 'STRING' THEN CASE WHEN {_matches(text, pattern)}
            THEN try_cast(try_cast({text} AS DECIMAL(38, {scale})) * {10**scale} AS BIGINT) END
        WHEN 'BOOLEAN' THEN NULL
        ELSE CASE WHEN abs({number}) < 1e{digits}D AND rint({number} * {10**scale}) / {10**scale}D = {number}
            THEN try_cast(rint({number} * {10**scale}) AS BIGINT) END
        END"""


def _cents(field: str) -> str:
    return _number(field, AMOUNT_PATTERN, 2)


def _items(raw: str) -> str:
    """Items with what each field says, apart from what follows from two of them."""
    return f"""transform({raw}, (x, i) -> named_struct(
        'product_id', {_text("x.product_id", "concat('$.items[', i, '].product_id')")},
        'category', {_text("x.category", "concat('$.items[', i, '].category')")},
        'quantity', {_number("x.quantity", QUANTITY_PATTERN, 0)},
        'no_quantity', coalesce(schema_of_variant(x.quantity), 'VOID') = 'VOID',
        'price', {_cents("x.unit_price")},
        'amount', {_cents("x.amount")},
        'no_amount', coalesce(schema_of_variant(x.amount), 'VOID') = 'VOID'))"""


_PRICED = "CAST(x.quantity AS DECIMAL(10)) * CAST(x.price AS DECIMAL(14))"
_ITEMS_WITH_MONEY = f"""transform(items, x -> named_struct(
    'product_id', {_storable("x.product_id")},
    'category', coalesce({_storable("x.category")}, '{UNCATEGORISED}'),
    'quantity', CASE WHEN x.no_quantity AND NOT x.no_amount THEN 0L ELSE x.quantity END,
    'amount_cents', CASE WHEN NOT x.no_amount THEN x.amount
                         WHEN abs({_PRICED}) < {MAX_CENTS} THEN try_cast({_PRICED} AS BIGINT) END))"""

_OVER_ITEMS = {
    "item_count": "CAST(coalesce(size(items), 0) AS BIGINT)",
    "bad_item_count": """CAST(coalesce(size(filter(items, x ->
        x.product_id IS NULL OR x.quantity IS NULL OR x.amount_cents IS NULL)), 0) AS BIGINT)""",
    "items_cents": "coalesce(aggregate(items, 0L, (sum, x) -> sum + coalesce(x.amount_cents, 0L)), 0L)",
    "units": "coalesce(aggregate(items, 0L, (sum, x) -> sum + coalesce(x.quantity, 0L)), 0L)",
}

_LATEST_US = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""


def _micros(text: str) -> str:
    """A text of EVENT_TIME_PATTERN as microseconds since 1970 UTC, NULL where its date is not in the calendar.

    Spark's own cast is many times as quick, and does for times in UTC; it refuses offsets above 18 hours.
    """

    def number(at: int) -> str:
        return f"try_cast(substring({text}, {at}, 2) AS BIGINT)"

    clock = f"{number(12)} * 3600 + {number(15)} * 60 + {number(18)}"
    ahead = f"({number(-5)} * 3600 + {number(-2)} * 60)"
    offset = f"CASE substring({text}, -6, 1) WHEN '+' THEN {ahead} WHEN '-' THEN -{ahead} ELSE 0 END"
    days = f"unix_date(try_cast(substring({text}, 1, 10) AS DATE))"
    fraction = f"try_cast(rpad(regexp_extract({text}, '[.]([0-9]{{1,6}})', 1), 6, '0') AS BIGINT)"
    micros = f"({days} * 86400L + {clock} - {offset}) * 1000000 + {fraction}"
    return f"CASE WHEN endswith({text}, 'Z') THEN unix_micros(try_cast({text} AS TIMESTAMP)) ELSE {micros} END"


def _plausible(micros: str) -> str:
    earliest = int(datetime.fromisoformat(EARLIEST_EVENT_TIME).timestamp()) * 1_000_000
    return f"timestamp_micros(CASE WHEN {micros} BETWEEN {earliest} AND {_LATEST_US} THEN {micros} END)"
