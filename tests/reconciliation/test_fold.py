"""The cells that events make are what plain Python adds up, and work done ahead comes in order."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation import fold
from reconciliation.ahead import ahead
from reconciliation.evidence import FACTS
from tandem.events import EventType

_START = datetime(2026, 11, 1, tzinfo=UTC)
_TYPES = [EventType.ORDER_CREATED, EventType.ORDER_CANCELLED, EventType.ORDER_AMENDED]
_LINE = st.fixed_dictionaries(
    {
        "product_id": st.sampled_from(["p1", "p2", "p3"]),
        "category": st.sampled_from(["BREAD", "MILK", None]),
        "quantity": st.integers(0, 9),
        "amount_cents": st.integers(-500, 500),
    }
)
_EVENT = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from([*map(str, _TYPES), None]),
        "cell_start": st.sampled_from([_START, _START + timedelta(hours=1)]),
        "total_cents": st.integers(-1000, 1000),
        "units": st.integers(0, 20),
        "items": st.one_of(st.none(), st.lists(_LINE, max_size=4), st.lists(_LINE, min_size=17, max_size=20)),
    }
)
_SCHEMA = {
    "event_type": pl.String,
    "cell_start": pl.Datetime("us", "UTC"),
    "total_cents": pl.Int64,
    "units": pl.Int64,
    "items": FACTS["items"],
}


def _by_hand(events: list[dict[str, Any]]) -> Counter[tuple[str, datetime, str, str]]:
    cells: Counter[tuple[str, datetime, str, str]] = Counter()
    names = {"order_created": "", "order_cancelled": "cancelled_", "order_amended": "amended_"}
    for event in events:
        if event["event_type"] is None:
            continue
        kind, hour = names[event["event_type"]], event["cell_start"]
        created = kind == ""
        cells["orders", hour, "", f"{kind}revenue_cents"] += event["total_cents"]
        if created:
            cells["orders", hour, "", "order_count"] += 1
            cells["orders", hour, "", "units"] += event["units"]
        for cube, name in (("products", "product_id"), ("categories", "category")):
            keys = [line[name] or "uncategorised" for line in event["items"] or []]
            for key, line in zip(keys, event["items"] or [], strict=True):
                cells[cube, hour, key, f"{kind}revenue_cents"] += line["amount_cents"]
                cells[cube, hour, key, f"{kind}units"] += line["quantity"]
            for key in set(keys) if created else ():
                cells[cube, hour, key, "order_count"] += 1
    return Counter({cell: value for cell, value in cells.items() if value})


@settings(max_examples=60, deadline=None)
@given(events=st.lists(_EVENT, max_size=12), cut=st.integers(0, 12), at_once=st.sampled_from([1, 3, 250_000]))
def test_cells_are_what_plain_python_adds_up(events: list[dict[str, Any]], cut: int, at_once: int) -> None:
    frames = [pl.DataFrame(part, schema=_SCHEMA, orient="row") for part in (events[:cut], events[cut:])]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fold, "_AT_ONCE", at_once)
        cells = fold.of_events(frames).cells()
    made = {
        (cube, start, key, measure): value
        for cube, start, key, measure, value in cells.select(
            "cube", "cell_start", "key", "measure", "value"
        ).iter_rows()
        if value
    }
    assert made == _by_hand(events)


def test_work_done_ahead_comes_in_order_and_never_holds_more_than_its_threads() -> None:
    held, most, lock = 0, 0, threading.Lock()

    def work(item: int) -> int:
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        return item * item

    found = []
    for square in ahead(work, range(50), threads=2):
        with lock:
            held -= 1
        found.append(square)
    assert found == [number * number for number in range(50)]
    assert most <= 3


def test_an_error_in_work_done_ahead_reaches_whoever_asked() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("the fourth")
        return item

    squares = ahead(work, range(10))
    assert [next(squares) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the fourth"):
        next(squares)
