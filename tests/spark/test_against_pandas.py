"""What is published for real days, against plain pandas over the data set's own files."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime

import gates
import pandas as pd
import pytest
from log import archived_in, grocer_log, lines
from pyspark.sql import SparkSession

from spark_jobs import batch, job, publish, runs
from tandem import database
from tandem.settings import Settings

pytestmark = [pytest.mark.spark, pytest.mark.integration]

FIRST, DAY = date(2017, 12, 18), date(2017, 12, 23)


@pytest.fixture(scope="module")
def sold() -> pd.DataFrame:
    """The lines of six days whose baskets cost something: a basket of coupons alone is no order."""
    found = lines(FIRST, DAY)
    return found[found.groupby("basket_id")["cents"].transform("sum") > 0]


@pytest.fixture(scope="module")
def published(
    spark: SparkSession, clean_module_database: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    folder = tmp_path_factory.mktemp("pandas")
    own = archived_in(clean_module_database, folder)
    log = grocer_log(FIRST, DAY)
    log.archive(own)
    run = runs.open_run(own, runs.new_run_id(DAY, datetime.now(UTC)), DAY)
    batch.compute(job.Job("batch", spark, own, (run,)))
    gates.passes(own, run.run_id)
    publish.publish(own, run.run_id, DAY, published_by="test")
    return own


def rows(settings: Settings, query: str) -> list[tuple[object, ...]]:
    with database.connect(settings, database.READER) as reader:
        return reader.execute(query).fetchall()


def scores(values: pd.Series, *, low_is_good: bool) -> pd.Series:
    """1 + floor(5 · (mean rank − 0.5) / n), in whole numbers."""
    twice = (2 * values.rank(method="average", ascending=not low_is_good)).astype(int)
    return 1 + (5 * (twice - 1)) // (2 * len(values))


def segments(sold: pd.DataFrame, as_of: date) -> pd.Series:
    orders = (
        sold[sold["day"] <= as_of]
        .groupby(["household_id", "basket_id"])
        .agg(day=("day", "first"), cents=("cents", "sum"))
    )
    of = orders.groupby("household_id").agg(last=("day", "max"), orders=("day", "size"), cents=("cents", "sum"))
    recency = of["last"].map(lambda last: (as_of - last).days)
    money = (2 * of["cents"] + of["orders"]) // (2 * of["orders"])
    r, f, m = (
        scores(recency, low_is_good=True),
        scores(of["orders"], low_is_good=False),
        scores(money, low_is_good=False),
    )
    named = pd.Series("Others", index=of.index)
    named[(r <= 2) & (f <= 2) & (m <= 2)] = "At Risk"
    named[(r >= 3) & (f <= 2) & (m >= 3)] = "Potential Loyalists"
    named[(r >= 3) & (f >= 3) & (m >= 3)] = "Loyal Customers"
    named[(r >= 4) & (f >= 4) & (m >= 4)] = "Champions"
    return named


def test_the_transition_matrix_is_that_of_the_segments_of_both_days(published: Settings, sold: pd.DataFrame) -> None:
    now, before = segments(sold, DAY), segments(sold, date(2017, 12, 22))
    wanted = Counter((before.get(customer, ""), segment) for customer, segment in now.items())
    found = rows(
        published, "SELECT previous_segment, segment, customers FROM serving.rfm_transitions WHERE grid = 'five'"
    )
    assert {(previous, segment): count for previous, segment, count in found} == wanted
    assert len(wanted) > 10, "six days of real orders move customers between segments"


def test_the_customers_of_every_grid_add_up_to_all_who_bought(published: Settings, sold: pd.DataFrame) -> None:
    found = rows(published, "SELECT grid, sum(customers)::int FROM serving.rfm_transitions GROUP BY 1")
    assert dict(found) == dict.fromkeys(["five", "ten"], sold["household_id"].nunique())


@pytest.mark.parametrize(("scope", "key"), [("overall", None), ("category", "category")])
def test_the_abc_classes_are_those_of_the_cumulated_revenue(
    published: Settings, sold: pd.DataFrame, scope: str, key: str | None
) -> None:
    today = sold[sold["day"] == DAY].assign(everything="", product=sold["product_id"].astype(str))
    by = key or "everything"
    revenue = today.groupby([by, "product"])["cents"].sum().clip(lower=0).reset_index()
    revenue = revenue.sort_values(["cents", "product"], ascending=[False, True])
    above = revenue.groupby(by)["cents"].cumsum() - revenue["cents"]
    total = revenue.groupby(by)["cents"].transform("sum")
    # In whole cents: what stands above a product makes less than 80 %, less than 95 %.
    classes = pd.Series("C", index=revenue.index)
    classes[(revenue["cents"] > 0) & (100 * above < 95 * total)] = "B"
    classes[(revenue["cents"] > 0) & (100 * above < 80 * total)] = "A"
    wanted = {(row[0], row[1]): of for row, of in zip(revenue[[by, "product"]].to_numpy(), classes, strict=True)}
    found = rows(
        published,
        "SELECT scope_key, product_id, abc_class FROM serving.product_rankings"
        f" WHERE measure = 'revenue_cents' AND rank IS NOT NULL AND scope = '{scope}'",
    )
    assert {(scope_key, product): of for scope_key, product, of in found} == wanted
    assert set(wanted.values()) == {"A", "B", "C"}
