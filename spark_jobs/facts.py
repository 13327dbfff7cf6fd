"""The ``order_facts`` table: every event of a business date below a cut, decoded, checked, and with its decision."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs import delta_commit, delta_files, file_list
from tandem import delta

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyspark.sql import DataFrame, SparkSession

    from tandem.settings import Settings

COLUMNS = (
    "run_id", "partition", "offset", "kafka_time", "event_id", "event_type", "event_time", "order_id", "customer_id",
    "total_cents", "previous_total_cents", "units", "items", "decision", "reasons", "payment_method", "region",
    "business_date",
)  # fmt: skip
"""``run_id``: the run that wrote the row. ``items``: array of struct<product_id, category, quantity, amount_cents>.
``decision``: tandem.events.Decision, never late. ``reasons``: codes of failed checks, sorted, joined by commas."""

# What a figure was made of can be read for as long as the figure stands.
_PROPERTIES = {"delta.logRetentionDuration": "interval 3650 days"}


def read(
    spark: SparkSession,
    settings: Settings,
    first: date | None = None,
    last: date | None = None,
    *,
    version: int | None = None,
) -> DataFrame:
    """COLUMNS of the dates from ``first`` to ``last``, both included, at a Delta version; all and newest by default."""
    bounds = [("business_date", sign, day) for sign, day in ((">=", first), ("<=", last)) if day is not None]
    return delta_files.read(spark, delta.at(settings.order_facts, version), bounds)


def only(events: DataFrame, dates: Collection[date]) -> DataFrame:
    """The events of these dates; no file of another is looked at."""
    return events.filter(F.col("business_date").isin(sorted(dates)))


def without(events: DataFrame, dates: Collection[date]) -> DataFrame:
    """The events of all but these dates, of which no file is looked at."""
    return events.filter(~F.col("business_date").isin(sorted(dates))) if dates else events


def counts(settings: Settings) -> dict[date, int]:
    """How many events the table has, by date; none where there is no table yet. Reads no event."""
    table = delta.find(settings.order_facts)
    return file_list.records_by_date(table) if table else {}


def write(rows: DataFrame, settings: Settings, dates: Collection[date], mark: str) -> int:
    """Put ``rows`` (COLUMNS) in place of all that the table has of ``dates``, in one commit; returns its version.

    ``mark``: one that no other commit has, to find this one again beside those of others.
    """
    # One file a date, or several for a date that is too large for one task.
    shown = rows.select(*COLUMNS).hint("rebalance", "business_date")
    return delta_commit.replace(shown, settings.order_facts, dates, mark, _PROPERTIES)
