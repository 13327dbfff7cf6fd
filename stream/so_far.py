"""so_far: what the orders of a customer have come to, the recently used in memory and all in ``customer_totals`` (S5).

For operators that compare an order with those before it: a micro-batch's customers are found once for all of them
(``Batch.customers``). The table is written by another operator (stream.totals).
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from stream import held
from stream.dedupe import NO_WATERMARK
from stream.held import KEY, HeldState
from stream.operators import Reader
from tandem import database
from tandem.events import EventType

_ROWS = pl.DataFrame(
    schema={
        "partition": pl.Int32(),
        "customer_id": pl.String(),
        "order_count": pl.Int64(),
        "revenue_cents": pl.Int64(),
        "time_us": pl.Int64(),
    }
)
"""Totals never grow old; ``time_us`` is 0."""


def nobody() -> HeldState:
    """Of a partition of which nothing was counted yet."""
    return HeldState(_ROWS)


def anybody() -> HeldState:
    """Of a partition that others have worked on: a customer's totals are looked up when they order again."""
    return HeldState(_ROWS, held.EVERYWHERE)


def totals(states: Mapping[int, HeldState], events: pl.DataFrame, reader: Reader | None) -> pl.DataFrame:
    """KEY of the customers who order in the micro-batch; their order_count and revenue_cents before it, 0 of new ones;
    ``orders_added`` and ``cents_added`` by it. The states then hold what they are after it.

    ``events`` and ``reader``: as in stream.operators.Batch.
    """
    orders = events.filter(pl.col("event_type") == EventType.ORDER_CREATED)
    added = orders.group_by(KEY).agg(
        pl.len().cast(pl.Int64).alias("orders_added"), pl.col("total_cents").sum().alias("cents_added")
    )
    since_us = dict.fromkeys(states, NO_WATERMARK)
    known = held.recall(states, added.select(KEY), since_us, lambda unknown: _look_up(reader, unknown))
    of_each = added.join(known, on=KEY, how="left").with_columns(
        pl.col("order_count", "revenue_cents", "time_us").fill_null(0)
    )
    after = of_each.select(
        *KEY,
        pl.col("order_count") + pl.col("orders_added"),
        pl.col("revenue_cents") + pl.col("cents_added"),
        "time_us",
    )
    held.remember(states, after, since_us)
    return of_each


def _look_up(reader: Reader | None, keys: pl.DataFrame) -> pl.DataFrame:
    assert reader is not None  # noqa: S101 - see Batch
    parameters = {"partitions": keys["partition"].to_list(), "customers": keys["customer_id"].to_list()}
    rows = reader.execute(database.queries("speed").totals_of_customers, parameters).fetchall()
    return pl.DataFrame(rows, schema=_ROWS.drop("time_us").schema, orient="row").with_columns(time_us=pl.lit(0))
