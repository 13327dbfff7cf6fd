"""Corrections through the real speed layer: a worker counts, reconciliation corrects, the worker applies."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from threading import Event

import pytest
from confluent_kafka import Producer

from reconciliation import cut, reconcile
from reconciliation.compare import Verdict
from stream.worker import Worker
from tandem import database, journal, serving, topics
from tandem.serving import Layer
from tandem.settings import Settings
from tests.reconciliation.books import DAY, at, execute
from tests.reconciliation.decisions import Record
from tests.reconciliation.scene import RUN, write_run

pytestmark = pytest.mark.integration
AT_ONCE = timedelta(0)


@pytest.fixture(scope="session")
def own_topics() -> tuple[topics.Topic, ...]:
    """All: the worker writes into most."""
    return topics.TOPICS


ON_TIME = [Record(0, order_id=f"o{n}", customer="alice", cents=1_000, when=at(8 + n)) for n in range(6)]
LATE = Record(0, order_id="late", customer="alice", cents=1_500, when=at(9, 30), lines=(("tea", None, 3, 1_500),))
REPEATED = Record(0, order_id="o2", event_id="again", customer="alice", cents=1_000, when=at(13, 20))


def payload(record: Record, event_id: str) -> bytes:
    items = [
        {"product_id": product, "category": category, "quantity": quantity, "amount": f"{cents / 100:.2f}"}
        for product, category, quantity, cents in record.lines
    ]
    event = {
        "event_id": event_id,
        "event_type": record.event_type,
        "event_time": record.when.isoformat(),
        "order_id": record.order_id,
        "customer_id": record.customer,
        "total_amount": f"{record.cents / 100:.2f}",
        "items": items,
    }
    return json.dumps(event).encode()


def produce(settings: Settings, log: list[Record]) -> None:
    producer = Producer({"bootstrap.servers": settings.brokers, "enable.idempotence": True})
    for number, record in enumerate(log):
        value = payload(record, record.event_id or f"event-{number}")
        producer.produce(settings.topic(topics.ORDER_EVENTS), value, record.customer, partition=5)
    assert producer.flush(60) == 0


def work(settings: Settings) -> None:
    Worker(settings, Event()).run(until_caught_up=True)


def as_batch_sees_it(settings: Settings, log: list[Record]) -> list[Record]:
    """The log with the offsets and decisions that the stream journalled, and what the batch layer decides instead."""
    with database.connect(settings, database.READER) as connection:
        rows = journal.read(connection, topics.ORDER_EVENTS, DAY)
    assert len(rows) == len(log)
    seen = []
    for record, row in zip(log, rows.sort("offset").iter_rows(named=True), strict=True):
        batch = "duplicate" if record.event_id == "again" else "counted"
        places = {"partition": row["partition"], "offset": row["offset"], "event_id": row["event_id"]}
        seen.append(replace(record, **places, speed=row["decision"], batch=batch))
    return seen


def test_what_the_stream_rejected_or_counted_twice_is_corrected_through_it_to_the_cent(topic_prefix, clean_database):
    settings = topic_prefix
    log = [*ON_TIME, LATE, REPEATED]
    produce(settings, log)
    work(settings)
    cut.take(settings, DAY, RUN, timeout=AT_ONCE)
    write_run(settings, as_batch_sees_it(settings, log))
    first = reconcile.run(settings, DAY, apply_timeout=AT_ONCE)
    assert first.verdict is Verdict.MISMATCH
    causes = execute(settings, "SELECT order_id, cause FROM reconciliation.discrepancies ORDER BY 1")
    assert causes == [("late", "late"), ("o2", "duplicate")]
    assert first.corrected.emitted > 0
    work(settings)
    second = reconcile.run(settings, DAY, apply_timeout=AT_ONCE)
    assert (second.verdict, second.cells_differing) == (Verdict.MATCH, 0)
    speed, batch = (serving.read(settings, DAY, layer).metrics for layer in (Layer.SPEED, Layer.BATCH))
    assert speed == batch
    assert speed["revenue_cents"] == 6 * 1_000 + 1_500
    assert execute(settings, "SELECT count(*) FROM speed.quarantine") == [(0,)]
