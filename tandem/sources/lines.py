"""What every source hands over: its lines in one form, events by time; and how lines become events."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Protocol

import polars as pl

from tandem.sources.payloads import Item, Payload, SourceEvent, amount, instant, timestamp

CHUNK_LINES = 100_000
"""Lines turned into events at a time; bounds the memory of a replay."""

LINE_SCHEMA: dict[str, pl.DataType] = {
    "event_id": pl.String(),
    "event_type": pl.String(),
    "at_us": pl.Int64(),
    "order_id": pl.String(),
    "customer_id": pl.String(),
    "total_cents": pl.Int64(),
    "currency": pl.String(),
    "payment_method": pl.String(),
    "region": pl.String(),
    "customer_email": pl.String(),
    "product_id": pl.String(),
    "category": pl.String(),
    "quantity": pl.Int64(),
    "unit_price": pl.String(),
    "amount_cents": pl.Int64(),
}
"""Every source brings its data into this form: one row per line, an event's lines side by side and its own columns
repeated on each, events by time. ``at_us`` is microseconds since 1970 UTC, money is cents."""


class Source(Protocol):
    """Orders from somewhere. ``name`` is part of every event id, so the same data gives the same ids."""

    @property
    def name(self) -> str:
        """Stable name of the data set."""

    def size(self) -> int:
        """Number of events."""

    def frames(self) -> Iterator[pl.DataFrame]:
        """The lines in the form of LINE_SCHEMA, by event time, then event id; can be read again from the start."""


def span(source: Source) -> tuple[datetime, ...]:
    """The times of the source's first and last event; empty where it has none."""
    ends = [frame["at_us"][place] for frame in source.frames() if not frame.is_empty() for place in (0, -1)]
    return (instant(ends[0]), instant(ends[-1])) if ends else ()


def whole_events(frames: Iterable[pl.DataFrame]) -> Iterator[tuple[pl.DataFrame, pl.Series]]:
    """The frames cut so that no event is divided, each with the number of lines of its events, in order."""
    rest: pl.DataFrame | None = None
    for frame in frames:
        lines = frame if rest is None else pl.concat([rest, frame])
        counts = lines["event_id"].rle().struct.field("len").cast(pl.Int64)
        if counts.is_empty():
            continue
        rest = lines.tail(counts[-1])
        if len(counts) > 1:
            yield lines.head(-counts[-1]), counts.head(-1)
    if rest is not None:
        yield rest, pl.Series([rest.height], dtype=pl.Int64)


def heads(lines: pl.DataFrame, counts: pl.Series) -> pl.DataFrame:
    """The first line of each event."""
    return lines[(counts.cum_sum() - counts).to_list()]


def assemble(source: Source) -> Iterator[SourceEvent]:
    """The source's events, one by one."""
    for lines, counts in whole_events(source.frames()):
        yield from _events(lines, counts)


def pick(source: Source, positions: Collection[int]) -> dict[int, SourceEvent]:
    """The source's events at these positions."""
    found: dict[int, SourceEvent] = {}
    start = 0
    for lines, counts in whole_events(source.frames()):
        position = pl.col("event_id").rle_id().cast(pl.Int64) + start
        chosen = lines.with_columns(position=position).filter(pl.col("position").is_in(list(positions)))
        sizes = chosen["position"].rle()
        found |= zip(
            sizes.struct.field("value"), _events(chosen, sizes.struct.field("len").cast(pl.Int64)), strict=True
        )
        start += len(counts)
    return found


def _events(lines: pl.DataFrame, counts: pl.Series) -> Iterator[SourceEvent]:
    """Events of the lines, the first ``counts[0]`` of which are the first event's, and so on."""
    items = list(
        map(
            Item,
            lines["product_id"].to_list(),
            lines["category"].to_list(),
            lines["quantity"].to_list(),
            [amount(cents) for cents in lines["amount_cents"].to_list()],
            lines["unit_price"].to_list(),
        )
    )
    start = 0
    for row, count in zip(heads(lines, counts).iter_rows(named=True), counts.to_list(), strict=True):
        yield SourceEvent(row["at_us"], row["total_cents"], _payload(row, items[start : start + count]))
        start += count


def _payload(row: dict[str, object], items: list[Item]) -> Payload:
    own = {name: row[name] for name in _OWN_FIELDS}
    return Payload(
        event_time=timestamp(row["at_us"]),  # type: ignore[arg-type]  # LINE_SCHEMA says it is an integer
        total_amount=amount(row["total_cents"]),  # type: ignore[arg-type]
        items=items,
        **own,  # type: ignore[arg-type]
    )


_OWN_FIELDS = (
    "event_id",
    "event_type",
    "order_id",
    "customer_id",
    "currency",
    "payment_method",
    "region",
    "customer_email",
)
