"""What poison among the orders costs the rest: the same orders without and with it, one after the other, in one run.

    python -m benchmarks.poison [--events N] [--poison N] [--json]

Real Kafka, durable Postgres, new ones for each of the two. The poison is spread evenly and is of nine kinds in turn.
All of it must be in quarantine afterwards and every order counted.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

from benchmarks import ours
from benchmarks.orders import orders, send
from benchmarks.place import Rate, installation, machine
from tandem import database
from tandem.logs import configure_logging
from tandem.settings import Settings

_DEEP = 100_000
_MEGABYTE = 900_000
"""As much as fits into a message where the broker keeps its defaults."""
KINDS: dict[str, Callable[[bytes], bytes]] = {
    "binary": lambda order: bytes(range(256)) + order[::-1],
    "truncated": lambda order: order[: len(order) // 2],
    "wrong types": lambda order: order.replace(b'"total_amount":"', b'"total_amount":{"cents":"', 1) + b"}",
    "wrong types that are JSON": lambda order: order.replace(b'"order_id":"', b'"order_id":[],"was":"', 1),
    "not a number": lambda order: order.replace(b'"total_amount":"', b'"total_amount":NaN,"was":"', 1),
    "a megabyte in one field": lambda order: order.replace(
        b'"customer_id":"', b'"customer_id":"' + b"x" * _MEGABYTE, 1
    ),
    "deep nesting": lambda order: order.replace(
        b'"currency":', b'"deep":' + b"[" * _DEEP + b"]" * _DEEP + b',"currency":', 1
    ),
    "another encoding": lambda order: order.decode().encode("utf-16"),
    "a name twice": lambda order: b'{"event_id":"1","event_id":"2","raw":"%b"}' % order[:20].hex().encode(),
}
"""An order → what is wrong with it."""


def mixed(events: int, poison: int) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of every record: the orders, and among them the poison."""
    kinds = cycle(KINDS.values())
    every = events / poison if poison else events + 1
    sent = 0
    for number, (key, value) in enumerate(orders(events), 1):
        yield key, value
        while sent < poison and number >= (sent + 1) * every:
            sent += 1
            yield key, next(kinds)(value)


def measure(events: int, poison: int) -> Rate:
    """Orders a second and CPU of an order, with so much poison among them. Raises AssertionError where any is lost."""
    with installation() as settings:
        send(settings, mixed(events, poison))
        whole = ours.pipeline(settings, events + poison)
        found = _decisions(settings)
        wanted = {"counted": events} | ({"quarantined": poison} if poison else {})
        if found != wanted:
            raise AssertionError(f"{found}, and not {wanted}")
        return Rate(round(whole.events * events / (events + poison)), whole.seconds, whole.cpu_seconds)


def _decisions(settings: Settings) -> dict[str, int]:
    with database.connect(settings, database.READER) as reader:
        query = "SELECT decision, sum(events)::bigint FROM speed.outcomes GROUP BY decision"
        return dict(reader.execute(query).fetchall())


def measure_both(events: int, poison: int) -> dict[str, Any]:
    """The figures of one run."""
    rates = {}
    for name, share in (("without", 0), ("with", poison)):
        rates[name] = measure(events, share)
        print(f"benchmark: {name} poison: {rates[name].per_second:,.0f} orders/s", file=sys.stderr, flush=True)
    return {
        "ratio": round(rates["with"].per_second / rates["without"].per_second, 3),
        "target": 0.5,
        "rates": {name: rate.figures() for name, rate in rates.items()},
        "poison": poison,
        "kinds": list(KINDS),
        "machine": machine(),
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000, help="orders")
    parser.add_argument("--poison", type=int, default=10_000, help="records of poison among them")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    configure_logging(logging.WARNING)
    figures = measure_both(arguments.events, arguments.poison)
    if arguments.json:
        print(json.dumps(figures))
    else:
        print(f"{figures['ratio']} of the rate without poison; at least {figures['target']} is wanted")


if __name__ == "__main__":
    main()
