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

from stream import held
from stream.dedupe import NO_WATERMARK
from stream.held import KEY, HeldState
from stream.operators import MESSAGES, Batch, Emitted
from stream.types import Rules
from tandem import database
from tandem.events import EventType
from tandem.topics import HIGH_VALUE_CUSTOMERS

_ROWS = pl.DataFrame(
    schema={
        "partition": pl.Int32(),
        "customer_id": pl.String(),
        "order_count": pl.Int64(),
        "revenue_cents": pl.Int64(),
        "time_us": pl.Int64(),
    }
)
"""What is held of a customer: the totals so far. They never grow old; ``time_us`` is 0."""


class HighValue:
    """The operator. Its rows in Postgres are those of ``customer_totals``, which another operator writes."""

    name = "high_value"
    tables = ()

    def empty(self) -> HeldState:
        """No customer."""
        return HeldState(_ROWS)

    def restore(self, reader: psycopg.Connection[Any], partition: int, watermark: datetime, rules: Rules) -> HeldState:
        """Nothing is read now: a customer's totals are looked up when they order again."""
        return HeldState(_ROWS, held.EVERYWHERE)

    def fold(self, batch: Batch, states: Mapping[int, HeldState], rules: Rules) -> Emitted:
        """A message for each customer who crosses the threshold in this micro-batch."""
        orders = batch.events.filter(pl.col("event_type") == EventType.ORDER_CREATED)
        added = orders.group_by(KEY).agg(
            pl.len().cast(pl.Int64).alias("orders_added"), pl.col("total_cents").sum().alias("cents_added")
        )
        since_us = dict.fromkeys(states, NO_WATERMARK)
        before = held.recall(states, added.select(KEY), since_us, lambda unknown: _look_up(batch.reader, unknown))
        totals = added.join(before, on=KEY, how="left").with_columns(
            pl.col("order_count", "revenue_cents", "time_us").fill_null(0)
        )
        held.remember(states, added.select(KEY), _after(totals), since_us)
        reached = pl.col("revenue_cents") + pl.col("cents_added")
        crossing = totals.filter(
            (pl.col("revenue_cents") <= rules.high_value_cents) & (reached > rules.high_value_cents)
        )
        return Emitted(messages=_messages(crossing, orders, rules) if crossing.height else MESSAGES.to_frame())


def _after(totals: pl.DataFrame) -> pl.DataFrame:
    return totals.select(
        *KEY,
        pl.col("order_count") + pl.col("orders_added"),
        pl.col("revenue_cents") + pl.col("cents_added"),
        "time_us",
    )


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


def _look_up(reader: psycopg.Connection[Any] | None, keys: pl.DataFrame) -> pl.DataFrame:
    assert reader is not None  # noqa: S101 - see Batch
    parameters = {"partitions": keys["partition"].to_list(), "customers": keys["customer_id"].to_list()}
    rows = reader.execute(database.queries("speed").totals_of_customers, parameters).fetchall()
    return pl.DataFrame(rows, schema=_ROWS.drop("time_us").schema, orient="row").with_columns(time_us=pl.lit(0))
