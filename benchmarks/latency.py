"""From an event produced to its KPI visible in Postgres: p50 and p99 by load, as shares of the highest rate.

    python -m benchmarks.latency [--quick] [--rate N ...] [--chart FILE] [--json]

The highest rate is that of a worker with a backlog, in the same run. A reader looks every 10 ms at the offsets that are
committed together with the figures; an event counts from the call that produces it. With --rate: at so many events a
second instead, one rate after the other, and how many rows are left that small micro-batches make many of.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import KafkaError, Message

from benchmarks.chart import draw_latency
from benchmarks.orders import feed, orders, producer
from benchmarks.place import installation, machine
from benchmarks.watch import Seen, watching, worker
from tandem import database
from tandem.logs import configure_logging
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
_SAMPLE = 10
"""One event of so many is timed."""
_TICK_S = 0.01


def measure(backlog: int, seconds: float, shares: Iterable[float]) -> dict[str, Any]:
    """The figures of one run."""
    with installation() as settings:
        feed(settings, backlog)
        with watching(settings) as seen, worker(settings):
            ended_s = seen.wait_for(backlog)
            highest = _rate(seen.total, ended_s)
            points, first = [], backlog
            for share in shares:
                sent, latencies = _at_rate(settings, seen, first, share * highest, seconds)
                first += sent
                points.append({"share": share} | _point(sent / seconds, latencies))
    half = next((point for point in points if point["share"] == 0.5), None)
    return {"highest_events_per_second": round(highest), "at_half": half, "curve": points, "machine": machine()}


def measure_rates(rates: Iterable[float], seconds: float) -> dict[str, Any]:
    """The figures at rates in events a second, of a worker without a backlog."""
    with installation() as settings, watching(settings) as seen, worker(settings):
        points: list[dict[str, float]] = []
        first = 0
        for rate in rates:
            sent, latencies = _at_rate(settings, seen, first, rate, seconds)
            first += sent
            points.append(_point(sent / seconds, latencies) | _left(settings))
    return {"rates": points, "seconds": seconds, "machine": machine()}


def _left(settings: Settings) -> dict[str, int]:
    with database.connect(settings, database.READER) as reader:
        return {
            table: reader.execute(f"SELECT count(*) FROM speed.{table}").fetchall()[0][0]  # noqa: S608 - our own names
            for table in ("journal", "sketches")
        }


def _rate(total: list[tuple[float, int]], ended_s: float) -> float:
    """Offsets a second after the first micro-batch."""
    started_s, before = next(step for step in total if step[1] > 0)
    return (total[-1][1] - before) / (ended_s - started_s)


def _at_rate(settings: Settings, seen: Seen, first: int, rate: float, seconds: float) -> tuple[int, list[float]]:
    """Produce evenly for so long; returns how many, and the latencies of a sample in seconds."""
    sender, timed = producer(settings), []
    sender_topic = settings.topic(ORDER_EVENTS)
    wanted = list(orders(int(rate * seconds), first=first))
    sent, started_s = 0, time.monotonic()
    while sent < len(wanted):
        due = min(len(wanted), int((time.monotonic() - started_s + _TICK_S) * rate))
        for key, value in wanted[sent:due]:
            sent += 1
            if sent % _SAMPLE:
                sender.produce(sender_topic, value, key)
                continue

            def note(error: KafkaError | None, message: Message, at_s: float = time.monotonic()) -> None:
                if error is None:
                    timed.append((message.partition(), message.offset(), at_s))

            sender.produce(sender_topic, value, key, on_delivery=note)
        sender.poll(0)
        time.sleep(_TICK_S)
    sender.flush()
    seen.wait_for(first + sent)
    return sent, [_visible_s(seen, partition, offset) - at_s for partition, offset, at_s in timed]


def _visible_s(seen: Seen, partition: int, offset: int) -> float:
    """When the reader first saw a later offset committed."""
    steps = seen.by_partition[partition]
    return steps[bisect_right(steps, offset, key=lambda step: step[1])][0]


def _point(rate: float, latencies: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(latencies, [50, 99]) * 1000
    return {"events_per_second": round(rate), "p50_ms": round(p50, 1), "p99_ms": round(p99, 1)}


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one load instead of a curve, and for a shorter time")
    parser.add_argument("--rate", type=float, nargs="+", help="events a second, instead of shares of the highest rate")
    parser.add_argument("--chart", type=Path, help="draw the curve into this SVG or PNG")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    configure_logging(logging.WARNING)
    if arguments.rate:
        print(json.dumps(measure_rates(arguments.rate, 8 if arguments.quick else 30)))
        return
    figures = measure(100_000, 8, (0.5,)) if arguments.quick else measure(300_000, 15, SHARES)
    if arguments.chart:
        draw_latency(figures["curve"], arguments.chart)
    if arguments.json:
        print(json.dumps(figures))
        return
    print(f"highest rate: {figures['highest_events_per_second']:,} events/s")
    for point in figures["curve"]:
        rate = f"{point['events_per_second']:,}"
        print(f"{point['share']:>6.0%} {rate:>9} events/s   p50 {point['p50_ms']:,} ms   p99 {point['p99_ms']:,} ms")


if __name__ == "__main__":
    main()
