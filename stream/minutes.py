"""minutes: every customer's orders by the minute, what their moving average is made of (capability S8). No memory.

One row per partition and minute of a micro-batch, customers and sums as arrays beside each other: a row per customer
and minute would be the most that the speed layer writes, and be read by almost nobody. Old minutes are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl
import psycopg

from stream.operators import Batch, Emitted
from stream.tables import Expiry, Merge, Table, Write, merging
from stream.types import Rules
from tandem.events import EventType

CUSTOMER_MINUTES = Table(
    "customer_minutes",
    ("partition", "pane_start", "first_offset"),
    merging(Merge.KEEP, "customer_ids", "order_counts", "revenues_cents"),
    Write.APPEND,
    expiry=Expiry("pane_start", "moving_average_retention"),
)


class Minutes:
    """The operator. Orders created count; cancellations and amendments do not change a moving average."""

    name = "minutes"
    tables = (CUSTOMER_MINUTES,)

    def empty(self) -> None:
        """Nothing is remembered."""

    def restore(self, reader: psycopg.Connection[Any], partition: int, watermark: datetime, rules: Rules) -> None:
        """Nothing is remembered."""

    def fold(self, batch: Batch, states: Mapping[int, Any], rules: Rules) -> Emitted:
        """The minutes of the micro-batch's orders; ``first_offset`` tells a row from those of other micro-batches."""
        cells = (
            batch.events.filter(pl.col("event_type") == EventType.ORDER_CREATED)
            .group_by("partition", pl.col("event_time").dt.truncate("1m").alias("pane_start"), "customer_id")
            .agg(
                pl.col("offset").min().alias("first_offset"),
                pl.len().cast(pl.Int64).alias("order_counts"),
                pl.col("total_cents").sum().alias("revenues_cents"),
            )
        )
        packed = cells.group_by("partition", "pane_start").agg(
            pl.col("first_offset").min(),
            pl.col("customer_id").alias("customer_ids"),
            "order_counts",
            "revenues_cents",
        )
        return Emitted({CUSTOMER_MINUTES: packed})
