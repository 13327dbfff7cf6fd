"""The speed layer's journal: what was decided for every record of ``order-events``, in segments that abut.

A segment is an Arrow IPC stream (zstd) of SCHEMA: the records of one partition in one micro-batch, by offset. Its row
in ``speed.journal`` says which offsets it covers, transaction markers and aborted records included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import psycopg
import pyarrow as pa

from tandem import database, kpis
from tandem.errors import TandemError
from tandem.events import Decision, EventType

_LABEL = pa.dictionary(pa.int32(), pa.string())
_TIME = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    [
        pa.field("offset", pa.int64()),
        pa.field("event_id", pa.string()),
        pa.field("event_type", _LABEL),
        pa.field("order_id", pa.string()),
        pa.field("customer_id", pa.string()),
        pa.field("event_time", _TIME),
        pa.field("cents", pa.int64()),
        pa.field("units", pa.int64()),
        pa.field("decision", _LABEL),
        pa.field("reasons", _LABEL),
        pa.field("watermark", _TIME),
    ]
)
"""``cents``: the total; of an amendment, total - previous total. ``reasons``: check codes, sorted, joined by commas.
``watermark``: of the partition before this record, NULL before the first accepted event."""

# A thread for each of the small columns costs more than it saves.
_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
_SEGMENTS_AT_ONCE = 200
_TYPES: dict[pa.DataType, pl.DataType] = {pa.int64(): pl.Int64(), _TIME: pl.Datetime("us", "UTC")}
ROWS = pl.DataFrame(schema={"partition": pl.Int32(), **{f.name: _TYPES.get(f.type, pl.String()) for f in SCHEMA}})
"""What ``read`` returns, without rows: ``partition``, then the columns of SCHEMA, labels as texts."""


def cents() -> pl.Expr:
    """The journal's ``cents`` from a typed event."""
    change = pl.col("total_cents") - pl.col("previous_total_cents")
    return pl.when(pl.col("event_type") == EventType.ORDER_AMENDED).then(change).otherwise(pl.col("total_cents"))


def encode(rows: pa.Table) -> bytes:
    """One segment. ``rows``: the columns of SCHEMA by name, labels as texts."""
    return encode_each(rows, [rows.num_rows])[0]


def encode_each(rows: pa.Table, lengths: Sequence[int]) -> list[bytes]:
    """A segment for each of the first so many rows, the next so many, and so on, as ``encode``.

    Cast and labelled all at once, because most of what a small segment costs is the calls.
    """
    columns = [rows[field.name].combine_chunks() for field in SCHEMA]
    labelled = [
        column.cast(pa.string()).dictionary_encode() if field.type == _LABEL else column.cast(field.type)
        for field, column in zip(SCHEMA, columns, strict=True)
    ]
    batch = pa.record_batch(labelled, schema=SCHEMA)
    starts = accumulate(lengths, initial=0)
    return [_stream(batch.slice(start, length)) for start, length in zip(starts, lengths, strict=False)]


def _stream(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SCHEMA, options=_OPTIONS) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def decode(segment: bytes, partition: int) -> pl.DataFrame:
    """The rows of one segment, in the form of ROWS; none of one that covers nothing but markers, which is empty."""
    return decode_each([segment], partition)


def decode_each(segments: Iterable[bytes], partition: int, columns: Sequence[str] = SCHEMA.names) -> pl.DataFrame:
    """The rows of several segments of a partition, as ROWS: at once, as most of a small one is the calls.

    ``columns``: of SCHEMA, in its order; the others are not even decompressed.
    """
    places = [SCHEMA.get_field_index(name) for name in columns]
    schema = pa.schema([SCHEMA.field(place) for place in places])
    options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=places)
    batches = [batch for segment in segments if segment for batch in pa.ipc.open_stream(segment, options=options)]
    rows = pl.DataFrame(pa.Table.from_batches(batches, schema))
    wanted = ROWS.select("partition", *columns).schema
    return rows.select(pl.lit(partition, pl.Int32).alias("partition"), pl.all()).cast(dict(wanted))  # type: ignore[arg-type]


class ExpiredError(TandemError):
    """Retention has taken some of a date's journal, or all of it."""

    def __init__(self, business_date: date, expired_at: datetime) -> None:
        super().__init__(
            f"retention took the stream's journal of {business_date} on {expired_at.astimezone(UTC):%Y-%m-%d}",
            f"where the log is whole, bring it back: tandem stream rebuild --from {business_date} --swap",
        )


def expired(connection: psycopg.Connection[Any], dates: Iterable[date]) -> dict[date, ExpiredError]:
    """Those of these dates of which retention has taken any of the journal, with what to say of it."""
    rows = connection.execute(database.queries("journal").expired, {"dates": list(dates)}).fetchall()
    return {day: ExpiredError(day, at) for day, at in rows}


def begins(connection: psycopg.Connection[Any], topic: str) -> dict[int, int]:
    """From which offset on partitions keep their journal; only those that retention took anything of."""
    rows = connection.execute(database.queries("journal").kept_from, {"topic": topic}).fetchall()
    return {partition: offset for partition, offset, _ in rows}


def read(
    connection: psycopg.Connection[Any],
    topic: str,
    business_date: date | None = None,
    below: Mapping[int, int] | None = None,
) -> pl.DataFrame:
    """The journal of a topic by partition and offset, in the form of ROWS.

    ``business_date``: only records whose event time falls on it. ``below``: only offsets below these, by partition; a
    partition that is not named is left out. ``topic`` is the name without an installation's prefix.

    Raises ExpiredError where retention took any of the date, also while it was read.
    """
    limits = dict.fromkeys(_partitions(connection, topic)) if below is None else dict(below)
    zone = _zone(connection) if business_date else None
    kept = [ROWS]
    for partition, limit in sorted(limits.items()):
        parameters = {"topic": topic, "partition": partition, "below": limit, "business_date": business_date}
        segments = connection.execute(database.queries("speed").journal_segments, parameters)
        while some := segments.fetchmany(_SEGMENTS_AT_ONCE):
            rows = decode_each((segment for (segment,) in some), partition)
            if limit is not None:
                rows = rows.filter(pl.col("offset") < limit)
            kept.append(rows.filter(_falls_on(business_date, zone)) if zone else rows)
    # After the reading: what went before any part of it was read, is written down by now.
    if business_date and (gone := expired(connection, [business_date])):
        raise gone[business_date]
    return pl.concat(kept)


def _falls_on(business_date: date | None, zone: ZoneInfo) -> pl.Expr:
    return pl.col("event_time").dt.convert_time_zone(zone.key).dt.date() == business_date


def _partitions(connection: psycopg.Connection[Any], topic: str) -> list[int]:
    rows = connection.execute(database.queries("speed").journal_partitions, {"topic": topic}).fetchall()
    return [partition for (partition,) in rows]


def _zone(connection: psycopg.Connection[Any]) -> ZoneInfo:
    row = connection.execute(database.queries("speed").business_timezone).fetchone()
    return ZoneInfo(row[0] if row else "UTC")


_TOLD = {"total_cents": "cents", "total_cents - previous_total_cents": "cents", "units": "units"}
"""Which column of the journal holds what a measure adds up."""


def booked(rows: pl.DataFrame) -> dict[str, int]:
    """What rows of the journal say the measures of the orders cube must be: sums over the counted ones.

    A measure of something that the journal does not keep is left out.
    """
    counted = rows.filter(pl.col("decision") == Decision.COUNTED)

    def total(measure: kpis.Measure) -> int:
        of_type = counted.filter(pl.col("event_type") == measure.event_type)
        if measure.aggregate is kpis.Aggregate.EVENTS:
            return of_type.height
        return int(of_type[_TOLD[measure.value]].sum())

    measures = kpis.measures_of(kpis.ORDERS)
    return {m.name: total(m) for m in measures if m.aggregate is kpis.Aggregate.EVENTS or m.value in _TOLD}


def disagreements(connection: psycopg.Connection[Any], topic: str, business_date: date) -> dict[str, tuple[int, int]]:
    """Measures of a date where journal and panes differ: ``{measure: (journal, panes)}``; empty is as it must be.

    What the panes did not keep then, because it was declared later, does not differ.

    Call it inside one REPEATABLE READ transaction where events are still coming. Raises ExpiredError.
    """
    wanted = booked(read(connection, topic, business_date))
    row = connection.execute(database.queries("speed").order_panes_of_date, {"business_date": business_date}).fetchone()
    panes = dict(zip((m.name for m in kpis.measures_of(kpis.ORDERS)), row or (), strict=True))
    return {name: (wanted[name], panes[name]) for name in wanted if panes[name] not in {None, wanted[name]}}
