"""The difference ledger (capability B1), first half: every event that the layers treat differently gets one cause.

Pure: frames in, frames out. The second half, reconciliation.ledger, adds the causes up per cell.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import TypeVar

import polars as pl

from reconciliation.evidence import Evidence
from reconciliation.holes import Fate
from reconciliation.hours import hour_start
from tandem.events import ORDER_TYPES, Decision, EventType


class Cause(StrEnum):
    """Why two layers differ, by precedence: an event has the first that applies."""

    RELEASED = "released"
    """It came out of quarantine."""
    QUARANTINED = "quarantined"
    """One layer's checks rejected it."""
    BOUNDARY = "boundary"
    """The layers put it on different dates or hours."""
    VERSION = "version"
    """They worked under different rules."""
    DUPLICATE = "duplicate"
    """One layer knows that it was counted before."""
    LATE = "late"
    """It came after the stream had stopped waiting."""
    MISSING_IN_STREAM = "missing_in_stream"
    MISSING_IN_BATCH = "missing_in_batch"
    AGGREGATION = "aggregation"
    """The stream's journal counted it, its sums do not show it."""
    UNEXPLAINED = "unexplained"


SUSPICIOUS = (Cause.MISSING_IN_BATCH, Cause.UNEXPLAINED)
"""With one of these the batch layer may be the one that is wrong: no correction goes out by itself."""

PRECEDENCE = pl.Enum([cause.value for cause in Cause])

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

_EFFECT = ("event_type", "cents", "units", "customer_id", "hour")


def effects(rows: Frame, business_date: date, zone: str) -> Frame:
    """Add what a layer books for an event on the date: ``booked``, ``hour``, and amounts, 0 where it books nothing."""
    local = pl.col("event_time").dt.convert_time_zone(zone)
    counted = (pl.col("decision") == Decision.COUNTED) & pl.col("event_type").is_in(list(ORDER_TYPES))
    booked = (counted & (local.dt.date() == business_date)).fill_null(value=False)
    return rows.with_columns(
        booked=booked,
        hour=hour_start(pl.col("event_time"), zone),
        cents=pl.when(booked).then(pl.col("cents").fill_null(0)).otherwise(0),
        units=pl.when(booked).then(pl.col("units").fill_null(0)).otherwise(0),
    )


def batch_cents() -> pl.Expr:
    """The batch layer's money of an event, in the journal's form."""
    change = pl.col("total_cents") - pl.col("previous_total_cents")
    return pl.when(pl.col("event_type") == EventType.ORDER_AMENDED).then(change).otherwise(pl.col("total_cents"))


def side_by_side(evidence: Evidence, business_date: date, zone: str) -> pl.DataFrame:
    """Every event of the date: the stream's columns suffixed _speed, the batch layer's _batch, and ``differs``.

    Below where the journal begins, and where it was lost, nobody knows what the stream decided: such an event is
    ``unknown``, and taken as booked alike. ``fate``: of the journal's hole that it lies in, if any.
    """
    place = ["partition", "offset"]
    speed = effects(evidence.journal, business_date, zone)
    batch = effects(evidence.facts.with_columns(cents=batch_cents()), business_date, zone)
    joined = speed.select(*place, pl.exclude(place).name.suffix("_speed")).join(
        batch.select(*place, pl.exclude(place).name.suffix("_batch")), on=place, how="full", coalesce=True
    )
    joined = joined.with_columns(fate=_within(joined, evidence.holes, "fate"))
    begins = pl.col("partition").replace_strict(evidence.begins, default=0, return_dtype=pl.Int64)
    lost = (pl.col("offset") < begins) | (pl.col("fate").eq_missing(pl.lit(Fate.SHOWN)))
    joined = joined.with_columns(unknown=pl.col("decision_speed").is_null() & lost).with_columns(
        pl.when("unknown").then(pl.col(f"{name}_batch")).otherwise(pl.col(f"{name}_speed")).alias(f"{name}_speed")
        for name in ("booked", *_EFFECT)
    )
    return joined.with_columns(differs=_differs(), other_rules=_within(joined, evidence.other_rules, "rule_version"))


def _differs() -> pl.Expr:
    changed = pl.any_horizontal(pl.col(f"{name}_speed").ne_missing(pl.col(f"{name}_batch")) for name in _EFFECT)
    booked_speed, booked_batch = (pl.col(f"booked_{side}").fill_null(value=False) for side in ("speed", "batch"))
    return (booked_speed != booked_batch) | (booked_speed & booked_batch & changed)


def alike(speed: pl.DataFrame, batch: pl.DataFrame) -> pl.DataFrame:
    """Of the rows of both layers, as effects leaves them, those of the batch layer that the stream has and books alike.

    What side_by_side says of them follows from these two rows: they do not differ, and nothing is unknown.
    """
    place, names = ["partition", "offset"], ("booked", *_EFFECT)
    both = speed.select(*place, pl.col(names).name.suffix("_speed")).join(
        batch.select(*place, pl.col(names).name.suffix("_batch")), on=place
    )
    return both.filter(~_differs()).select(*place, *(pl.col(f"{name}_batch").alias(name) for name in names))


def _within(joined: pl.DataFrame, ranges: pl.DataFrame, column: str) -> pl.Series:
    """Per event, the ``column`` of the range of offsets that it lies in, NULL where it lies in none."""
    if ranges.is_empty():
        return pl.repeat(None, len(joined), dtype=pl.String, eager=True)
    places = joined.select("partition", "offset").with_row_index().sort("offset")
    # No two ranges of a partition overlap, so only the last that begins at or before an event can hold it.
    nearest = places.join_asof(
        ranges.sort("first_offset"), left_on="offset", right_on="first_offset", by="partition", check_sortedness=False
    )
    inside = pl.when(pl.col("offset") < pl.col("next_offset")).then(column).alias(column)
    return nearest.select("index", inside).sort("index")[column]


def explain(evidence: Evidence, business_date: date, zone: str) -> pl.DataFrame:
    """Every event of the date as side_by_side has it, with the ``cause`` where the layers differ."""
    rows = side_by_side(evidence, business_date, zone)
    return rows.with_columns(cause=pl.when("differs").then(_cause(evidence.released)))


def booked_on(explained: pl.DataFrame, side: str, event_type: EventType) -> pl.DataFrame:
    """The events of a type that a side (batch or speed) books."""
    booked = pl.col(f"booked_{side}").fill_null(value=False)
    return explained.filter(booked & (pl.col(f"event_type_{side}") == event_type))


def _cause(released: frozenset[str]) -> pl.Expr:
    """Neither a release nor other rules explain that a layer has no trace of an event: that has a cause of its own."""
    speed, batch = pl.col("decision_speed"), pl.col("decision_batch")
    event_id = pl.coalesce("event_id_batch", "event_id_speed")
    both_have_it = speed.is_not_null() & batch.is_not_null()
    both_counted = (speed == Decision.COUNTED) & (batch == Decision.COUNTED)
    either = {
        decision: (speed.eq_missing(pl.lit(decision)) != batch.eq_missing(pl.lit(decision)))
        for decision in (Decision.QUARANTINED, Decision.DUPLICATE)
    }
    return (
        pl.when(both_have_it & event_id.is_in(list(released)))
        .then(pl.lit(Cause.RELEASED))
        .when(either[Decision.QUARANTINED])
        .then(pl.lit(Cause.QUARANTINED))
        .when(both_counted & (pl.col("hour_speed") != pl.col("hour_batch")))
        .then(pl.lit(Cause.BOUNDARY))
        .when(both_have_it & pl.col("other_rules").is_not_null())
        .then(pl.lit(Cause.VERSION))
        .when(either[Decision.DUPLICATE])
        .then(pl.lit(Cause.DUPLICATE))
        .when(speed == Decision.LATE)
        .then(pl.lit(Cause.LATE))
        .when(speed.is_null() & pl.col("fate").eq_missing(pl.lit(Fate.UNCLEAR)))
        .then(pl.lit(Cause.UNEXPLAINED))
        .when(speed.is_null())
        .then(pl.lit(Cause.MISSING_IN_STREAM))
        .when(batch.is_null())
        .then(pl.lit(Cause.MISSING_IN_BATCH))
        .otherwise(pl.lit(Cause.UNEXPLAINED))
        .cast(PRECEDENCE)
    )
