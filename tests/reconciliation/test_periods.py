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


def days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def test_a_month_that_is_over_and_published_whole_is_final(clean_database: Settings) -> None:
    last = later(BREAD, 8)
    write_speed(clean_database, [MILK, last])
    write_batch(clean_database, [MILK], "r1")
    for day in days(DAY + timedelta(days=1), date(2017, 12, 30)):
        write_batch(clean_database, [], f"closed {day}", day=day)
    write_batch(clean_database, [last], "r2", day=date(2017, 12, 31))
    [december] = ask(clean_database, "monthly_order_aggregates")
    assert (december["status"], december["revenue_cents"]) == ("final", 1_501)


def test_a_month_is_not_final_while_a_day_of_it_is_missing_that_the_stream_has_not_either(
    clean_database: Settings,
) -> None:
    """A day whose orders all came too late for the stream, and whose gate failed, is in no sum."""
    lacking = DAY + timedelta(days=2)
    for day in days(DAY, date(2017, 12, 31)):
        if day != lacking:
            write_batch(clean_database, [later(MILK, (day - DAY).days)], f"run of {day}", day=day)
    [december] = ask(clean_database, "monthly_order_aggregates")
    assert (december["status"], december["order_count"]) == ("provisional", 8)
    write_batch(clean_database, [later(MILK, 2)], "made up for", day=lacking)
    [december] = ask(clean_database, "monthly_order_aggregates")
    assert (december["status"], december["order_count"]) == ("final", 9)


def test_a_month_after_a_published_one_begins_with_its_first_day(clean_database: Settings) -> None:
    january = days(date(2018, 1, 1), date(2018, 1, 31))
    for day in [date(2017, 12, 31), *january[2:]]:
        write_batch(clean_database, [later(MILK, (day - DAY).days)], f"run of {day}", day=day)
    statuses = {row["month"]: row["status"] for row in ask(clean_database, "monthly_order_aggregates")}
    assert statuses == {date(2017, 12, 1): "final", date(2018, 1, 1): "provisional"}
