"""A measure that is declared over running books: NULL of what was not kept, never 0 or a part, until a rebuild."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import declared
import orders
import pytest
import speed_rig as rig
import topic_books
from declared import own_database

from tandem.settings import Settings

pytestmark = pytest.mark.integration

__all__ = ["own_database"]  # a fixture

BEFORE, HALF, AFTER = date(2017, 12, 19), date(2017, 12, 21), date(2017, 12, 22)
"""The measures are declared on the second, in event time shortly before noon."""
PAID_ONLY = date(2017, 12, 18)
"""A date without an order."""
LINES = """            Measure("discount_cents", cube, created, "amount_cents - 1", Unit.CENTS, "for the test"),
            Measure(
                "order_count",
"""
OLD_LINES = """            Measure(
                "order_count",
"""
FAILED = """        Measure(
            "failed_payments", ORDERS, EventType.PAYMENT_FAILED, "1", Unit.COUNT, "for the test", Aggregate.EVENTS
        ),
"""
SMALLEST = '        Measure("smallest_cents", rollup, created, cents'
LEAST = '        Measure("least_cents", rollup, created, cents, Unit.CENTS, "the smallest", Aggregate.MIN),\n'
LATER = ("discount_cents", "failed_payments", "least_cents")


@dataclass(frozen=True)
class Sold:
    """An order, or a failed payment of one."""

    moment: datetime
    product: str
    cents: int
    discount: int = 0
    is_paid: bool = True


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


OLD = (
    Sold(at(PAID_ONLY, 9), "p", 100, is_paid=False),
    Sold(at(BEFORE, 9), "p", 500, 3),
    Sold(at(BEFORE, 10), "q", 700, 1),
    Sold(at(HALF, 9), "p", 400, 2),
    Sold(at(HALF, 11, 50), "p", 200, 1, is_paid=False),
)
NEW = (
    Sold(at(HALF, 11, 55), "p", 900, 5),
    Sold(at(HALF, 14), "r", 300, 2),
    Sold(at(AFTER, 9), "p", 800, 7),
    Sold(at(AFTER, 9, 30), "p", 100, is_paid=False),
    Sold(at(AFTER, 10), "r", 600, 4),
    Sold(at(AFTER, 11, 30), "q", 250, 0),
)


def send(own: Settings, sold: Iterable[Sold]) -> None:
    records = []
    for number, each in enumerate(sold):
        event_id = f"e{each.moment:%d%H%M}{number}"
        kind = "order_created" if each.is_paid else "payment_failed"
        more = {"payment_method": "card", "region": "r1"}
        lines = [orders.line(each.product, each.cents)]
        total = each.cents - each.discount
        payload = orders.order(event_id, each.moment, *lines, kind=kind, total=total, customer=each.product, **more)
        records.append(rig.Outgoing(orders.encode(payload), b"k", 0))
    rig.produce(own, records)


def changed_copy(folder: Path) -> Path:
    orders_and_kpi = [
        (declared.END_OF_ORDERS, FAILED + declared.DISCOUNT),
        (declared.KPIS, declared.KPI),
        (OLD_LINES, LINES),
    ]
    copy = declared.changed_copy(folder, "tandem/kpis.py", *orders_and_kpi)
    rollups = copy / "tandem" / "rollups.py"
    text = rollups.read_text(encoding="utf-8")
    assert text.count(SMALLEST) == 1
    rollups.write_text(text.replace(SMALLEST, LEAST + SMALLEST), encoding="utf-8")
    return copy


def discount(sold: Iterable[Sold]) -> int:
    return sum(each.discount for each in sold if each.is_paid)


def of_lines(sold: Iterable[Sold]) -> int:
    return sum(each.cents - 1 for each in sold if each.is_paid)


def failed(sold: Iterable[Sold]) -> int:
    return sum(not each.is_paid for each in sold)


VIEWS = """
SELECT c.relname AS view, string_agg(a.attname, ',') AS columns
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = 'serving'::regnamespace AND a.attnum > 0 GROUP BY c.relname
"""
DAY_OF = {
    "business_date": lambda row: row["business_date"],
    "cell_start": lambda row: row["cell_start"].date(),
    "window_start": lambda row: row["window_start"].date(),
}


def shown(own: Settings) -> dict[str, list[tuple[Any, str, int | None]]]:
    """Of every view and function of ``serving`` that has a later measure: period, measure and value of each row.

    The period is a date, a month as a text, or None for all time.
    """
    found = {}
    for view in rig.query(own, VIEWS):
        columns = set(view["columns"].split(","))
        if columns.intersection(LATER):
            found[view["view"]] = _rows(rig.query(own, f"SELECT * FROM serving.{view['view']}"))
    for name in ("categories", "payment_methods", "regions", "products"):
        call = f"top_{name}('2017-12-01', '2018-01-01', 100)"
        found[f"top_{name}"] = _rows(rig.query(own, f"SELECT * FROM serving.{call}"))
    for key in ("category", "payment_method", "region"):
        rows: list[dict[str, Any]] = []
        for day in (PAID_ONLY, BEFORE, HALF, AFTER):
            until = f"{day + timedelta(days=1)}"
            rows += rig.query(own, f"SELECT * FROM serving.{key}_series(NULL, '{until}')")
        found[f"{key}_series"] = _rows(rows)
    return found


def _rows(rows: list[dict[str, Any]]) -> list[tuple[Any, str, int | None]]:
    return [
        (_period(row), name, value)
        for row in rows
        if row.get("status") != "missing"
        for name, value in row.items()
        if name in LATER or any(name.startswith(f"{later}_") and "adjusted" not in name for later in LATER)
        if not name.endswith("_corrected")
    ]


def _period(row: dict[str, Any]) -> Any:
    if "month" in row:
        return str(row["month"])
    return next((of(row) for column, of in DAY_OF.items() if column in row), None)


def assert_only_these_are_kept(own: Settings, is_kept: Callable[[Any], bool]) -> None:
    """Everywhere: a number for what was kept, NULL for everything else."""
    found = shown(own)
    assert {"daily", "order_days", "speed_monthly", "hourly_trend", "product_metrics", "customer_metrics"} <= set(found)
    wrong = [(view, *row) for view, rows in found.items() for row in rows if (row[2] is not None) != is_kept(row[0])]
    # Views of a single kind of row may have none of a date; a batch layer that never ran has none at all.
    assert wrong == []
    empty = {view for view, rows in found.items() if not rows}
    assert empty <= {"batch_daily", "history", "top_products"}, empty


def values(own: Settings, view: str, period: Any, measure: str = "discount_cents") -> list[int]:
    return sorted(v for p, name, v in shown(own)[view] if (p, name) == (period, measure) and v is not None)


def assert_topics_are_the_tables(own: Settings) -> None:
    """Of dates that nothing was sent of since the declaration, the last value is one without the field."""
    rig.settle(own, *topic_books.STATES)
    days = {
        row["business_date"].isoformat(): row["discount_cents"]
        for row in rig.query(own, "SELECT business_date, discount_cents FROM serving.speed_daily")
    }
    sent: dict[str, int | None] = {}
    for record in sorted(rig.visible(own, "daily-order-aggregates"), key=lambda record: record.offset):
        assert record.key
        assert record.value
        document = json.loads(record.value)
        if "discount_cents" in document:
            sent[record.key.decode()] = document["discount_cents"]
    assert sent == {day: days[day] for day in (f"{HALF}", f"{AFTER}")}
    assert (sent[f"{HALF}"], sent[f"{AFTER}"]) == (None, discount(each for each in NEW if each.moment.date() == AFTER))


def rebuild(copy: Path, own: Settings, since: date, *more: str) -> dict[str, Any]:
    text = declared.run(copy, own, "-m", "tandem", "stream", "rebuild", "--from", f"{since}", "--json", *more)
    result: dict[str, Any] = json.loads(text)
    return result


def test_what_was_not_kept_is_null_everywhere_until_a_rebuild_fills_it(own_database: Settings, tmp_path: Path) -> None:
    own = own_database
    send(own, OLD)
    rig.run_to_end(own)
    copy = changed_copy(tmp_path)
    unaware = rig.start_worker(own)  # it would go on without the new measures
    rig.wait_for(lambda: rig.is_owner(own, unaware), "the worker to own the partitions")
    declared.migrate(copy, own)
    assert_only_these_are_kept(own, lambda _: False)
    read = rig.positions(own)
    send(own, NEW)
    try:
        rig.wait_for(lambda: unaware.poll() is not None, "the worker to end")
    finally:
        unaware.kill()
        said = "".join(unaware.communicate())
        assert "the tables are for other KPIs" in said, said
    assert rig.positions(own) == read
    declared.work(copy, own)

    assert_only_these_are_kept(own, lambda period: isinstance(period, date) and period >= AFTER)
    after = [each for each in NEW if each.moment.date() == AFTER]
    assert values(own, "speed_daily", AFTER) == values(own, "order_days", AFTER) == [discount(after)]
    assert values(own, "speed_daily_measures", AFTER, "failed_payments") == [failed(after)] == [1]
    assert sum(values(own, "speed_order_hours", AFTER)) == discount(after)
    assert sum(values(own, "speed_product_hours", AFTER)) == of_lines(after)
    assert sum(values(own, "top_products", AFTER)) == of_lines(after)
    assert values(own, "region_series", AFTER, "least_cents") == [250, 596, 793]
    [day] = rig.query(own, f"SELECT reason, order_count FROM serving.daily WHERE business_date = '{HALF}'")
    assert day["order_count"] == 3
    assert "the stream did not keep discount_cents, failed_payments then, which was declared later" in day["reason"]
    for layer in ("speed", "serving"):
        found = declared.run(copy, own, "-m", "tandem", "kpi", "--date", f"{HALF}", "--layer", layer, "--json")
        assert json.loads(found)["metrics"]["discount_cents"] is None
        assert "did not keep" in json.loads(found)["reason"]
    assert_topics_are_the_tables(own)

    assert rebuild(copy, own, HALF, "--swap")["not_kept"] == ["discount_cents", "failed_payments", "least_cents"]
    assert_only_these_are_kept(own, lambda period: period is None or (isinstance(period, date) and period >= HALF))
    on_half = [each for each in OLD + NEW if each.moment.date() == HALF]
    assert values(own, "speed_daily", HALF) == [discount(on_half)]
    assert values(own, "speed_daily_measures", HALF, "failed_payments") == [failed(on_half)]
    products = rig.query(own, "SELECT product_id, discount_cents FROM serving.product_metrics")
    assert {row["product_id"]: row["discount_cents"] for row in products} == {
        product: of_lines(each for each in OLD + NEW if each.product == product) for product in "pqr"
    }

    declared.work(copy, own)  # sends what the swap left to be sent
    assert rebuild(copy, own, PAID_ONLY, "--swap")["swapped"] is True
    assert_only_these_are_kept(own, lambda _: True)
    [month] = rig.query(own, "SELECT discount_cents FROM serving.speed_monthly")
    assert month == {"discount_cents": discount(OLD + NEW)}
    assert values(own, "speed_daily_measures", PAID_ONLY, "failed_payments") == [1]
    again = rebuild(copy, own, PAID_ONLY)
    assert (again["equal"], again["not_kept"]) == (True, [])
