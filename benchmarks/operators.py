"""What each operator of the speed layer costs an event: CPU of its fold alone, over the same 20,000 orders.

    .venv/bin/python -m benchmarks.operators --json

Orders of three lines on 12 partitions, over one hour and over a day of event time: the sparser, the more cells an
event makes. The best of five counts. Operators that look up keys in Postgres are left out. Sketches are also timed at
the grain of a minute, at which they are not kept.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import polars as pl

from stream import fold, process, registry, rollups, so_far
from stream.memory import Memory
from stream.operators import Batch, Emitted, Operator
from stream.types import Records, Rules

_EVENTS, _PARTITIONS = 20_000, 12
_START = datetime(2017, 12, 22, 8, tzinfo=UTC)
_RULES = Rules(ZoneInfo("UTC"), "USD", timedelta(hours=1), timedelta(hours=24))


def _order(number: int, span: timedelta, of: random.Random) -> bytes:
    cents = [of.randrange(1, 900) for _ in range(3)]
    moment = _START + span * number / _EVENTS
    items = [
        {
            "product_id": str(of.randrange(90_000)),
            "category": f"CATEGORY {min(39, int(of.expovariate(0.15)))}",
            "quantity": 1,
            "amount": f"{c / 100:.2f}",
        }
        for c in cents
    ]
    order = {
        "event_id": f"{number:032x}",
        "event_type": "order_created",
        "event_time": moment.isoformat(),
        "order_id": f"o{number}",
        "customer_id": str(of.randrange(2_469)),
        "total_amount": f"{sum(cents) / 100:.2f}",
        "payment_method": of.choice(["card", "cash", "paypal"]),
        "region": f"r{of.randrange(10)}",
        "items": items,
    }
    return json.dumps(order).encode()


def _batch(span: timedelta) -> Batch:
    """What operators are given of the orders."""
    of = random.Random(3)
    orders = [_order(number, span, of) for number in range(_EVENTS)]
    places = [(p, number) for p in range(_PARTITIONS) for number in range(p, _EVENTS, _PARTITIONS)]
    records = Records(
        partitions=[partition for partition, _ in places],
        offsets=[number // _PARTITIONS for _, number in places],
        kafka_times_ms=[4_000_000_000_000] * _EVENTS,
        keys=[None] * _EVENTS,
        values=[orders[number] for _, number in places],
    )
    kept: list[Batch] = []

    class Keeps:
        name, tables = "panes", ()

        def fold(self, batch: Batch, states: Any, rules: Rules) -> Emitted:
            kept.append(batch)
            return Emitted()

    with patch.object(process, "OPERATORS", (Keeps(),)):
        process.process(records, {p: Memory() for p in range(_PARTITIONS)}, _RULES)
    return kept[0]


def _best_us(run: Callable[[], Any]) -> float:
    taken = []
    for _ in range(5):
        began = time.process_time()
        run()
        taken.append(time.process_time() - began)
    return round(min(taken) / _EVENTS * 1e6, 2)


def measure(span: timedelta) -> dict[str, Any]:
    """CPU microseconds an event of every operator, and rows an event. What has a memory starts with an empty one."""
    batch = _batch(span)
    found: dict[str, Any] = {"counted": batch.events.height}
    for operator in registry.OPERATORS:
        rows = sum(frame.height for frame in _fold(operator, batch).frames.values())
        cost = _best_us(partial(_fold, operator, batch))
        found[operator.name] = {"cpu_us": cost, "rows": round(rows / _EVENTS, 2)}
    found["customers"] = {"cpu_us": _best_us(partial(_customers, batch)), "rows": 0}
    for grain in ("hour", "minute"):
        found[f"sketches of a {grain}"] = _sketches(batch, grain)
    return found


def _fold(operator: Operator, batch: Batch) -> Emitted:
    return operator.fold(batch, {partition: operator.empty() for partition in range(_PARTITIONS)}, _RULES)


def _customers(batch: Batch) -> Any:
    """What customers came to before, which is found once for all operators."""
    return so_far.totals({partition: so_far.nobody() for partition in range(_PARTITIONS)}, batch.events, None)


def _sketches(batch: Batch, grain: str) -> dict[str, float]:
    finer = replace(batch, events=batch.events.with_columns(hour_start=pl.col(fold.PANE_STARTS[grain])))
    rows = rollups.sketch_rows(finer)
    cost = _best_us(partial(rollups.sketch_rows, finer))
    size = rows["sketch"].bin.size().sum()
    return {"cpu_us": cost, "rows": round(rows.height / _EVENTS, 2), "bytes": round(int(size) / _EVENTS, 1)}


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    arguments = parser.parse_args()
    found = {"one hour": measure(timedelta(hours=1)), "a day": measure(timedelta(days=1))}
    if arguments.json:
        print(json.dumps(found))
        return
    for span, costs in found.items():
        for name, figures in costs.items():
            print(f"{span:>9}  {name:<22} {figures}")


if __name__ == "__main__":
    main()
