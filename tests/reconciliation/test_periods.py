"""Days and months: the stream's figures until the batch layer has published, then the batch layer's."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from psycopg.rows import dict_row

from tandem import database
from tandem.settings import Settings
from tests.reconciliation.books import DAY, Order, at, write_batch, write_speed

pytestmark = pytest.mark.integration

MILK = Order("o1", 1_000, at(9, 5), "alice", "milk", "dairy", 2)
BREAD = Order("o2", 501, at(10, 55), "bob", "bread", "bakery", 1)
LATE = Order("o3", 70, at(11), "carol")


def later(order: Order, days: int) -> Order:
    return order.again(order_id=f"{order.order_id}+{days}", when=order.when + timedelta(days=days))


def ask(settings: Settings, view: str) -> list[dict[str, Any]]:
    with database.connect(settings, database.READER, row_factory=dict_row) as reader:
        return reader.execute(f"SELECT * FROM serving.{view} ORDER BY 1").fetchall()


def test_a_day_is_provisional_from_the_stream_until_its_batch_is_published(clean_database: Settings) -> None:
    write_speed(clean_database, [MILK, later(BREAD, 1)])
    write_batch(clean_database, [MILK, LATE], "r1")
    published, coming = ask(clean_database, "daily_order_aggregates")
    assert (published["business_date"], published["status"], published["revenue_cents"]) == (DAY, "final", 1_070)
    assert (coming["status"], coming["revenue_cents"], coming["unique_customers"]) == ("provisional", 501, 1)


def test_a_month_adds_its_days_up_and_is_provisional_while_one_of_them_is(clean_database: Settings) -> None:
    orders = [MILK, later(BREAD, 1), later(MILK, 2), later(MILK, 30)]
    write_speed(clean_database, orders)
    write_batch(clean_database, [MILK, LATE], "r1")
    december, january = ask(clean_database, "monthly_order_aggregates")
    assert (december["month"], january["month"]) == (date(2017, 12, 1), date(2018, 1, 1))
    assert december["status"] == january["status"] == "provisional"
    assert (december["order_count"], december["revenue_cents"]) == (4, 1_070 + 501 + 1_000)
    assert december["avg_order_value_cents"] == 643, "2571 / 4, half up"
    assert december["unique_customers"] == 2, "alice bought on two days"


def test_a_month_that_is_over_and_published_whole_is_final(clean_database: Settings) -> None:
    last = later(BREAD, 8)
    write_speed(clean_database, [MILK, last])
    write_batch(clean_database, [MILK], "r1")
    write_batch(clean_database, [last], "r2", day=date(2017, 12, 31))
    [december] = ask(clean_database, "monthly_order_aggregates")
    assert (december["status"], december["revenue_cents"]) == ("final", 1_501)
