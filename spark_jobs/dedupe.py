"""dedupe: which valid events occurred before, in the order in which Kafka took them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from tandem.events import Decision, EventType

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_POSITION = ("kafka_time", "partition", "offset")
"""Where an event stands in the whole log."""
KEYS = ("business_date", *_POSITION, "event_type", "event_id", "order_id")
"""What the decision on an event takes from the events before it."""


def decide(events: DataFrame, earlier: DataFrame, lookback_days: int) -> DataFrame:
    """``events`` with ``decision`` filled where it was NULL: duplicate, or counted.

    A duplicate is an event whose id stands earlier in the log on the same date, and an ``order_created`` whose order
    was created earlier in the log on the same date, or on one of the ``lookback_days`` dates before, wherever that
    stands in the log: so a date depends on the dates before it and never on one after it.

    ``earlier``: KEYS of the valid events of those dates before that are not among ``events``.
    """
    context = earlier.select(*KEYS, F.lit(True).alias("is_context"))
    every = events.withColumn("is_context", F.lit(False)).unionByName(context, allowMissingColumns=True)
    return (
        every.withColumn("is_valid", F.col("decision").isNull())
        .withColumn("nth", F.row_number().over(_in_order("is_valid", "business_date", "event_id")))
        .withColumn("is_copy", F.col("nth") > 1)
        .withColumn("creates", F.expr(f"is_valid AND NOT is_copy AND event_type = '{EventType.ORDER_CREATED}'"))
        .withColumn("before", F.lag("business_date").over(_in_order("creates", "order_id")))
        .withColumn("repeats", F.expr(f"creates AND date_diff(business_date, before) <= {lookback_days}"))
        .withColumn("verdict", F.expr(f"IF(is_copy OR repeats, '{Decision.DUPLICATE}', '{Decision.COUNTED}')"))
        .filter("NOT is_context")
        .withColumn("decision", F.coalesce("decision", "verdict"))
        .select(*events.columns)
    )


def _in_order(*keys: str) -> Window:
    return Window.partitionBy(*keys).orderBy("business_date", *_POSITION)
