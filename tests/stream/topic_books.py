"""What the output topics must hold, told by tables and quarantine: states by last value, events as sets by id."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec
import odd_values as odd
import orders
import speed_rig as rig

from tandem.settings import Settings
from tandem.topics import KPI_TOPICS, TOPICS, Holds

START = datetime(2017, 12, 23, 22, 50, tzinfo=UTC)
STATES = {topic.name: topic for topic in TOPICS if topic.holds is Holds.STATE}


def last_values(settings: Settings, topic: str) -> dict[str, Any]:
    """By key. Values are checked against the topic's schema."""
    found = {}
    for record in sorted(rig.visible(settings, topic), key=lambda record: record.offset):
        assert record.key is not None
        assert record.value is not None
        msgspec.json.decode(record.value, type=STATES[topic].message)
        found[record.key.decode()] = json.loads(record.value)
    return found


def table(settings: Settings, text: str) -> list[dict[str, Any]]:
    """Rows as JSON has them."""
    return [row["row"] for row in rig.query(settings, f"SELECT to_json(held) AS row FROM ({text}) AS held")]


def assert_states_are_the_tables(settings: Settings) -> None:
    rig.settle(settings, *STATES)
    windows = table(settings, "SELECT * FROM serving.revenue_windows")
    assert last_values(settings, "revenue-metrics") == {row["window_start"]: row for row in windows}
    trends = table(settings, "SELECT * FROM serving.hourly_trend")
    shown = last_values(settings, "hourly-trends")
    assert shown == {f"{row['cell_start']}/{row['category']}": row for row in trends}
    for topic, key in (("product-metrics", "product_id"), ("customer-metrics", "customer_id")):
        rows = table(settings, f"SELECT * FROM serving.{topic.replace('-', '_')}")
        assert last_values(settings, topic) == {row[key]: row for row in rows}
    months = table(settings, "SELECT * FROM serving.speed_monthly")
    assert last_values(settings, "monthly-order-aggregates") == {row["month"][:7]: row for row in months}
    quality = table(settings, "SELECT * FROM serving.quality_metrics")
    assert last_values(settings, "quality-metrics-reports") == {row["window_start"]: row for row in quality}
    days = [
        {name: value for name, value in row.items() if name not in {"as_of", "reason"}}
        for row in table(settings, "SELECT * FROM serving.speed_daily")
    ]
    assert len(days) >= 2
    assert last_values(settings, "daily-order-aggregates") == {row["business_date"]: row for row in days}
    for topic, kpi in KPI_TOPICS.items():
        shown = {key: value["value"] for key, value in last_values(settings, topic).items()}
        assert shown == {row["business_date"]: row[kpi] for row in days}


def shop(count: int, *, seed: int = 1) -> Iterator[rig.Outgoing]:
    """Orders of two business dates, some of them cancelled, repeated, late or not worth counting."""
    random = Random(seed)
    moment = START
    for number in range(count):
        moment += timedelta(seconds=random.randint(0, 20))
        lines = [orders.line(f"p{random.randint(0, 30)}", random.randint(100, 9_000), category=f"k{number % 4}")]
        behind = timedelta(minutes=random.choice([0] * 30 + [20, 90]))
        kind = random.choice(["order_created"] * 9 + ["order_cancelled"])
        payload = orders.order(
            f"e{seed}-{number}", moment - behind, *lines, kind=kind, customer=f"c{random.randint(0, 60)}"
        )
        value = orders.encode(payload)
        yield rig.Outgoing(value, payload["customer_id"].encode())
        if random.random() < 0.05:
            yield rig.Outgoing(value, payload["customer_id"].encode())
        if random.random() < 0.03:
            yield rig.Outgoing(random.choice(odd.MALFORMED), b"c1")
        if random.random() < 0.03:
            yield rig.Outgoing(orders.encode(payload | {"event_id": f"x{seed}-{number}", "customer_id": None}), b"c1")


def messages(settings: Settings, topic: str) -> dict[bytes, dict[str, Any]]:
    """Of an event topic by id; a copy must say the same. Values are checked against the topic's schema."""
    [declared] = [each for each in TOPICS if each.name == topic]
    found: dict[bytes, dict[str, Any]] = {}
    for record in rig.visible(settings, topic):
        assert record.value is not None
        msgspec.json.decode(record.value, type=declared.message)
        value = json.loads(record.value)
        assert found.setdefault(record.headers["message_id"], value) == value
    return found


def assert_events_are_complete(settings: Settings) -> None:
    refused = rig.query(settings, 'SELECT topic, partition, "offset", reasons FROM speed.quarantine')
    assert refused
    quarantined = {f"quarantine:{row['topic']}:{row['partition']}:{row['offset']}".encode() for row in refused}
    assert messages(settings, "quarantined-data").keys() == quarantined
    told: Counter[str] = Counter()
    for alert in messages(settings, "data-quality-alerts").values():
        told[alert["reason"]] += alert["events"]
    assert told == Counter(reason for row in refused for reason in row["reasons"])
