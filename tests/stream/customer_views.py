"""The views on products, customers and sessions, held against books kept by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import customer_books as books
import pytest
import speed_rig as rig

from tandem.settings import Settings


def assert_views_are_those_of(settings: Settings, wanted: books.CustomerBooks) -> None:
    found = rig.query(settings, "SELECT * FROM serving.customer_sessions ORDER BY customer_id, session_start")
    without = [{name: row[name] for name in row if name not in ("status", "category_count")} for row in found]
    assert without == sorted(wanted.sessions(), key=lambda row: (row["customer_id"], row["session_start"]))
    assert all(row["category_count"] == len(row["categories"]) for row in found)
    customers = {row["customer_id"]: row for row in rig.query(settings, "SELECT * FROM serving.customer_metrics")}
    assert {
        name: {
            "orders": row["order_count"],
            "revenue": row["revenue_cents"],
            "net": row["net_revenue_cents"],
            "first": row["first_order_time"],
            "last": row["last_order_time"],
        }
        for name, row in customers.items()
    } == wanted.customers
    for name, row in customers.items():
        count = row["order_count"]
        assert row["avg_order_value_cents"] == (books.half_up(row["revenue_cents"], count) if count else None)
        span = (wanted.customers[name]["last"] - wanted.customers[name]["first"]) / timedelta(days=1) if count else 0
        days = row["days_between_orders"]
        assert days is None if count < 2 else float(days) == pytest.approx(span / (count - 1), abs=1e-4)
        assert row["is_high_value"] == (row["revenue_cents"] > settings.high_value_cents)
    assert {
        row["product_id"]: {
            "orders": row["order_count"],
            "units": row["units"],
            "revenue": row["revenue_cents"],
            "net": row["net_revenue_cents"],
            "last": row["last_order_time"],
        }
        for row in rig.query(settings, "SELECT * FROM serving.product_metrics")
    } == wanted.products
    averages = rig.query(settings, "SELECT * FROM serving.customer_moving_average")
    windows = {
        (row["customer_id"], row["window_start"]): (row["order_count"], row["revenue_cents"]) for row in averages
    }
    assert windows == kept_windows(settings, wanted)
    assert all(
        row["avg_order_value_cents"] == books.half_up(row["revenue_cents"], row["order_count"]) for row in averages
    )
    assert_final_is_what_cannot_change(settings, wanted, found, averages)


def watermarks(settings: Settings) -> dict[int, datetime]:
    rows = rig.query(settings, "SELECT partition, watermark FROM speed.partitions WHERE watermark IS NOT NULL")
    return {row["partition"]: row["watermark"] for row in rows}


def kept_windows(settings: Settings, wanted: books.CustomerBooks) -> dict[tuple[str, datetime], tuple[int, int]]:
    """Windows of which no minute has expired."""
    bounds = {
        partition: watermark.replace(minute=0, second=0, microsecond=0) - settings.moving_average_retention
        for partition, watermark in watermarks(settings).items()
    }
    return {key: of for key, of in wanted.windows().items() if key[1] >= bounds[wanted.partitions[key[0]]]}


def assert_final_is_what_cannot_change(
    settings: Settings, wanted: books.CustomerBooks, found: list[dict[str, Any]], averages: list[dict[str, Any]]
) -> None:
    earliest = {partition: mark - timedelta(hours=1) for partition, mark in watermarks(settings).items()}
    for row in found:
        may_change = earliest[wanted.partitions[row["customer_id"]]] - row["session_end"] < books.GAP
        assert row["status"] == ("early" if may_change else "final")
    for row in averages:
        may_change = earliest[wanted.partitions[row["customer_id"]]] < row["window_end"]
        assert row["status"] == ("early" if may_change else "final")


def assert_announced(wanted: books.CustomerBooks, messages: Iterable[tuple[bytes, bytes]]) -> None:
    """Key and value of every message, each once."""
    values = [(key.decode(), json.loads(value)) for key, value in messages]
    found = {key: (value["order_id"], value["revenue_cents"], value["order_count"]) for key, value in values}
    assert len(values) == len(found), "a customer is announced once"
    assert found == wanted.crossed
    assert all(value["customer_id"] == key and value["threshold_cents"] == wanted.threshold for key, value in values)
