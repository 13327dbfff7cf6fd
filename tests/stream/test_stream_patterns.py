"""Every pattern against plain Python that looks at one event at a time, whatever the cuts and restarts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import pattern_oracle as oracle
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pattern_oracle import Happened
from pattern_shop import LATENESS, PARTITIONS, START, shop

from stream import patterns
from stream.patterns import TOTALS, PatternState
from tandem.events import EventType
from tandem.patterns import PATTERNS


def frame(events: Sequence[Happened]) -> pl.DataFrame:
    """As they leave the decision: by partition and offset."""
    schema = {
        "partition": pl.Int32,
        "offset": pl.Int64,
        "customer_id": pl.String,
        "event_type": pl.String,
        "event_time": pl.Datetime("us", "UTC"),
        "cents": pl.Int64,
    }
    rows = [(e.partition, e.offset, e.customer, e.kind, e.at, e.cents) for e in events]
    return pl.DataFrame(rows, schema=schema, orient="row").sort("partition", "offset")


def totals(events: Sequence[Happened]) -> pl.DataFrame:
    orders = frame(events).filter(pl.col("event_type") == "order_created")
    summed = orders.group_by("partition", "customer_id").agg(
        pl.len().cast(pl.Int64).alias("order_count"), pl.col("cents").sum().alias("revenue_cents")
    )
    return pl.concat([TOTALS, summed])


def bounds(events: Sequence[Happened], partition: int) -> dict[patterns.Types, int]:
    """What the partition may forget behind its watermark."""
    watermark = max((e.at for e in events if e.partition == partition), default=START)
    return {
        types: round((watermark - LATENESS - patterns.reach(PATTERNS, types)).timestamp() * 1_000_000)
        for types in {pattern.of for pattern in PATTERNS}
    }


def restarted(done: Sequence[Happened]) -> dict[int, PatternState]:
    """What a successor remembers that has read only what it may need."""
    states = {partition: PatternState() for partition in range(PARTITIONS)}
    for partition, state in states.items():
        own = [event for event in done if event.partition == partition]
        since = min(bounds(done, partition).values())
        first = next((n for n, e in enumerate(own) if e.at.timestamp() * 1_000_000 >= since), len(own))
        patterns.recall(PATTERNS, frame(own[first:]), {partition: state})
    return states


def found(log: Sequence[Happened], cuts: Sequence[int], *, restart: bool, forget: bool) -> list[tuple[str, int, int]]:
    states = {partition: PatternState() for partition in range(PARTITIONS)}
    hits: list[tuple[str, int, int]] = []
    for start, end in zip([0, *cuts], [*cuts, len(log)], strict=True):
        if restart:
            states = restarted(log[:start])
        step = patterns.find(PATTERNS, frame(log[start:end]), states, totals(log[:start]))
        hits += [(name, *row) for name, rows in step.items() for row in rows.select("partition", "offset").rows()]
        if forget:
            for partition, state in states.items():
                state.added = 1 << 40
                state.forget(bounds(log[:end], partition))
    return hits


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.data(), st.booleans(), st.booleans())
def test_whatever_the_cuts_and_restarts_each_occurrence_is_found_once(
    seed: int, data: st.DataObject, restart: bool, forget: bool
) -> None:
    log = shop(seed)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=4)))
    hits = found(log, cuts, restart=restart, forget=forget)
    assert len(hits) == len(set(hits))
    assert set(hits) == oracle.alerts(log)


def test_the_shops_of_these_tests_do_everything_there_is_a_pattern_for() -> None:
    occurred = Counter(name for seed in range(30) for name, _, _ in oracle.alerts(shop(seed)))
    assert min(occurred[pattern.name] for pattern in PATTERNS) >= 10, occurred


def orders(*placed: tuple[float, int]) -> list[Happened]:
    """Orders of one customer: minutes after noon, cents."""
    return [
        Happened(0, offset, "ann", "order_created", START + timedelta(minutes=minutes), cents)
        for offset, (minutes, cents) in enumerate(placed)
    ]


def payments(*kinds: str, minutes: float = 1) -> list[Happened]:
    return [
        Happened(0, n, "ann", f"payment_{kind}", START + timedelta(minutes=n * minutes), None)
        for n, kind in enumerate(kinds)
    ]


def at(name: str, log: list[Happened]) -> list[int]:
    """Offsets at which a pattern fires."""
    return [offset for pattern, _, offset in found(log, [], restart=False, forget=False) if pattern == name]


def test_a_burst_is_told_of_once_and_again_after_it_has_ended() -> None:
    log = orders(*((minute, 1_000) for minute in (0, 1, 2, 3, 4, 4.5, 30, 31, 32, 33, 34)))
    assert at("order_burst", log) == [4, 10]


def test_five_orders_in_exactly_five_minutes_are_no_burst_because_windows_are_half_open() -> None:
    assert at("order_burst", orders((0, 1), (1, 1), (2, 1), (3, 1), (5, 1))) == []
    assert at("order_burst", orders((0, 1), (1, 1), (2, 1), (3, 1), (4.99, 1))) == [4]


def test_an_order_out_of_sequence_completes_a_burst_that_is_still_open() -> None:
    assert at("order_burst", orders((0, 1), (1, 1), (2, 1), (4, 1), (3, 1))) == [4]
    assert at("order_burst", orders((0, 1), (1, 1), (2, 1), (4, 1), (-40, 1), (4.5, 1))) == [5]


def test_the_average_speaks_from_five_orders_on() -> None:
    assert at("above_average", orders(*((n, 1_000) for n in range(4)), (4, 9_000))) == []
    assert at("above_average", orders(*((n, 1_000) for n in range(5)), (5, 3_000), (6, 4_001))) == [6]


def test_a_success_between_failures_starts_the_count_again() -> None:
    assert at("payment_failures", payments("failed", "failed", "succeeded", "failed", "failed")) == []
    assert at("payment_failures", payments(*["failed"] * 5, "succeeded", *["failed"] * 3)) == [2, 8]


def test_failures_an_hour_apart_are_not_one_row_of_them() -> None:
    assert at("payment_failures", payments("failed", "failed", "failed", minutes=30)) == []


def test_escalations_may_overlap_because_a_match_skips_to_the_next_row() -> None:
    steps = [100_001, 160_000, 250_000, 400_000, 700_000]
    assert at("escalation", orders(*enumerate(steps))) == [3, 4]
    assert at("escalation", orders(*enumerate([100_000, *steps[1:4]]))) == []
    assert at("escalation", orders((0, steps[0]), (1, steps[1]), (2, steps[2]), (10, steps[3]))) == []


@pytest.mark.parametrize(("cents", "fires"), [(1_030, False), (1_600, True), (400, True)])
def test_an_amount_far_from_the_hours_others_stands_out_up_and_down(*, cents: int, fires: bool) -> None:
    log = orders(*((n, 1_000 + 10 * n) for n in range(6)), (7, cents))
    assert at("unusual_amount", log) == ([6] if fires else [])


def test_equal_amounts_have_no_spread_that_another_could_be_measured_by() -> None:
    assert at("unusual_amount", orders(*((n, 1_000) for n in range(6)), (7, 5_000))) == []


def test_a_pattern_looks_only_at_types_of_the_contract() -> None:
    assert {kind for pattern in PATTERNS for kind in pattern.of} <= set(EventType)
