"""The events that differ, one row each, with a sentence of evidence for the cause."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import polars as pl

from reconciliation.compare import Types
from reconciliation.explain import Cause
from tandem.events import Decision, EventType

_DISCREPANCIES: Types = {
    "partition": pl.Int32,
    "offset": pl.Int64,
    "event_id": pl.String,
    "event_type": pl.String,
    "order_id": pl.String,
    "customer_id": pl.String,
    "event_time": pl.Datetime("us", "UTC"),
    "speed_decision": pl.String,
    "batch_decision": pl.String,
    "speed_cents": pl.Int64,
    "batch_cents": pl.Int64,
    "speed_units": pl.Int64,
    "batch_units": pl.Int64,
    "cause": pl.String,
    "evidence": pl.String,
}
DISCREPANCIES = pl.Schema(_DISCREPANCIES)
"""Cents and units are what a layer booked for the event, 0 where it booked nothing; a decision is missing where the
layer does not have the event."""

MISSING = "missing"

Row = dict[str, Any]
Origins = dict[str, tuple[int, int]]


def discrepancies(explained: pl.DataFrame) -> pl.DataFrame:
    """The differing events of explain.explain in the form of DISCREPANCIES, the largest differences first."""
    differing = explained.filter("differs")
    origins = _first_counted(explained)
    evidence = [_EVIDENCE[Cause(row["cause"])](row, origins) for row in differing.iter_rows(named=True)]
    either = ("event_id", "event_type", "order_id", "customer_id", "event_time")
    rows = differing.with_columns(
        *(pl.coalesce(f"{name}_batch", f"{name}_speed").alias(name) for name in either),
        *(pl.col(f"decision_{side}").fill_null(MISSING).alias(f"{side}_decision") for side in ("speed", "batch")),
        *(
            pl.col(f"{name}_{side}").fill_null(0).alias(f"{side}_{name}")
            for name in ("cents", "units")
            for side in ("speed", "batch")
        ),
        pl.col("cause").cast(pl.String),
        pl.Series("evidence", evidence, pl.String),
    )
    size = (pl.col("batch_cents") - pl.col("speed_cents")).abs()
    return rows.sort(size, "partition", "offset", descending=[True, False, False]).select(list(DISCREPANCIES))


def _first_counted(explained: pl.DataFrame) -> Origins:
    """Where the batch layer counted each order first."""
    created = explained.filter(
        (pl.col("decision_batch") == Decision.COUNTED) & (pl.col("event_type_batch") == EventType.ORDER_CREATED)
    )
    rows = created.sort("offset")
    return {
        order: (partition, offset)
        for order, partition, offset in rows.select("order_id_batch", "partition", "offset").reverse().iter_rows()
    }


def _clock(instant: datetime | None) -> str:
    return "no time" if instant is None else f"{instant:%Y-%m-%d %H:%M:%S}"


def _decisions(row: Row) -> str:
    return f"stream: {row['decision_speed'] or MISSING}, batch: {row['decision_batch'] or MISSING}"


def _released(row: Row, _: Origins) -> str:
    return f"released from quarantine; {_decisions(row)}"


def _quarantined(row: Row, _: Origins) -> str:
    side = "speed" if row["decision_speed"] == Decision.QUARANTINED else "batch"
    return f"the {'stream' if side == 'speed' else 'batch layer'} found {row[f'reasons_{side}'] or 'no reason'}"


def _boundary(row: Row, _: Origins) -> str:
    return f"stream: {_clock(row['event_time_speed'])}, batch: {_clock(row['event_time_batch'])} UTC"


def _version(row: Row, _: Origins) -> str:
    return f"the stream decided under rules {row['other_rules']}; {_decisions(row)}"


def _duplicate(row: Row, origins: Origins) -> str:
    if row["decision_speed"] == Decision.DUPLICATE:
        return "the stream had accepted this event id before"
    first = origins.get(row["order_id_batch"] or "")
    where = f"partition {first[0]}, offset {first[1]}" if first else "an earlier date"
    return f"the batch layer had counted the order before: {where}"


def _late(row: Row, _: Origins) -> str:
    time, watermark = row["event_time_speed"], row["watermark_speed"]
    if time is None or watermark is None:
        return _decisions(row)
    behind = round((watermark - time).total_seconds() / 60)
    return f"{behind} min behind: {_clock(time)}, when the partition was at {_clock(watermark)} UTC"


def _missing_in_stream(_row: Row, _: Origins) -> str:
    return "in the archive below the cut, not in the stream's journal"


def _missing_in_batch(_row: Row, _: Origins) -> str:
    return "in the stream's journal below the cut, not among the batch layer's facts"


def _unexplained(row: Row, _: Origins) -> str:
    names = ("event_type", "customer_id", "cents", "units")
    unlike = [
        n for n in names if row["booked_speed"] and row["booked_batch"] and row[f"{n}_speed"] != row[f"{n}_batch"]
    ]
    return _decisions(row) + (f"; not alike: {', '.join(unlike)}" if unlike else "")


_EVIDENCE: dict[Cause, Callable[[Row, Origins], str]] = {
    Cause.RELEASED: _released,
    Cause.QUARANTINED: _quarantined,
    Cause.BOUNDARY: _boundary,
    Cause.VERSION: _version,
    Cause.DUPLICATE: _duplicate,
    Cause.LATE: _late,
    Cause.MISSING_IN_STREAM: _missing_in_stream,
    Cause.MISSING_IN_BATCH: _missing_in_batch,
    Cause.UNEXPLAINED: _unexplained,
}
