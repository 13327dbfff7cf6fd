"""The speed layer on real Kafka and Postgres: feed it, run it, and hold its books against the log, record by record."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from threading import Event
from typing import Any

import check_oracle
import day_book
import payload_oracle as oracle
import stamina
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from log_reader import messages
from psycopg.rows import dict_row

from stream.stats import StatsState
from stream.worker import Worker
from tandem import database, journal, kafka_client
from tandem.local import process
from tandem.settings import PROJECT_ROOT, Settings
from tandem.topics import CORRECTIONS, ORDER_EVENTS


@dataclass(frozen=True)
class Outgoing:
    value: bytes | None
    key: bytes | None = None
    partition: int = -1


def produce(
    settings: Settings,
    records: Iterable[Outgoing],
    *,
    topic: str = ORDER_EVENTS,
    commit: bool = True,
    at_once: int = 500,
) -> int:
    """Send records in transactions of ``at_once``; the last is aborted where ``commit`` is false."""
    producer = kafka_client.producer(
        settings,
        {
            "transactional.id": f"{settings.topic_prefix}rig-{time.monotonic_ns()}",
            "partitioner": "murmur2_random",
            "linger.ms": 5,
        },
    )
    producer.init_transactions(60)
    count = 0
    producer.begin_transaction()
    for count, record in enumerate(records, 1):
        producer.produce(settings.topic(topic), record.value, record.key, partition=record.partition)
        if count % at_once == 0 and commit:
            producer.commit_transaction()
            producer.begin_transaction()
    producer.flush()
    producer.commit_transaction() if commit else producer.abort_transaction()
    return count


@dataclass(frozen=True)
class Visible:
    """A record as a read_committed consumer sees it."""

    partition: int
    offset: int
    time_ms: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]


@stamina.retry(on=KafkaException, timeout=300)  # a topic that was just made is not led at once
def ends(
    settings: Settings, topic: str = ORDER_EVENTS, isolation: IsolationLevel = IsolationLevel.READ_COMMITTED
) -> dict[int, int]:
    """The end of every partition."""
    admin = AdminClient({"bootstrap.servers": settings.brokers})
    name = settings.topic(topic)
    parts = [TopicPartition(name, number) for number in admin.list_topics(name, timeout=30).topics[name].partitions]
    found = admin.list_offsets(dict.fromkeys(parts, OffsetSpec.latest()), isolation_level=isolation)
    return {part.partition: future.result().offset for part, future in found.items()}


def visible(settings: Settings, topic: str = ORDER_EVENTS) -> list[Visible]:
    """Every committed record of a topic, by partition and offset."""
    found = [
        Visible(
            shown.partition(),
            shown.offset(),
            shown.timestamp()[1],
            shown.key(),
            shown.value(),
            dict(shown.headers() or []),
        )
        for shown in messages(settings, topic, ends(settings, topic))
    ]
    return sorted(found, key=lambda record: (record.partition, record.offset))


def run_to_end(settings: Settings) -> StatsState:
    """A worker in this process, until nothing is left of what was sent before."""
    settle(settings, ORDER_EVENTS, CORRECTIONS)
    return Worker(settings, Event()).run(until_caught_up=True)


def start_worker(settings: Settings, *arguments: str) -> subprocess.Popen[str]:
    """A worker as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "stream", *arguments],
        env={**os.environ, **process.environment(settings)},
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def owners(settings: Settings) -> set[str]:
    """Names of the workers that hold partitions, or held them last."""
    return {row["worker"] for row in query(settings, "SELECT DISTINCT worker FROM speed.partitions")}


def is_owner(settings: Settings, worker: subprocess.Popen[str]) -> bool:
    return any(owner.endswith(f":{worker.pid}") for owner in owners(settings))


def wait_for(met: Callable[[], bool], what: str, timeout_s: float = 400) -> None:
    limit = time.monotonic() + timeout_s
    while not met():
        assert time.monotonic() < limit, f"waited in vain for: {what}"
        time.sleep(0.05)


def query(settings: Settings, text: str, **parameters: Any) -> list[dict[str, Any]]:
    with database.connect(settings, database.READER, row_factory=dict_row, options="-c TimeZone=UTC") as reader:
        return reader.execute(text, parameters).fetchall()


def positions(settings: Settings, topic: str = ORDER_EVENTS) -> dict[int, int]:
    rows = query(settings, "SELECT partition, next_offset FROM speed.partitions WHERE topic = %(topic)s", topic=topic)
    return {row["partition"]: row["next_offset"] for row in rows}


def is_caught_up(settings: Settings) -> bool:
    return positions(settings) == ends(settings)


def settle(settings: Settings, *topics: str) -> None:
    """Wait until every partition knows how every transaction ended: a producer is answered before that."""
    for topic in topics:
        wait_for(
            lambda of=topic: ends(settings, of) == ends(settings, of, IsolationLevel.READ_UNCOMMITTED),  # type: ignore[misc]
            f"the transactions on {topic} to end",
        )


@dataclass
class Clerk:
    """Decides for one partition, one event at a time."""

    watermark: datetime | None = None

    def __post_init__(self) -> None:
        self.accepted: dict[str, datetime] = {}

    def decide(self, event_id: str, moment: datetime) -> str:
        if self.watermark:
            known = self.accepted.get(event_id)
            if known is not None and known >= self.watermark - timedelta(hours=24):
                return "duplicate"
            if moment < self.watermark - timedelta(hours=1):
                return "late"
        self.accepted[event_id] = max(moment, self.accepted.get(event_id, moment))
        self.watermark = max(moment, self.watermark or moment)
        return "counted"


@dataclass(frozen=True)
class Expected:
    """What the log comes to: per record decision and reasons, and the books of what counts."""

    decisions: dict[tuple[int, int], tuple[str, str]]
    book: day_book.DayBook


def expected(settings: Settings, log: Iterable[Visible]) -> Expected:
    clerks: dict[int, Clerk] = defaultdict(Clerk)
    decisions, book = {}, day_book.DayBook(settings.zone)
    for record in log:
        event = oracle.read(record.value)
        decision, reasons = check_oracle.verdict(typed(event, record, settings.currency))
        if decision is None:
            event_id = event.texts["event_id"]
            assert event_id is not None
            assert event.event_time is not None
            decision = clerks[record.partition].decide(event_id, event.event_time)
        if decision == "counted":
            book.book(event)
        decisions[record.partition, record.offset] = (decision, reasons)
    return Expected(decisions, book)


def typed(event: oracle.Event, record: Visible, currency: str) -> check_oracle.Row:
    kafka_time = oracle.EPOCH + timedelta(milliseconds=record.time_ms)
    ahead = event.event_time - kafka_time if event.event_time else None
    given = event.texts["currency"]
    return {
        "payload_ok": event.payload_ok,
        **event.texts,
        "event_time": event.event_time,
        "ahead_us": ahead // timedelta(microseconds=1) if ahead is not None else None,
        "total_cents": event.total_cents,
        "previous_total_cents": event.previous_total_cents,
        "item_count": len(event.items),
        "bad_item_count": sum(item.bad for item in event.items),
        "items_cents": sum(item.amount_cents or 0 for item in event.items),
        "foreign_currency": given is not None and given != currency,
    }


def assert_books_are_exact(settings: Settings) -> Expected:
    """Journal, panes, outcomes and quarantine against every visible record; segments against every offset."""
    wanted = assert_books_are_those_of(settings, visible(settings))
    assert_segments_abut(settings)
    return wanted


def assert_books_are_those_of(settings: Settings, log: Sequence[Visible]) -> Expected:
    """Journal, panes, outcomes and quarantine against every record."""
    wanted = expected(settings, log)
    with database.connect(settings, database.READER) as reader:
        rows = journal.read(reader, ORDER_EVENTS)
    assert rows.height == len(log), "every visible record is in the journal, and once"
    found = {(row["partition"], row["offset"]): (row["decision"], row["reasons"]) for row in rows.iter_rows(named=True)}
    assert found == wanted.decisions
    assert cells(settings, "order_minutes") == wanted.book.of("order_minutes")
    assert cells(settings, "product_hours", "product_id") == wanted.book.of("product_hours")
    assert cells(settings, "category_hours", "category") == wanted.book.of("category_hours")
    days = query(settings, "SELECT business_date, customer_id FROM speed.customer_days")
    customers = [(row["business_date"], row["customer_id"]) for row in days]
    assert Counter(customers) == Counter(wanted.book.customers), "each once"
    assert_counts_are_those_of(settings, customers)
    outcomes = query(
        settings, "SELECT decision, reason, sum(events)::bigint AS events FROM speed.outcomes GROUP BY 1, 2"
    )
    assert {(row["decision"], row["reason"]): row["events"] for row in outcomes} == Counter(wanted.decisions.values())
    kept = query(
        settings,
        'SELECT partition, "offset", key, value, reasons FROM speed.quarantine WHERE topic = %(t)s',
        t=ORDER_EVENTS,
    )
    refused = {at: reasons for at, (decision, reasons) in wanted.decisions.items() if decision == "quarantined"}
    assert {(row["partition"], row["offset"]): ",".join(row["reasons"]) for row in kept} == refused
    as_it_came = {(record.partition, record.offset): (record.key, record.value) for record in log}
    assert all((row["key"], row["value"]) == as_it_came[row["partition"], row["offset"]] for row in kept)
    return wanted


def assert_counts_are_those_of(settings: Settings, days: Iterable[tuple[date, str]]) -> None:
    """What readers see of how many customers dates and months have, against each date's customers."""
    wanted = {
        "date_customers": Counter(day for day, _ in set(days)),
        "month_customers": Counter(month for month, _ in {(day.replace(day=1), customer) for day, customer in days}),
    }
    for name, counts in wanted.items():
        found = query(settings, f"SELECT * FROM speed.{name}_all WHERE customers <> 0")
        assert dict(tuple(row.values()) for row in found) == counts


def assert_segments_abut(settings: Settings) -> None:
    """From offset 0 to the end, markers and aborted records included, nothing is covered twice or not at all."""
    segments: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row in query(settings, "SELECT partition, first_offset, next_offset FROM speed.journal ORDER BY 1, 2"):
        segments[row["partition"]].append((row["first_offset"], row["next_offset"]))
    for partition, end in ends(settings).items():
        reached = 0
        for first, following in segments[partition]:
            assert first == reached, f"partition {partition}: {first} does not follow {reached}"
            reached = following
        assert reached == end == positions(settings)[partition]


def cells(settings: Settings, table: str, dimension: str | None = None) -> dict[tuple[Any, ...], dict[str, int]]:
    """A pane table summed over partitions, without zeros."""
    keys = ["business_date", "pane_start", *([dimension] if dimension else [])]
    summed: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for row in query(settings, f"SELECT * FROM speed.{table}"):
        del row["partition"]
        summed[tuple(row.pop(key) for key in keys)].update(row)
    plain = {key: {name: value for name, value in cell.items() if value} for key, cell in summed.items()}
    return {key: cell for key, cell in plain.items() if cell}
