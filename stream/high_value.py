"""high_value: the customers whose orders come to more than a threshold, announced once each (capability S5).

Revenue is that of orders created, in the order of the log: it only grows, so a customer crosses once. What is later
cancelled does not take the announcement back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl
import psycopg

from stream.held import KEY
from stream.operators import MESSAGES, Batch, Emitted
from stream.types import Rules
from tandem.events import EventType
from tandem.topics import HIGH_VALUE_CUSTOMERS


class HighValue:
    """The operator. No memory: what customers came to before is the micro-batch's."""

    name = "high_value"
    tables = ()

    def empty(self) -> None:
        """Nothing is remembered."""

    def restore(self, reader: psycopg.Connection[Any], partition: int, watermark: datetime, rules: Rules) -> None:
        """Nothing is remembered."""

    def fold(self, batch: Batch, states: Mapping[int, Any], rules: Rules) -> Emitted:
        """A message for each customer who crosses the threshold in this micro-batch."""
        orders = batch.events.filter(pl.col("event_type") == EventType.ORDER_CREATED)
        before, reached = pl.col("revenue_cents"), pl.col("revenue_cents") + pl.col("cents_added")
        crossing = batch.customers.filter((before <= rules.high_value_cents) & (reached > rules.high_value_cents))
        return Emitted(messages=_messages(crossing, orders, rules) if crossing.height else MESSAGES.to_frame())


def _messages(crossing: pl.DataFrame, orders: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Of the order that crossed the threshold, by the order of the log."""
    running = (
        orders.join(crossing.select(*KEY, "order_count", "revenue_cents"), on=KEY, maintain_order="left")
        .with_columns(
            pl.col("revenue_cents") + pl.col("total_cents").cum_sum().over(KEY),
            pl.col("order_count") + pl.int_range(1, pl.len() + 1).over(KEY),
        )
        .filter(pl.col("revenue_cents") > rules.high_value_cents)
        .unique(KEY, keep="first", maintain_order=True)
    )
    threshold = pl.lit(rules.high_value_cents)
    value = pl.struct(
        "customer_id",
        "order_id",
        "event_id",
        pl.col("event_time").dt.to_string("%Y-%m-%dT%H:%M:%S%.6fZ").alias("crossed_at"),
        "order_count",
        "revenue_cents",
        threshold.alias("threshold_cents"),
    )
    return running.select(
        pl.format("high-value:{}:{}:{}", "partition", threshold, "customer_id").alias("dedupe_id"),
        pl.lit(HIGH_VALUE_CUSTOMERS).alias("topic"),
        pl.col("customer_id").cast(pl.Binary).alias("key"),
        value.struct.json_encode().cast(pl.Binary).alias("value"),
    )
