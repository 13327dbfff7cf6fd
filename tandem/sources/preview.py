"""What a replay would send, in figures: for ``--dry-run``."""

from __future__ import annotations

import msgspec
import polars as pl

from tandem.events import EventType
from tandem.sources.lines import Source, heads, whole_events
from tandem.sources.payloads import timestamp

FIRST_EVENTS = 10


class EventRow(msgspec.Struct, frozen=True):
    """One event as the preview lists it."""

    event_time: str
    event_type: str
    order_id: str | None
    customer_id: str | None
    lines: int
    total_cents: int


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """The source's events in figures. ``without_customer`` and those not above 0 will go to quarantine."""

    orders: int
    lines: int
    units: int
    revenue_cents: int
    customers: int
    cancellations: int
    cancelled_cents: int
    first_event_time: str
    last_event_time: str
    without_customer: int
    not_above_zero: int
    cancellations_not_above_zero: int
    first_events: tuple[EventRow, ...]


def preview(source: Source) -> Preview:
    """Count every event of a source that has some; list the first ones."""
    first: list[EventRow] = []
    customers: set[str] = set()
    sums: list[pl.DataFrame] = []
    for lines, counts in whole_events(source.frames()):
        events = heads(lines, counts).with_columns(lines=counts)
        first += [_row(row) for row in events.head(FIRST_EVENTS - len(first)).iter_rows(named=True)]
        customers.update(events.filter(_CREATED)["customer_id"].drop_nulls().unique())
        units = lines.filter(_CREATED).select(units=pl.col("quantity").sum())
        sums.append(pl.concat([events.select(**_SUMS), units], how="horizontal"))
    every = pl.concat(sums)
    totals = every.select(pl.exclude("first_us", "last_us").sum()).row(0, named=True)
    return Preview(
        **totals,
        customers=len(customers),
        first_event_time=timestamp(every["first_us"][0]),
        last_event_time=timestamp(every["last_us"][-1]),
        first_events=tuple(first),
    )


_CREATED = pl.col("event_type") == str(EventType.ORDER_CREATED)
_CANCELLED = pl.col("event_type") == str(EventType.ORDER_CANCELLED)
_NOT_ABOVE_ZERO = pl.col("total_cents") <= 0
_SUMS = {
    "orders": _CREATED.sum(),
    "lines": pl.col("lines").filter(_CREATED).sum(),
    "revenue_cents": pl.col("total_cents").filter(_CREATED).sum(),
    "cancellations": _CANCELLED.sum(),
    "cancelled_cents": pl.col("total_cents").filter(_CANCELLED).sum(),
    "without_customer": pl.col("customer_id").is_null().sum(),
    "not_above_zero": (_CREATED & _NOT_ABOVE_ZERO).sum(),
    "cancellations_not_above_zero": (_CANCELLED & _NOT_ABOVE_ZERO).sum(),
    "first_us": pl.col("at_us").min(),
    "last_us": pl.col("at_us").max(),
}


def _row(row: dict[str, object]) -> EventRow:
    shown = {name: row[name] for name in ("event_type", "order_id", "customer_id", "lines", "total_cents")}
    return msgspec.convert({"event_time": timestamp(row["at_us"]), **shown}, EventRow)  # type: ignore[arg-type]  # an integer
