"""The speed layer's views against windows added up by hand."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import orders
import pytest
import speed_rig as rig

from tandem.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

START = datetime(2017, 12, 23, 10, 57, tzinfo=UTC)
SALES = [(0, 1_000, "DELI"), (1, 2_501, "DELI"), (1, 300, "GROCERY"), (4, 700, "DELI"), (9, 50, "GROCERY")]
"""Minutes after START, cents, category."""


@pytest.fixture
def sold(topic_prefix: Settings) -> Settings:
    payloads = [
        orders.order(f"e{n}", START + timedelta(minutes=minute), orders.line("p", cents, category=category))
        for n, (minute, cents, category) in enumerate(SALES)
    ]
    late = orders.order("late", START - timedelta(hours=3), orders.line("p", 100))
    rig.produce(topic_prefix, [rig.Outgoing(orders.encode(payload), None, 0) for payload in (*payloads, late)])
    rig.run_to_end(topic_prefix)
    return topic_prefix


def test_revenue_windows_are_five_minutes_long_and_start_every_minute(sold: Settings) -> None:
    wanted: dict[datetime, list[int]] = defaultdict(list)
    for minute, cents, _ in SALES:
        for back in range(5):
            wanted[START + timedelta(minutes=minute - back)].append(cents)
    found = rig.query(sold, "SELECT * FROM serving.revenue_windows")
    assert {row["window_start"]: (row["revenue_cents"], row["order_count"]) for row in found} == {
        start: (sum(cents), len(cents)) for start, cents in wanted.items()
    }
    assert all(row["window_end"] - row["window_start"] == timedelta(minutes=5) for row in found)
    # Half a cent is rounded up.
    averages = {row["window_start"]: row["avg_order_value_cents"] for row in found}
    assert averages == {start: (2 * sum(cents) + len(cents)) // (2 * len(cents)) for start, cents in wanted.items()}


def test_the_hourly_trend_is_told_in_all_and_per_category_with_the_late_beside_it(sold: Settings) -> None:
    wanted: Counter[tuple[datetime, str]] = Counter()
    for minute, cents, category in SALES:
        hour = (START + timedelta(minutes=minute)).replace(minute=0)
        wanted[hour, ""] += cents
        wanted[hour, category] += cents
    found = rig.query(sold, "SELECT * FROM serving.hourly_trend")
    assert {
        (row["cell_start"], row["category"]): row["revenue_cents"] for row in found if row["revenue_cents"]
    } == wanted
    late = {(row["cell_start"].hour, row["category"]): row["order_count_late"] for row in found}
    assert {cell: count for cell, count in late.items() if count} == {(7, ""): 1, (7, "GROCERY"): 1}
    # Eleven partitions have said nothing yet, so no hour is final.
    assert {row["status"] for row in found} == {"early"}


def test_late_events_are_counted_by_name(sold: Settings) -> None:
    found = rig.query(sold, "SELECT decision, events FROM serving.stream_outcomes ORDER BY decision")
    assert found == [{"decision": "counted", "events": 5}, {"decision": "late", "events": 1}]
