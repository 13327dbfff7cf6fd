"""totals: what every product and every customer has come to so far (capabilities S4, S5). No memory.

The columns are the measures of ``tandem.kpis``: a product's are those of the products cube, a customer's those of the
orders cube. Cancellations and amendments stand beside what was sold, as in all books; the views net them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl
import psycopg

from stream import fold
from stream.operators import Batch, Emitted
from stream.panes import measure_columns
from stream.tables import Merge, Table
from stream.types import Rules
from tandem.events import EventType
from tandem.kpis import ORDERS, PRODUCTS, Cube
from tandem.pending import PACKS


def _table(name: str, key: str, cube: Cube) -> Table:
    times = (("first_order_time", Merge.LEAST), ("last_order_time", Merge.GREATEST))
    return Table(name, (key, "partition"), (*measure_columns(cube), *times), packs=PACKS.get(name))


PRODUCT_TOTALS = _table("product_totals", "product_id", PRODUCTS)
CUSTOMER_TOTALS = _table("customer_totals", "customer_id", ORDERS)


class Totals:
    """The operator."""

    name = "totals"
    tables = (PRODUCT_TOTALS, CUSTOMER_TOTALS)

    def empty(self) -> None:
        """Nothing is remembered."""

    def restore(self, reader: psycopg.Connection[Any], partition: int, watermark: datetime, rules: Rules) -> None:
        """Nothing is remembered."""

    def fold(self, batch: Batch, states: Mapping[int, Any], rules: Rules) -> Emitted:
        """What the micro-batch adds. Order times are those of orders created; NULL where there is none yet."""
        return Emitted(
            {
                PRODUCT_TOTALS: _added(batch.lines, PRODUCT_TOTALS, PRODUCTS),
                CUSTOMER_TOTALS: _added(batch.events, CUSTOMER_TOTALS, ORDERS),
            }
        )


def _added(rows: pl.DataFrame, table: Table, cube: Cube) -> pl.DataFrame:
    ordered = pl.when(pl.col("event_type") == EventType.ORDER_CREATED).then("event_time")
    times = (ordered.min().alias("first_order_time"), ordered.max().alias("last_order_time"))
    # What is packed is settled for all partitions together, so it is added up for all of them here.
    keys = [key for key in table.keys if key != "partition" or not table.is_packed]
    return fold.measured(rows, cube, keys, times)
