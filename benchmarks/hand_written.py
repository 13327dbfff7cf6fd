"""The consumer that one would write by hand, to compare with: a dict per result, upserts, then the commit.

    python -m benchmarks.hand_written --brokers B --topic T --events N     # Postgres from PGHOST, PGPASSWORD and so on

It keeps the same daily, hourly and product results as the speed layer, skips repeated ids, and writes every 10,000
events. What it does not do: journal, quarantine, checks beyond the amount, late events, sessions and averages,
exactly-once (after a crash it counts again what was written and not yet committed to Kafka).
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import orjson
import psycopg
from confluent_kafka import Consumer

AT_ONCE = 10_000
TABLES = {
    "days": "day text, orders bigint, cents bigint, units bigint, PRIMARY KEY (day)",
    "hours": "hour text, orders bigint, cents bigint, units bigint, PRIMARY KEY (hour)",
    "categories": "hour text, category text, orders bigint, cents bigint, units bigint, PRIMARY KEY (hour, category)",
    "products": "hour text, product text, orders bigint, cents bigint, units bigint, PRIMARY KEY (hour, product)",
    "customers": "day text, customer text, orders bigint, cents bigint, units bigint, PRIMARY KEY (day, customer)",
}

Sums = dict[tuple[str, ...], list[int]]


def add(sums: Sums, key: tuple[str, ...], cents: int, units: int) -> None:
    """One order more under a key."""
    held = sums[key]
    held[0] += 1
    held[1] += cents
    held[2] += units


def aggregate(values: Iterable[bytes], seen: set[str]) -> dict[str, Sums]:
    """What these events add to each table."""
    added: dict[str, Sums] = {name: defaultdict(lambda: [0, 0, 0]) for name in TABLES}
    for value in values:
        order = orjson.loads(value)
        cents = round(float(order["total_amount"]) * 100)
        if order["event_type"] != "order_created" or cents <= 0 or order["event_id"] in seen:
            continue
        seen.add(order["event_id"])
        day, hour = order["event_time"][:10], order["event_time"][:13]
        units = 0
        for item in order["items"]:
            quantity, amount = item["quantity"], round(float(item["amount"]) * 100)
            units += quantity
            add(added["categories"], (hour, item["category"]), amount, quantity)
            add(added["products"], (hour, item["product_id"]), amount, quantity)
        add(added["days"], (day,), cents, units)
        add(added["hours"], (hour,), cents, units)
        add(added["customers"], (day, order["customer_id"]), cents, units)
    return added


def upsert(cursor: psycopg.Cursor[Any], table: str, sums: Sums) -> None:
    """Add to the rows of a table."""
    keys = [part.split()[0] for part in TABLES[table].split(", orders")[0].split(", ")]
    columns = ", ".join([*keys, "orders", "cents", "units"])
    places = ", ".join(["%s"] * (len(keys) + 3))
    added = ", ".join(f"{name} = held.{name} + excluded.{name}" for name in ("orders", "cents", "units"))
    statement = (
        f"INSERT INTO hand_{table} AS held ({columns}) VALUES ({places})"  # noqa: S608 - names of this file
        f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {added}"
    )
    cursor.executemany(statement, [(*key, *values) for key, values in sums.items()])


def cpu_seconds() -> float:
    """Of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def consume(consumer: Consumer, connection: psycopg.Connection[Any], events: int) -> dict[str, float]:
    """Events after the first batch, the seconds they took, and CPU seconds of this process."""
    seen: set[str] = set()
    done, first, started, used = 0, 0, 0.0, 0.0
    while done < events:
        messages = consumer.consume(AT_ONCE, 0.5)
        values = [message.value() for message in messages if message.error() is None]
        if not values:
            continue
        with connection.transaction(), connection.cursor() as cursor:
            for table, sums in aggregate(values, seen).items():
                upsert(cursor, table, sums)
        consumer.commit(asynchronous=False)
        done += len(values)
        if not first:
            first, started, used = done, time.perf_counter(), cpu_seconds()
    return {"events": done - first, "seconds": time.perf_counter() - started, "cpu_seconds": cpu_seconds() - used}


def main() -> None:
    """Make the tables, consume, print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("brokers", "topic"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--events", type=int, required=True)
    arguments = parser.parse_args()
    consumer = Consumer(
        {
            "bootstrap.servers": arguments.brokers,
            "group.id": "benchmark-hand-written",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([arguments.topic])
    with psycopg.connect(autocommit=True) as connection:
        for name, columns in TABLES.items():
            connection.execute(f"DROP TABLE IF EXISTS hand_{name}; CREATE TABLE hand_{name} ({columns})")
        figures = consume(consumer, connection, arguments.events)
    consumer.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
