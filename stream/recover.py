"""recover: what changed from an offset on, from the books: for a partition whose worker died before it sent it all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import psycopg

from stream import fold, quality
from stream.types import Position
from tandem import database, journal
from tandem.events import Decision
from tandem.topics import ORDER_EVENTS

_queries = database.queries("recover")
_UTC = pl.Datetime("us", "UTC")


def changed_since(
    connection: psycopg.Connection[Any], position: Position, offset: int, zone: ZoneInfo
) -> Mapping[str, pl.DataFrame]:
    """Rows that name every entity which records of this partition from ``offset`` on have changed, by table.

    It may name others too: of a product, the journal tells only the hour.
    """
    parameters = {"topic": position[0], "partition": position[1], "offset": offset}
    if position[0] != ORDER_EVENTS:
        return {"adjustments": _frame(connection, "adjusted_since", parameters, _ADJUSTED)}
    segments = connection.execute(_queries.journal_since, parameters)
    rows = journal.decode_each((segment for (segment,) in segments), position[1])
    rows = rows.filter(pl.col("offset") >= offset)
    counted = rows.filter(pl.col("decision") == Decision.COUNTED)
    hours = rows.select(fold.pane_start(pl.col("event_time"), "hour", zone)).to_series().drop_nulls().unique()
    parameters["hours"] = hours.to_list()
    return {
        "order_minutes": counted.select(
            fold.pane_start(pl.col("event_time"), "minute", zone).alias("pane_start"),
            fold.business_date(pl.col("event_time"), zone).alias("business_date"),
        ),
        "orders_entries": hours.to_frame("cell_start"),
        "category_hours": _frame(connection, "categories_of_hours", parameters, _CATEGORIES),
        "product_totals": _frame(connection, "products_of_hours", parameters, {"product_id": pl.String()}),
        "customer_totals": counted.select("customer_id"),
        "quality": pl.concat([_judged(rows), _refused(connection, parameters)]),
    }


_ADJUSTED = {"business_date": pl.Date(), "cube": pl.String(), "cell_start": _UTC, "key": pl.String()}
_CATEGORIES = {"pane_start": _UTC, "category": pl.String()}
_TIMES = {"event_time": _UTC, "kafka_time": _UTC}


def _judged(rows: pl.DataFrame) -> pl.DataFrame:
    judged = rows.filter(~pl.col("decision").is_in([Decision.IGNORED, Decision.QUARANTINED]))
    return judged.select(pl.col("event_time").dt.truncate("5m").alias("pane_start"))


def _refused(connection: psycopg.Connection[Any], parameters: dict[str, Any]) -> pl.DataFrame:
    """Quarantined records: the journal does not tell the broker's time, by which some are counted."""
    times = _frame(connection, "quarantined_since", parameters, _TIMES)
    ahead = (pl.col("event_time") - pl.col("kafka_time")).dt.total_microseconds().alias("ahead_us")
    return times.with_columns(ahead).select(quality.pane_start().alias("pane_start"))


def _frame(
    connection: psycopg.Connection[Any], query: str, parameters: dict[str, Any], schema: dict[str, Any]
) -> pl.DataFrame:
    rows = connection.execute(getattr(_queries, query), parameters).fetchall()
    return pl.DataFrame(rows, schema=schema, orient="row")
