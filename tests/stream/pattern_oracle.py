"""The patterns in plain Python, one event at a time: no windows that slide, no state, everything looked up again."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Happened:
    """A counted event."""

    partition: int
    offset: int
    customer: str
    kind: str
    at: datetime
    cents: int | None


def alerts(log: Sequence[Happened]) -> set[tuple[str, int, int]]:
    """``(pattern, partition, offset)`` of every occurrence; ``log``: counted events, in the order of each partition."""
    return {
        (name, event.partition, event.offset)
        for number, event in enumerate(log)
        for name, occurs in PATTERNS.items()
        if occurs(_sequence(log[: number + 1], event))
    }


def _sequence(log: Sequence[Happened], last: Happened) -> list[Happened]:
    """The customer's events of the same sort up to this one."""
    return [
        event
        for event in log
        if (event.partition, event.customer) == (last.partition, last.customer) and _sort(event) == _sort(last)
    ]


def _sort(event: Happened) -> str:
    return "payment" if event.kind.startswith("payment") else event.kind


def _clock(events: Sequence[Happened]) -> datetime:
    return max(event.at for event in events)


def _in_window(events: Sequence[Happened], window: timedelta) -> list[Happened]:
    return [event for event in events if event.at > _clock(events) - window]


def _begins(events: list[Happened], holds: bool, held: bool, window: timedelta) -> bool:
    return holds and not (held and _clock(events) - _clock(events[:-1]) < window)


def _many(events: list[Happened]) -> bool:
    window = _in_window(events, timedelta(minutes=5))
    return len(window) >= 5 and events[-1] in window


def burst(events: list[Happened]) -> bool:
    if events[-1].kind != "order_created":
        return False
    held = len(events) > 1 and _many(events[:-1])
    return _begins(events, _many(events), held, timedelta(minutes=5))


def above_average(events: list[Happened]) -> bool:
    *before, last = events
    if last.kind != "order_created" or len(before) < 5:
        return False
    assert last.cents is not None
    return last.cents > 3 * Fraction(sum(event.cents or 0 for event in before), len(before))


def _failing(events: list[Happened]) -> bool:
    three = events[-3:]
    return (
        len(three) == 3
        and all(event.kind == "payment_failed" for event in three)
        and max(event.at for event in three) - min(event.at for event in three) < HOUR
    )


def failures(events: list[Happened]) -> bool:
    if not events[-1].kind.startswith("payment"):
        return False
    return _begins(events, _failing(events), _failing(events[:-1]), HOUR)


def escalation(events: list[Happened]) -> bool:
    four = events[-4:]
    if events[-1].kind != "order_created" or len(four) < 4:
        return False
    if max(event.at for event in four) - min(event.at for event in four) >= timedelta(minutes=10):
        return False
    cents = [Fraction(event.cents or 0) for event in four]
    return cents[0] > 100_000 and all(later > earlier * Fraction(3, 2) for earlier, later in pairwise(cents))


def unusual(events: list[Happened]) -> bool:
    last = events[-1]
    window = _in_window(events, HOUR)
    if last.kind != "order_created" or last not in window:
        return False
    others = [Fraction(event.cents or 0) for event in window if event is not last]
    if len(others) < 5 or len(set(others)) == 1:
        return False
    away = Fraction(last.cents or 0) - statistics.mean(others)
    return away**2 > 9 * statistics.variance(others)


PATTERNS = {
    "order_burst": burst,
    "above_average": above_average,
    "payment_failures": failures,
    "escalation": escalation,
    "unusual_amount": unusual,
}
