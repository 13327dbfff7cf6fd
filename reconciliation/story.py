"""One order's whole story in both layers: where its events lie, what each layer decided and when, in which versions it
stands, what the comparison made of it, and which corrections moved the cells that hold it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import psycopg

from reconciliation import corrections, evidence, sides
from reconciliation.compare import Types
from reconciliation.corrections import Correction
from reconciliation.hours import hour_start
from tandem import clock, database, delta, events, journal, topics
from tandem.errors import TandemError
from tandem.settings import Settings

Place = tuple[int, int]
"""partition, offset"""


@dataclass(frozen=True, slots=True)
class InStream:
    """What the speed layer decided. ``watermark``: the partition's before this record. Money is cents."""

    decision: str
    reasons: str
    cents: int | None
    units: int | None
    watermark: datetime | None
    processed_at: datetime
    rule_version: str
    epoch: int


@dataclass(frozen=True, slots=True)
class InBatch:
    """What the published batch run decided."""

    decision: str
    reasons: str
    cents: int | None
    units: int | None
    run_id: str
    version: int
    rule_version: str
    facts_version: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What the newest comparison of the date made of an event."""

    reconciliation_id: int
    cause: str
    evidence: str
    speed_cents: int
    batch_cents: int


@dataclass(frozen=True, slots=True)
class Event:
    """One record of the order on order-events. A layer that does not have it, or not yet, is None.

    ``stream_expired``: nobody knows any more what the stream decided, since retention took its journal.
    """

    partition: int
    offset: int
    event_id: str | None
    event_type: str | None
    customer_id: str | None
    event_time: datetime | None
    business_date: date | None
    in_quarantine_since: datetime | None
    stream: InStream | None
    batch: InBatch | None
    difference: Difference | None
    stream_expired: bool


@dataclass(frozen=True, slots=True)
class Version:
    """A publication of a date's figures."""

    version: int
    published_at: datetime
    why: str
    reason: str


@dataclass(frozen=True, slots=True)
class Day:
    """A date on which the order has events. ``corrections``: of the cells that hold events which differ."""

    business_date: date
    versions: tuple[Version, ...]
    reconciliation_id: int | None
    verdict: str
    corrections: tuple[Correction, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that is known of one order."""

    order_id: str
    events: tuple[Event, ...]
    days: tuple[Day, ...]


def of_order(
    connection: psycopg.Connection[Any], settings: Settings, order_id: str, business_date: date | None = None
) -> Story:
    """The story of an order, only of one date where it is given; without it all of the journal is read.

    Raises TandemError where neither layer has the order.
    """
    rows = _journal(connection, order_id, business_date)
    # After the reading: what went before is written down by now.
    begins = journal.begins(connection, topics.ORDER_EVENTS)
    zone = settings.business_timezone
    rows = rows.with_columns(business_date=pl.col("event_time").dt.convert_time_zone(zone).dt.date())
    if business_date is not None:
        rows = rows.filter(pl.col("business_date") == business_date)
    seen = {day for day in rows["business_date"] if day is not None}
    dates = sorted({business_date} if business_date else seen | _dates_in_facts(settings, order_id))
    facts = [_facts(connection, settings, order_id, day) for day in dates]
    batch = pl.concat([_FACTS, *facts])
    joined = rows.join(batch, on=["partition", "offset"], how="full", coalesce=True, suffix="_batch")
    if joined.is_empty():
        when = f" on {business_date}" if business_date else ""
        less = "; retention took the stream's journal of some dates" if begins else ""
        raise TandemError(f"neither layer has an order {order_id}{when}{less}", "look for it under another id or date")
    asked = {"topic": topics.ORDER_EVENTS, "order_id": order_id, "dates": dates}
    queries = database.queries("story")
    waiting = {(place[0], place[1]): since for *place, since in connection.execute(queries.quarantined, asked)}
    differences = {
        (partition, offset): Difference(*found)
        for partition, offset, *found in connection.execute(queries.differences, asked)
    }
    told = tuple(
        _event(row, waiting, differences, begins) for row in joined.sort("partition", "offset").iter_rows(named=True)
    )
    cells = _cells(joined, differences, zone)
    return Story(order_id, told, tuple(_day(connection, day, cells) for day in dates))


_DECIDED: Types = {"processed_at": pl.Datetime("us", "UTC"), "rule_version": pl.String, "epoch": pl.Int64}
_PUBLISHED: Types = {
    "cents": pl.Int64,
    "business_date": pl.Date,
    "run_id": pl.String,
    "version": pl.Int64,
    "rule_version": pl.String,
    "facts_version": pl.Int64,
}
_JOURNAL = pl.DataFrame(schema=journal.ROWS.schema | pl.Schema(_DECIDED))
_FACTS = pl.DataFrame(schema=evidence.FACTS | pl.Schema(_PUBLISHED))


def _journal(connection: psycopg.Connection[Any], order_id: str, business_date: date | None) -> pl.DataFrame:
    """The order's rows, one segment in memory at a time."""
    kept = [_JOURNAL]
    with connection.cursor(name="story") as cursor:
        cursor.itersize = 20
        cursor.execute(
            database.queries("story").journal_segments, {"topic": topics.ORDER_EVENTS, "business_date": business_date}
        )
        for partition, rule_version, epoch, segment, offsets, times in cursor:
            rows = journal.decode(segment, partition).filter(pl.col("order_id") == order_id)
            if not rows.is_empty():
                batches = pl.DataFrame({"offset": offsets, "processed_at": times})
                decided = rows.join_asof(batches, on="offset").with_columns(
                    pl.lit(rule_version).alias("rule_version"), pl.lit(epoch).alias("epoch")
                )
                kept.append(decided.cast(dict(_JOURNAL.schema)))  # type: ignore[arg-type]
    return pl.concat(kept)


def _dates_in_facts(settings: Settings, order_id: str) -> set[date]:
    table = delta.find(settings.order_facts)
    if table is None:  # no batch run yet
        return set()
    rows = delta.scan(table).filter(pl.col("order_id") == order_id).select("business_date")
    return set(rows.unique().collect().cast(pl.Date)["business_date"])


def _facts(connection: psycopg.Connection[Any], settings: Settings, order_id: str, day: date) -> pl.DataFrame:
    """The order's rows in the facts of the date's published run; none where none is published."""
    run = sides.published_run(connection, day)
    if run is None:
        return _FACTS
    rows = evidence.facts_of(settings, run, day).filter(pl.col("order_id") == order_id)
    return rows.with_columns(
        cents=journal.cents(),
        business_date=pl.lit(day),
        run_id=pl.lit(run.run_id),
        version=pl.lit(run.version),
        rule_version=pl.lit(run.rule_version),
        facts_version=pl.lit(run.facts_version),
    ).cast(dict(_FACTS.schema))  # type: ignore[arg-type]


def _event(
    row: dict[str, Any],
    waiting: dict[Place, datetime],
    differences: dict[Place, Difference],
    begins: dict[int, int],
) -> Event:
    place = (row["partition"], row["offset"])

    def either(name: str) -> Any:
        return row[name] if row[name] is not None else row[f"{name}_batch"]

    stream = batch = None
    if row["decision"] is not None:
        stream = InStream(
            row["decision"],
            row["reasons"] or "",
            row["cents"],
            row["units"],
            row["watermark"],
            row["processed_at"],
            row["rule_version"],
            row["epoch"],
        )
    if row["decision_batch"] is not None:
        batch = InBatch(
            row["decision_batch"],
            row["reasons_batch"] or "",
            row["cents_batch"],
            row["units_batch"],
            row["run_id"],
            row["version"],
            row["rule_version_batch"],
            row["facts_version"],
        )
    return Event(
        partition=row["partition"],
        offset=row["offset"],
        event_id=either("event_id"),
        event_type=either("event_type"),
        customer_id=either("customer_id"),
        event_time=either("event_time"),
        business_date=either("business_date"),
        in_quarantine_since=waiting.get(place),
        stream=stream,
        batch=batch,
        difference=differences.get(place),
        stream_expired=stream is None and row["offset"] < begins.get(row["partition"], 0),
    )


def _cells(joined: pl.DataFrame, differences: dict[Place, Difference], zone: str) -> set[tuple[str, datetime, str]]:
    """Cube, cell_start and key of the cells in which an event that differs stands, on either side."""
    cells = set()
    for row in joined.iter_rows(named=True):
        if (row["partition"], row["offset"]) not in differences:
            continue
        lines = row["items"] or []
        for time in {row["event_time"], row["event_time_batch"]} - {None}:
            hour = pl.select(hour_start(pl.lit(time), zone)).item()
            cells.add(("orders", hour, ""))
            cells |= {("products", hour, line["product_id"]) for line in lines}
            cells |= {("categories", hour, line["category"] or events.UNCATEGORISED) for line in lines}
            start, _ = clock.day_bounds(time.astimezone(ZoneInfo(zone)).date(), ZoneInfo(zone))
            cells.add(("distinct", start, ""))
    return cells


def _day(connection: psycopg.Connection[Any], day: date, cells: set[tuple[str, datetime, str]]) -> Day:
    queries = database.queries("story")
    compared = connection.execute(queries.compared, {"dates": [day]}).fetchone()
    versions: Sequence[Any] = connection.execute(queries.versions, {"business_date": day}).fetchall()
    ours = [c for c in corrections.find(connection, business_date=day) if (c.cube, c.cell_start, c.key) in cells]
    return Day(
        business_date=day,
        versions=tuple(Version(*version) for version in versions),
        reconciliation_id=compared[1] if compared else None,
        verdict=compared[2] if compared else "",
        corrections=tuple(ours),
    )
