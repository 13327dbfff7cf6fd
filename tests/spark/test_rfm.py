"""RFM against plain Python: ranks by counting, means by fractions, segments by the words of the specification."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import date, timedelta
from fractions import Fraction
from itertools import product
from math import floor
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from spark_jobs.rfm import rfm
from spark_jobs.rfm_grids import grids, load
from tandem.errors import TandemError

pytestmark = pytest.mark.spark

DAY = date(2017, 12, 20)
Order = tuple[date, str, int]


def facts_of(spark: SparkSession, orders: list[Order], decision: str = "counted", kind: str = "order_created") -> Any:
    days, customers, cents = zip(*orders, strict=True)
    columns = {"business_date": days, "customer_id": customers, "total_cents": cents}
    rows = pa.table(columns)
    for name, value in (("decision", decision), ("event_type", kind)):
        rows = rows.append_column(name, pa.array([value] * len(orders)))
    return spark.createDataFrame(rows)


def scores_by_counting(values: dict[str, int], low_is_good: bool) -> dict[str, int]:
    n = len(values)
    scores = {}
    for customer, value in values.items():
        worse = sum(1 for other in values.values() if (other > value if low_is_good else other < value))
        alike = sum(1 for other in values.values() if other == value)
        mean_rank = Fraction(sum(range(worse + 1, worse + alike + 1)), alike)
        scores[customer] = 1 + floor(5 * (mean_rank - Fraction(1, 2)) / n)
    return scores


def expected(orders: list[Order], as_of: date) -> dict[str, tuple[int, ...]]:
    """customer → recency_days, frequency, monetary_cents, and the three scores by rank."""
    history: dict[str, list[Order]] = defaultdict(list)
    for order in orders:
        if order[0] <= as_of:
            history[order[1]].append(order)
    recency = {c: (as_of - max(o[0] for o in past)).days for c, past in history.items()}
    frequency = {c: len(past) for c, past in history.items()}
    money = {c: floor(Fraction(sum(o[2] for o in past), len(past)) + Fraction(1, 2)) for c, past in history.items()}
    r, f, m = scores_by_counting(recency, True), scores_by_counting(frequency, False), scores_by_counting(money, False)
    return {c: (recency[c], frequency[c], money[c], r[c], f[c], m[c]) for c in history}


def five(r: int, f: int, m: int) -> str:
    if min(r, f, m) >= 4:
        return "Champions"
    if min(r, f, m) >= 3:
        return "Loyal Customers"
    if r >= 3 and f <= 2 and m >= 3:
        return "Potential Loyalists"
    if max(r, f, m) <= 2:
        return "At Risk"
    return "Others"


def result(spark: SparkSession, orders: list[Order], day: date) -> dict[tuple[str, str], Any]:
    rows = rfm(facts_of(spark, orders), [day]).collect()
    found = {(row["grid"], row["customer_id"]): row for row in rows}
    assert len(found) == len(rows), "one row per customer and grid"
    return found


def values_of(row: Any) -> tuple[int, ...]:
    names = ("recency_days", "frequency", "monetary_cents", "recency_score", "frequency_score", "monetary_score")
    return tuple(row[name] for name in names)


customers = st.sampled_from([f"c{number}" for number in range(60)])
a_day = st.integers(0, 30).map(lambda back: DAY - timedelta(days=back))
ENOUGH = [(DAY - timedelta(days=20), f"c{number}", 40) for number in range(30)]
"""So that ranks apply, not the thresholds of a small population."""
history = st.lists(st.tuples(a_day, customers, st.integers(1, 300)), min_size=100, max_size=200).map(ENOUGH.__add__)


# Each example is a Spark job of seconds: few of them, and none to shrink a failure.
@settings(max_examples=3, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(orders=history, seed=st.integers())
def test_scores_and_segments_are_those_of_the_definition_whatever_the_order_of_rows(
    spark: SparkSession, orders: list[Order], seed: int
) -> None:
    shuffled = random.Random(seed).sample(orders, len(orders))
    now, before = expected(orders, DAY), expected(orders, DAY - timedelta(days=1))
    found = result(spark, shuffled, DAY)
    assert {c: values_of(row) for (grid, c), row in found.items() if grid == "five"} == now
    assert {c: row["segment"] for (grid, c), row in found.items() if grid == "five"} == {
        c: five(*values[3:]) for c, values in now.items()
    }
    assert {c: row["previous_segment"] for (grid, c), row in found.items() if grid == "five"} == {
        c: five(*before[c][3:]) if c in before else None for c in now
    }
    assert Counter(grid for grid, _ in found) == {"five": len(now), "ten": len(now)}


def test_a_tie_of_everyone_scores_three_and_is_flagged(spark: SparkSession) -> None:
    orders = [(DAY, f"c{number}", 500) for number in range(30)]
    found = result(spark, orders, DAY)
    assert {values_of(row)[3:] for row in found.values()} == {(3, 3, 3)}
    assert {row["flags"] for row in found.values()} == {"few_values:recency,few_values:frequency,few_values:monetary"}


def test_a_small_population_is_scored_by_the_fixed_thresholds_and_flagged(spark: SparkSession) -> None:
    orders = [(DAY, "new", 25_000), *[(DAY - timedelta(days=45 + n), "old", 3_000) for n in range(6)]]
    found = result(spark, orders, DAY)
    assert values_of(found["five", "new"])[3:] == (5, 1, 5)
    assert values_of(found["five", "old"])[3:] == (3, 4, 2)
    assert all(row["flags"].startswith("small_population,") for row in found.values())


def test_only_counted_orders_created_up_to_the_date_are_looked_at(spark: SparkSession) -> None:
    facts = (
        facts_of(spark, [(DAY, "in", 100)])
        .union(facts_of(spark, [(DAY + timedelta(days=1), "after", 100)]))
        .union(facts_of(spark, [(DAY, "quarantined", 100)], decision="quarantined"))
        .union(facts_of(spark, [(DAY, "cancelled", 100)], kind="order_cancelled"))
    )
    assert {row["customer_id"] for row in rfm(facts, [DAY]).collect()} == {"in"}


def test_every_grid_gives_each_of_the_125_cells_one_segment() -> None:
    assert [grid.name for grid in grids()] == ["five", "ten"]
    for grid in grids():
        assert set(grid.segments) == set(product(range(1, 6), repeat=3))
    assert len(set(grids()[1].segments.values())) == 10
    assert grids()[0].segments == {cell: five(*cell) for cell in product(range(1, 6), repeat=3)}


@pytest.mark.parametrize(
    ("boxes", "cell"),
    [([[[1, 5], [1, 5], [1, 4]]], r"\(1, 1, 5\) 0"), ([[[1, 5]] * 3, [[2, 2]] * 3], r"\(2, 2, 2\) 2")],
)
def test_a_grid_with_a_hole_or_an_overlap_is_refused(boxes: list[Any], cell: str) -> None:
    with pytest.raises(TandemError, match=cell):
        load([{"name": "bad", "version": "1", "segment": [{"name": "all", "boxes": boxes}]}])
