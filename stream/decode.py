"""decode: raw values → typed columns, a whole micro-batch at a time. The grammar is that of ``tandem.events``."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl

from stream.parse import AMOUNTS, TEXTS, parse
from stream.types import Decoded, Records
from tandem.events import (
    AMOUNT_PATTERN,
    EARLIEST_EVENT_TIME,
    EVENT_COLUMNS,
    MAX_CENTS,
    QUANTITY_PATTERN,
    UNCATEGORISED,
)

_UTC = pl.Datetime("us", "UTC")
_KINDS: dict[str, pl.DataType] = {
    "text": pl.String(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "bool": pl.Boolean(),
    "timestamp": _UTC,
}
EVENT_SCHEMA = {column.name: _KINDS[column.kind] for column in EVENT_COLUMNS if column.kind in _KINDS}
"""EVENT_COLUMNS as a frame holds them; the items are a frame of their own."""

_EARLIEST = datetime.fromisoformat(EARLIEST_EVENT_TIME)
_AFTER_LATEST = 253_402_300_800_000_000
"""The first microsecond of the year 10000."""


def decode(records: Records, currency: str) -> Decoded:
    """The records as typed columns. Whatever a value holds, it becomes one row; ``currency`` is the business's."""
    fields = parse(records.values).with_columns(
        pl.col("items").list.len().fill_null(0).cast(pl.Int64).alias("item_count")
    )
    lines = _lines(fields)
    events = fields.with_columns(
        pl.Series("partition", records.partitions, pl.Int32),
        pl.Series("offset", records.offsets, pl.Int64),
        pl.Series("kafka_time", records.kafka_times_ms, pl.Int64).cast(pl.Datetime("ms", "UTC")).cast(_UTC),
        pl.when(pl.col("event_us") < _AFTER_LATEST).then(pl.col("event_us")).cast(_UTC).alias("event_time"),
        *(_cents(pl.col(name)).alias(name.replace("amount", "cents")) for name in AMOUNTS),
        _not_empty("currency").ne(currency).fill_null(value=False).alias("foreign_currency"),
        *_sums(fields["item_count"], lines),
        *map(_not_empty, TEXTS),
    )
    return Decoded(_with_plausible_times(events).select(*EVENT_SCHEMA), lines.drop("bad"))


def _with_plausible_times(events: pl.DataFrame) -> pl.DataFrame:
    time = pl.col("event_time")
    return events.with_columns(pl.when(time >= _EARLIEST).then(time)).with_columns(
        (time - pl.col("kafka_time")).dt.total_microseconds().alias("ahead_us")
    )


def _cents(text: pl.Expr) -> pl.Expr:
    # Exact: a double holds eleven digits and two places to within a thousandth of a cent.
    return pl.when(text.str.contains(AMOUNT_PATTERN)).then(
        (text.cast(pl.Float64, strict=False) * 100).round().cast(pl.Int64)
    )


def _whole(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.contains(QUANTITY_PATTERN)).then(text.cast(pl.Float64, strict=False).cast(pl.Int64))


def _not_empty(text: str) -> pl.Expr:
    return pl.when(pl.col(text) != "").then(pl.col(text)).alias(text)


def _lines(fields: pl.DataFrame) -> pl.DataFrame:
    """Every item of every event, typed, in order; ``bad`` where it lacks its product, a whole quantity or an amount."""
    quantity, amount = pl.col("quantity"), pl.col("amount")
    items = fields.select("row", "items").filter(pl.col("items").list.len() > 0).explode("items").unnest("items")
    pieces, price = _whole(quantity), _cents(pl.col("unit_price"))
    fits = (pieces.cast(pl.Float64) * price).abs() < MAX_CENTS
    return items.select(
        "row",
        _not_empty("product_id"),
        _not_empty("category").fill_null(UNCATEGORISED),
        pl.when(quantity.is_null() & amount.is_not_null()).then(0).otherwise(pieces).alias("quantity"),
        pl.when(amount.is_not_null()).then(_cents(amount)).when(fits).then(pieces * price).alias("amount_cents"),
    ).with_columns(pl.any_horizontal(pl.col("product_id", "quantity", "amount_cents").is_null()).alias("bad"))


def _sums(counts: pl.Series, lines: pl.DataFrame) -> list[pl.Series]:
    """Per event, over its lines: bad_item_count, items_cents, units. The lines stand in the order of the events."""
    ends = counts.to_numpy().cumsum()
    starts = ends - counts.to_numpy()

    def per_event(name: str, column: str) -> pl.Series:
        running = np.concatenate([[0], lines[column].cast(pl.Int64).fill_null(0).to_numpy().cumsum()])
        return pl.Series(name, running[ends] - running[starts], pl.Int64)

    return [
        per_event("bad_item_count", "bad"),
        per_event("items_cents", "amount_cents"),
        per_event("units", "quantity"),
    ]
