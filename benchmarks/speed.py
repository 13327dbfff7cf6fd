"""Events a second of the speed layer, against what reading and decoding alone reach in the same run.

    python -m benchmarks.speed [--events N] [--json]

Real Kafka and a durable Postgres, started for the run in a folder of their own. The full pipeline counts as done when
everything is committed. Figures are one machine's; the ratio travels.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from confluent_kafka import Producer

from stream import decode
from stream.session import Session
from stream.source import Position, Source
from stream.stats import StatsState
from tandem.local import kafka, postgres, process
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

START = datetime(2026, 11, 1, tzinfo=UTC)
CUSTOMERS, PRODUCTS, CATEGORIES, LINES = 50_000, 5_000, 40, 3
EVENTS_A_MINUTE = 1_000


def payloads(events: int) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each order: unique ids, event time moving on evenly, few products sold often and many seldom."""
    rng = random.Random(1)
    for number in range(events):
        cents = [rng.randint(99, 9_999) for _ in range(LINES)]
        products = [int(PRODUCTS * rng.random() ** 3) for _ in range(LINES)]
        items = [
            {
                "product_id": f"p{product}",
                "category": f"category {product % CATEGORIES}",
                "quantity": 1,
                "unit_price": f"{amount / 100:.2f}",
                "amount": f"{amount / 100:.2f}",
            }
            for product, amount in zip(products, cents, strict=True)
        ]
        customer = f"c{rng.randrange(CUSTOMERS)}"
        moment = START + timedelta(minutes=number / EVENTS_A_MINUTE)
        yield (
            customer.encode(),
            msgspec.json.encode(
                {
                    "event_id": f"event-{number:012}",
                    "event_type": "order_created",
                    "event_time": moment.isoformat().replace("+00:00", "Z"),
                    "order_id": f"order-{number:012}",
                    "customer_id": customer,
                    "total_amount": f"{sum(cents) / 100:.2f}",
                    "items": items,
                    "currency": "USD",
                    "payment_method": "card",
                    "region": f"store {number % 30}",
                    "customer_email": f"{customer}@mail.example",
                }
            ),
        )


def feed(settings: Settings, events: int) -> int:
    """Put the orders on Kafka; returns their bytes."""
    producer = Producer(
        {
            "bootstrap.servers": settings.brokers,
            "enable.idempotence": True,
            "linger.ms": 20,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 500_000,
        }
    )
    size = 0
    for number, (key, value) in enumerate(payloads(events)):
        producer.produce(settings.topic(ORDER_EVENTS), value, key)
        size += len(value)
        if number % 10_000 == 0:
            producer.poll(0)
    producer.flush()
    return size


def ceiling(settings: Settings, events: int) -> float:
    """Events a second where everything is read and decoded, and nothing done with it."""

    def from_the_start(positions: list[Position]) -> dict[Position, int]:
        return dict.fromkeys(positions, 0)

    own = settings.model_copy(update={"consumer_group": "benchmark-ceiling"})
    source = Source(own, from_the_start, lambda _: None)

    def step() -> int:
        polled = source.poll(own.micro_batch_max_events, own.micro_batch_linger.total_seconds())
        decode.decode(polled.orders, own.currency)
        return len(polled.orders)

    try:
        return _rate(step, events)
    finally:
        source.close()


def pipeline(settings: Settings, events: int) -> float:
    """Events a second of a worker that commits everything."""
    session = Session(settings, "benchmark", StatsState())
    try:
        return _rate(session.step, events)
    finally:
        session.close()


def _rate(step: Callable[[], int], events: int) -> float:
    """Joining the group and the first micro-batch, which warms everything up, are not measured."""
    first = 0
    while not first:
        first = step()
    started, done = time.perf_counter(), first
    while done < events:
        done += step()
    return (done - first) / (time.perf_counter() - started)


@contextmanager
def installation() -> Iterator[Settings]:
    """Kafka and Postgres of the run's own."""
    folder = Path(tempfile.mkdtemp(prefix="tandem-benchmark-"))
    folder.chmod(0o711)  # root lets another user run Postgres, who must get through
    names = ("postgres_port", "kafka_port", "kafka_controller_port")
    settings = Settings(state_dir=folder, **dict(zip(names, _free_ports(len(names)), strict=True)))  # type: ignore[arg-type]
    try:
        postgres.start(settings)
        kafka.start(settings)
        kafka.ensure_topics(settings)
        yield settings
    finally:
        for name in (kafka.NAME, postgres.NAME):
            process.stop(settings, name)
        postgres.delete_data(settings)
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def measure(events: int) -> dict[str, float]:
    """The figures of one run."""
    with installation() as settings:
        size = feed(settings, events)
        alone = ceiling(settings, events)
        full = pipeline(settings, events)
    return {
        "events": events,
        "bytes_per_event": round(size / events),
        "cpus": os.cpu_count() or 0,
        "load_before": round(os.getloadavg()[0], 1),
        "ceiling_events_per_second": round(alone),
        "events_per_second": round(full),
        "ratio": round(full / alone, 3),
    }


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=300_000, help="how many orders (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    figures = measure(arguments.events)
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:>28}: {value:,}")


if __name__ == "__main__":
    main()
