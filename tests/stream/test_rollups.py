"""Roll-ups against plain Python, for any log and any cut into micro-batches."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import datasketches
import orders
import payload_oracle as oracle
from day_book import hour_of, minute_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_stream_process import RULES, ZONE, part_of

from stream.memory import Memory
from stream.process import process
from stream.rollups import PANES, SKETCH_ROWS
from tandem.rollups import ROLLUPS, SKETCH_LOG_SIZE

START = datetime(2017, 12, 22, 20, tzinfo=UTC)
MOMENTS = st.integers(0, 50).map(lambda minutes: START + timedelta(minutes=minutes))
METHODS = st.sampled_from([{}, {"payment_method": "card"}, {"payment_method": "cash"}, {"payment_method": ""}])
REGIONS = st.sampled_from([{}, {"region": "north"}, {"region": "south"}])
PAYLOADS = st.builds(
    lambda payload, method, region: payload | method | region,
    orders.events_at(MOMENTS, st.uuids().map(str)),
    METHODS,
    REGIONS,
)
Cell = tuple[object, ...]


def money_by_hand(events: list[oracle.Event]) -> dict[str, dict[Cell, tuple[int, int, int, int]]]:
    """Orders, sum, smallest and largest by roll-up and cell."""
    seen: dict[str, dict[Cell, list[tuple[str, int]]]] = {rollup.name: defaultdict(list) for rollup in ROLLUPS}
    for number, event in enumerate(events):
        if event.texts["event_type"] != "order_created":
            continue
        assert event.event_time is not None
        assert event.total_cents is not None
        minute = minute_of(event.event_time)
        for item in event.items:
            seen["category_minutes"][minute, item.category].append((str(number), item.amount_cents or 0))
        for name in ("payment_method", "region"):
            seen[f"{name}_minutes"][minute, event.texts[name] or "unknown"].append((str(number), event.total_cents))
    return {
        rollup: {
            cell: (
                len({order for order, _ in rows}),
                sum(c for _, c in rows),
                min(c for _, c in rows),
                max(c for _, c in rows),
            )
            for cell, rows in cells.items()
        }
        for rollup, cells in seen.items()
    }


def values_by_hand(events: list[oracle.Event]) -> dict[tuple[str, str, Cell], set[str]]:
    """Different customers and products by roll-up and cell of an hour."""
    seen: dict[tuple[str, str, Cell], set[str]] = defaultdict(set)
    for event in events:
        if event.texts["event_type"] != "order_created":
            continue
        assert event.event_time is not None
        hour = hour_of(event.event_time, ZONE)
        customer = event.texts["customer_id"]
        assert customer is not None
        for item in event.items:
            assert item.product_id is not None
            keys = {"category": item.category} | {n: event.texts[n] or "unknown" for n in ("payment_method", "region")}
            for name, key in keys.items():
                seen["customers", f"{name}_minutes", (hour, key)].add(customer)
                seen["products", f"{name}_minutes", (hour, key)].add(item.product_id)
    return seen


@settings(max_examples=40, deadline=None)
@given(st.lists(PAYLOADS, max_size=20), st.data())
def test_rollups_are_those_added_up_by_hand_whatever_the_cuts(
    payloads: list[dict[str, Any]], data: st.DataObject
) -> None:
    values: list[bytes | None] = [orders.encode(payload) for payload in payloads]
    records = orders.records(values, [data.draw(st.integers(0, 1)) for _ in values])
    memories = {0: Memory(), 1: Memory()}
    money: dict[str, dict[Cell, list[tuple[int, int, int, int]]]] = {r.name: defaultdict(list) for r in ROLLUPS}
    unions: dict[tuple[str, str, Cell], datasketches.theta_union] = defaultdict(
        lambda: datasketches.theta_union(SKETCH_LOG_SIZE)
    )
    done, end = {0: 0, 1: 0}, {p: records.partitions.count(p) for p in (0, 1)}
    while done != end:
        upto = {p: data.draw(st.integers(done[p], end[p])) for p in done}
        if not len(part := part_of(records, done, upto)):
            continue
        done = upto
        frames = process(part, memories, RULES).emitted.frames
        for rollup in ROLLUPS:
            for row in frames[PANES[rollup.name]].iter_rows(named=True):
                cell = (row["pane_start"], row[rollup.key])
                numbers = [row[name] for name in ("order_count", "revenue_cents", "smallest_cents", "largest_cents")]
                money[rollup.name][cell].append(tuple(numbers))
        for row in frames[SKETCH_ROWS].iter_rows(named=True):
            part_sketch = datasketches.compact_theta_sketch.deserialize(row["sketch"])
            unions[row["counted"], row["rollup"], (row["cell_start"], row["key"])].update(part_sketch)
    events = [oracle.read(value) for value in records.values]
    added = {
        name: {
            c: (sum(n for n, *_ in p), sum(s for _, s, *_ in p), min(x[2] for x in p), max(x[3] for x in p))
            for c, p in cells.items()
        }
        for name, cells in money.items()
    }
    assert added == money_by_hand(events)
    estimates = {cell: round(union.get_result().get_estimate()) for cell, union in unions.items()}
    assert estimates == {cell: len(values) for cell, values in values_by_hand(events).items()}
