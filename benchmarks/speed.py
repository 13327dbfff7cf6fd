"""Events a second of the speed layer, against its own ceiling and against its peers, in the same run.

    python -m benchmarks.speed [--quick] [--events N] [--customers-per-household N] [--only NAME ...] [--chart FILE]
                               [--json]

Real Kafka with 12 partitions and a durable Postgres, started for the run in a folder of their own; the same orders for
all (benchmarks/orders.py). Rates leave out start and warm-up, but for Flink SQL's, which has no place to look at in
between; slow peers read fewer orders. The whole pipeline counts as done when all is committed and settled. Figures are
one machine's; the ratios travel. The ratio to Kafka Streams is per core: events per second of CPU.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import ours
from benchmarks.chart import draw
from benchmarks.orders import CUSTOMERS_PER_HOUSEHOLD, feed
from benchmarks.peers import environments, measure
from benchmarks.place import Rate, installation, machine
from tandem.logs import configure_logging
from tandem.settings import Settings

TARGETS = {"ceiling": 0.6, "hand_written_consumer": 5, "quix": 6, "flink_sql": 4, "kafka_streams": 2}
"""What each ratio is to be, at least."""
PEERS: dict[str, tuple[Callable[[Settings, int], Rate], int, int]] = {
    "hand_written_consumer": (measure.hand_written, 60_000, 500_000),
    "quix": (measure.quix, 40_000, 300_000),
    "flink_sql": (measure.flink_sql, 10**9, 10**9),
    "kafka_streams": (measure.kafka_streams_in_memory, 200_000, 1_000_000),
    "kafka_streams_rocksdb": (measure.kafka_streams_rocksdb, 0, 1_000_000),
}
"""How each is measured, and over how many orders at most: quick, and in full. 0: not at all."""
QUICK, FULL = 300_000, 5_000_000
PACKAGES = ("confluent-kafka", "duckdb", "polars", "pyarrow", "msgspec", "psycopg")


def measure_all(events: int, names: list[str], *, quick: bool, per_household: int) -> dict[str, Any]:
    """The figures of one run."""
    skipped: dict[str, str] = {}
    rates: dict[str, Rate] = {}
    with installation() as settings:
        say(f"feeding {events:,} orders")
        size = feed(settings, events, per_household)
        own = {"ceiling": (ours.ceiling, events), "tandem": (ours.pipeline, events)}
        peers = {name: (PEERS[name][0], min(events, PEERS[name][1 if quick else 2])) for name in names}
        written: dict[str, int] = {}
        for name, (run, count) in (own | peers).items():
            if not count:
                continue
            try:
                rates[name] = run(settings, count)
                say(f"{name}: {rates[name].per_second:,.0f} events/s, {rates[name].cpu_us:.1f} µs of CPU an event")
            except (environments.NotInstalledError, measure.FailedError) as error:
                skipped[name] = str(error)
                say(str(error))
            if name == "tandem":
                written = ours.rows_written(settings)
    return {
        "ratios": ratios(rates),
        "targets": TARGETS,
        "rates": {name: rate.figures() for name, rate in rates.items()},
        "skipped": skipped,
        "events": events,
        "customers_per_household": per_household,
        "bytes_per_event": round(size / events),
        "rows_written_per_event": {name: round(rows / events, 4) for name, rows in sorted(written.items()) if rows},
        "machine": machine(),
        "versions": {name: version(name) for name in PACKAGES} | environments.PEERS,
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def ratios(rates: dict[str, Rate]) -> dict[str, float]:
    """The speed layer's rate over each other's; for Kafka Streams, both per second of CPU."""
    mine = rates["tandem"]
    found = {name: mine.per_second / rate.per_second for name, rate in rates.items() if name != "tandem"}
    per_core = {name: rates[name].cpu_us / mine.cpu_us for name in found if name.startswith("kafka_streams")}
    return {name: round(ratio, 3) for name, ratio in (found | per_core).items()}


def say(progress: str) -> None:
    """Progress goes to stderr: the figures may be JSON."""
    print(f"benchmark: {progress}", file=sys.stderr, flush=True)


def show(figures: dict[str, Any]) -> None:
    """Print the figures for people."""
    print(f"{'':>24} {'events/s':>10} {'CPU µs/event':>13} {'ratio':>8} {'wanted':>7}")
    for name, rate in figures["rates"].items():
        ratio = figures["ratios"].get(name, "")
        wanted = figures["targets"].get(name, "")
        print(f"{name:>24} {rate['events_per_second']:>10,} {rate['cpu_us_per_event']:>13} {ratio:>8} {wanted:>7}")
    for name, reason in figures["skipped"].items():
        print(f"{name:>24} skipped: {reason}")
    print(f"rows written per event: {round(sum(figures['rows_written_per_event'].values()), 2)}")


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} orders, fewer for slow peers: minutes")
    parser.add_argument("--events", type=int, help=f"how many orders (default: {FULL:,})")
    parser.add_argument(
        "--customers-per-household",
        type=int,
        default=CUSTOMERS_PER_HOUSEHOLD,
        metavar="N",
        help="each of the data set's 2,469 households stands for N customers (default: %(default)s)",
    )
    parser.add_argument("--only", nargs="*", choices=PEERS, default=list(PEERS), help="peers (default: all)")
    parser.add_argument("--chart", type=Path, help="draw the rates into this SVG or PNG")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    configure_logging(logging.WARNING)
    events = arguments.events or (QUICK if arguments.quick else FULL)
    figures = measure_all(
        events, arguments.only, quick=arguments.quick, per_household=arguments.customers_per_household
    )
    if arguments.chart:
        draw(figures["rates"], arguments.chart)
    if arguments.json:
        print(json.dumps(figures))
    else:
        show(figures)


if __name__ == "__main__":
    main()
