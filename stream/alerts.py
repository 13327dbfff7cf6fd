"""alerts: occurrences of the declared patterns, kept in ``speed.alerts`` and told of on the topic of their pattern."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl
import psycopg

from stream import patterns
from stream.operators import Batch, Emitted
from stream.patterns import FOUND, TOTALS, PatternState
from stream.tables import Merge, Table, Write, merging
from stream.types import MICROSECOND, Rules
from tandem import database, journal
from tandem.events import Decision
from tandem.patterns import PATTERNS, Pattern
from tandem.topics import ORDER_EVENTS

ALERTS = Table(
    "alerts",
    ("alert_id",),
    merging(
        Merge.KEEP,
        "pattern",
        "severity",
        "customer_id",
        "event_id",
        "order_id",
        "event_time",
        "partition",
        "offset",
        "facts",
    ),
    Write.ONCE,
    documents=("facts",),
)
_REACH_US = {pattern.of: patterns.reach(PATTERNS, pattern.of) // MICROSECOND for pattern in PATTERNS}
_REACH = max(pattern.reach for pattern in PATTERNS)


class Alerts:
    """The operator."""

    name = "alerts"
    tables: tuple[Table, ...] = (ALERTS,)

    def empty(self) -> PatternState:
        """Nothing has happened."""
        return PatternState()

    def restore(
        self, reader: psycopg.Connection[Any], partition: int, watermark: datetime, rules: Rules
    ) -> PatternState:
        """The events that can still decide about one which is accepted, from the journal."""
        state = PatternState()
        since = watermark - rules.allowed_lateness - _REACH
        parameters = {"topic": ORDER_EVENTS, "partition": partition, "since": since}
        segments = reader.execute(database.queries("recover").journal_from, parameters).fetchall()
        rows = journal.decode_each((segment for (segment,) in segments), partition)
        patterns.recall(PATTERNS, rows.filter(pl.col("decision") == Decision.COUNTED), {partition: state})
        return state

    def fold(self, batch: Batch, states: Mapping[int, PatternState], rules: Rules) -> Emitted:
        """Every occurrence that an event of the micro-batch completes."""
        events = batch.events.with_columns(journal.cents().alias("cents"))
        found = patterns.find(PATTERNS, events, states, batch.customers.select(TOTALS.columns))
        for partition, state in states.items():
            bound_us = batch.watermarks_us[partition] - rules.allowed_lateness // MICROSECOND
            state.forget({types: bound_us - _REACH_US[types] for types in _REACH_US})
        alerts = [
            _alerts(pattern, hits, events) for pattern in PATTERNS if (hits := found.get(pattern.name, FOUND)).height
        ]
        if not alerts:
            return Emitted()
        told = pl.concat(alerts)
        return Emitted({ALERTS: told.select(ALERTS.columns)}, _messages(told))


def _alerts(pattern: Pattern, found: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """The columns of ALERTS, and what else a message says."""
    return found.join(events, on=["partition", "offset"], maintain_order="left").select(
        pl.format("{}:{}:{}", pl.lit(pattern.name), "partition", "offset").alias("alert_id"),
        pl.lit(pattern.name).alias("pattern"),
        pl.lit(pattern.meaning).alias("meaning"),
        pl.lit(str(pattern.severity)).alias("severity"),
        pl.lit(pattern.topic).alias("topic"),
        "customer_id",
        "event_id",
        "order_id",
        "event_time",
        "partition",
        "offset",
        "facts",
    )


def _messages(alerts: pl.DataFrame) -> pl.DataFrame:
    said = pl.struct(pl.exclude("topic", "facts")).struct.json_encode().str.strip_suffix("}")
    return alerts.select(
        pl.col("alert_id").alias("dedupe_id"),
        "topic",
        pl.col("customer_id").cast(pl.Binary).alias("key"),
        pl.concat_str(said, pl.lit(',"facts":'), "facts", pl.lit("}")).cast(pl.Binary).alias("value"),
    )
