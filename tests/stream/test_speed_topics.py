"""What leaves for Kafka: state topics end on what the tables hold, event topics hold every message once by its id."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Thread
from typing import Any

import msgspec
import odd_values as odd
import orders
import pytest
import speed_rig as rig

from tandem.settings import Settings
from tandem.topics import KPI_TOPICS, TOPICS, Holds

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

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
        {name: value for name, value in row.items() if name != "as_of"}
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


def test_states_show_the_tables_when_a_worker_has_caught_up(topic_prefix: Settings) -> None:
    rig.produce(topic_prefix, shop(1_000))
    rig.run_to_end(topic_prefix)
    assert_states_are_the_tables(topic_prefix)
    rig.produce(topic_prefix, shop(1_500, seed=1))
    rig.run_to_end(topic_prefix)
    assert_states_are_the_tables(topic_prefix)


def test_a_state_is_shown_at_the_cadence_and_not_once_per_event(topic_prefix: Settings) -> None:
    rig.produce(topic_prefix, shop(2_000))
    rig.run_to_end(topic_prefix.model_copy(update={"micro_batch_max_events": 50}))
    shown = rig.visible(topic_prefix, "daily-order-aggregates")
    assert 2 <= len(shown) < 20


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


def test_workers_killed_at_random_moments_leave_no_topic_behind_the_tables(topic_prefix: Settings) -> None:
    random = Random(11)
    quick = topic_prefix.model_copy(
        update={"micro_batch_max_events": 300, "early_results_every": timedelta(seconds=0.3)}
    )
    feeding = Thread(target=rig.produce, args=(quick, shop(12_000)))
    feeding.start()
    workers = [rig.start_worker(quick), rig.start_worker(quick)]
    try:
        for kill in range(6):
            time.sleep(random.uniform(0.5, 4))
            workers[kill % 2].kill()
            workers[kill % 2].communicate()
            workers[kill % 2] = rig.start_worker(quick)
        feeding.join()
        rig.wait_for(lambda: rig.is_caught_up(quick), "the last to finish")
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    rig.run_to_end(quick)
    rig.assert_books_are_exact(quick)
    assert_states_are_the_tables(quick)
    assert_events_are_complete(quick)


def test_what_a_dead_worker_did_not_send_its_successor_finds_in_the_journal(topic_prefix: Settings) -> None:
    never = topic_prefix.model_copy(update={"early_results_every": timedelta(hours=1)})
    rig.produce(never, shop(2_000))
    worker = rig.start_worker(never)
    try:
        rig.wait_for(lambda: rig.is_caught_up(never), "the worker to count everything")
    finally:
        worker.kill()
        worker.communicate()
    assert all(last_values(never, topic) == {} for topic in STATES)
    rig.run_to_end(never)
    assert_states_are_the_tables(never)


def test_a_paused_worker_does_not_put_an_old_value_behind_a_newer_one(topic_prefix: Settings) -> None:
    random = Random(5)
    quick = topic_prefix.model_copy(update={"early_results_every": timedelta(seconds=0.05)})
    for attempt in range(3):
        first = rig.start_worker(quick)
        try:
            rig.wait_for(lambda started=first: rig.is_owner(quick, started), "the first to work")  # type: ignore[misc]
            feeding = Thread(target=rig.produce, args=(quick, shop(3_000, seed=attempt)))
            feeding.start()
            time.sleep(random.uniform(0.3, 1))
            first.send_signal(signal.SIGSTOP)
            feeding.join()
            rig.run_to_end(quick)
            first.send_signal(signal.SIGCONT)
            time.sleep(1)
        finally:
            first.kill()
            first.communicate()
        assert_states_are_the_tables(quick)
