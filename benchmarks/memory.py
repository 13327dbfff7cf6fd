"""Resident memory of a speed worker against the number of customers it has seen.

    python -m benchmarks.memory [--customers N] [--json]

Every order is of another customer, the worst there is for what is remembered per customer (sessions, totals) and per
event (the ids to dedupe by). A durable Postgres is started for the run in a folder of its own; Kafka is left out: the
orders come from this process. Figures are one machine's; the shape travels.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import psutil

from stream import memory, sink
from stream.process import process
from stream.types import Records, Rules
from tandem import database
from tandem.local import postgres
from tandem.local import process as programs
from tandem.settings import Settings

START = datetime(2026, 11, 1, tzinfo=UTC)
PARTITIONS, AT_ONCE, EVENTS_A_SECOND = 12, 20_000, 1_000
LATE_IN_2096_MS = 4_000_000_000_000


def records(first: int) -> Records:
    """The next orders, each of a customer of their own."""
    numbers = range(first, first + AT_ONCE)
    partitions = [number * PARTITIONS // AT_ONCE % PARTITIONS for number in numbers]
    per_partition = AT_ONCE // PARTITIONS + 1
    offsets = [first // AT_ONCE * per_partition + number % AT_ONCE % per_partition for number in numbers]
    return Records(partitions, offsets, [LATE_IN_2096_MS] * AT_ONCE, [None] * AT_ONCE, [*map(_value, numbers)])


def _value(number: int) -> bytes:
    item = {"product_id": f"p{number % 5_000}", "category": f"category {number % 40}", "quantity": 1, "amount": "9.99"}
    return msgspec.json.encode(
        {
            "event_id": f"event-{number:012}",
            "event_type": "order_created",
            "event_time": (START + timedelta(seconds=number / EVENTS_A_SECOND)).isoformat(),
            "order_id": f"order-{number:012}",
            "customer_id": f"customer-{number:012}",
            "total_amount": "9.99",
            "items": [item],
        }
    )


@contextmanager
def database_of_its_own() -> Iterator[Settings]:
    """A Postgres with empty tables."""
    folder = Path(tempfile.mkdtemp(prefix="tandem-benchmark-"))
    folder.chmod(0o711)  # root lets another user run Postgres, who must get through
    with socket.create_server(("127.0.0.1", 0)) as opened:
        port = opened.getsockname()[1]
    settings = Settings(state_dir=folder, postgres_port=port)
    try:
        postgres.start(settings)
        yield settings
    finally:
        programs.stop(settings, postgres.NAME)
        postgres.delete_data(settings)
        shutil.rmtree(folder, ignore_errors=True)


def measure(settings: Settings, customers: int) -> Iterator[dict[str, float]]:
    """A row at the start and after every tenth of the customers."""
    rules, own = Rules.of(settings), psutil.Process()
    writer = sink.connect(settings)
    reader = database.connect(settings, database.SPEED, autocommit=True, options="-c TimeZone=UTC")
    memories = {partition: memory.Memory() for partition in range(PARTITIONS)}
    process(records(0), {partition: memory.Memory() for partition in range(PARTITIONS)}, rules)  # warms up
    started = time.perf_counter()
    step = max(customers // 10 // AT_ONCE, 1) * AT_ONCE
    for seen in range(0, customers + 1, AT_ONCE):
        if seen % step == 0:
            held = sum(len(of.states["sessions"]) + len(of.customers) for of in memories.values())
            yield {
                "customers": seen,
                "resident_mb": round(own.memory_info().rss / 1e6),
                "ids_to_dedupe_by": sum(len(of.ids.accepted) for of in memories.values()),
                "rows_held": held,
                "seconds": round(time.perf_counter() - started, 1),
            }
        batch = process(records(seen), memories, rules, reader)
        sink.commit(writer, sink.Writes([], batch.emitted.frames))
    writer.close()
    reader.close()


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=1_000_000, help="how many (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print a JSON object per line")
    arguments = parser.parse_args()
    with database_of_its_own() as settings:
        for row in measure(settings, arguments.customers):
            line = json.dumps(row) if arguments.json else "  ".join(f"{name} {of:>12,}" for name, of in row.items())
            print(line, flush=True)


if __name__ == "__main__":
    main()
