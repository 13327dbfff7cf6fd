from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream import hashed
from stream.dedupe import DECISIONS, NO_WATERMARK, Horizons, PartitionState, decide_many, decide_one
from stream.hashed import Texts
from tandem.events import Decision

MINUTE_US = 60_000_000
HORIZONS = Horizons(lateness_us=60 * MINUTE_US, dedupe_us=24 * 60 * MINUTE_US)


@dataclass(frozen=True)
class Arrival:
    event_id: str
    time_us: int


def ids_of(arrivals: list[Arrival]) -> Texts:
    return Texts.of(pl.Series([a.event_id for a in arrivals], dtype=pl.String))


def times_of(arrivals: list[Arrival]) -> np.ndarray:
    return np.array([a.time_us for a in arrivals], dtype=np.int64)


def by_the_words(arrivals: list[Arrival]) -> list[tuple[Decision, int]]:
    """The rule as docs state it, over everything accepted so far; with the watermark before each event."""
    accepted: list[Arrival] = []
    answers = []
    for arrival in arrivals:
        watermark = max((a.time_us for a in accepted), default=NO_WATERMARK)
        remembered = {a.event_id for a in accepted if a.time_us >= watermark - HORIZONS.dedupe_us}
        if arrival.event_id in remembered:
            decision = Decision.DUPLICATE
        elif arrival.time_us < watermark - HORIZONS.lateness_us:
            decision = Decision.LATE
        else:
            decision = Decision.COUNTED
            accepted.append(arrival)
        answers.append((decision, watermark))
    return answers


def restarted(arrivals: list[Arrival], answers: list[tuple[Decision, int]]) -> PartitionState:
    """The state that a journal of these answers gives: accepted ids within the horizon, and the watermark."""
    accepted = [a for a, (decision, _) in zip(arrivals, answers, strict=True) if decision is Decision.COUNTED]
    state = PartitionState(watermark_us=max((a.time_us for a in accepted), default=NO_WATERMARK))
    kept = [a for a in accepted if a.time_us >= state.watermark_us - HORIZONS.dedupe_us]
    state.accept(ids_of(kept), times_of(kept))
    return state


def decide_in_cuts(arrivals: list[Arrival], cuts: list[int], *, restart: bool) -> list[tuple[Decision, int]]:
    state = PartitionState()
    answers: list[tuple[Decision, int]] = []
    for start, end in zip([0, *cuts], [*cuts, len(arrivals)], strict=True):
        if restart:
            state = restarted(arrivals[:start], answers)
        part = arrivals[start:end]
        codes, before = decide_many(state, ids_of(part), times_of(part), HORIZONS)
        answers += [(DECISIONS[code], mark) for code, mark in zip(codes.tolist(), before.tolist(), strict=True)]
    return answers


# Few ids and times on both sides of every bound, so that copies, collisions and late events meet.
TIMES = st.one_of(
    st.integers(0, 120).map(lambda minutes: minutes * MINUTE_US),
    st.sampled_from([0, 60, 61, 120, 1440, 1441, 1500, 1501, 2880, 2941, 4400]).map(lambda m: m * MINUTE_US),
    st.integers(0, 4 * 24 * 60 * MINUTE_US),
)
ARRIVALS = st.lists(st.builds(Arrival, st.sampled_from("abcdefgh"), TIMES), max_size=40)
COPIES = st.tuples(
    st.lists(st.builds(Arrival, st.uuids().map(str), TIMES), min_size=1, max_size=30), st.randoms(use_true_random=False)
).map(lambda drawn: drawn[0] + drawn[1].sample(drawn[0], k=len(drawn[0]) // 3))


@pytest.mark.parametrize("different", [3, 1 << 62])
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrivals=st.one_of(ARRIVALS, COPIES), data=st.data(), restart=st.booleans())
def test_many_at_once_are_decided_as_one_by_one_whatever_the_cuts_and_restarts_and_whatever_shares_a_hash(
    monkeypatch: pytest.MonkeyPatch, different: int, arrivals: list[Arrival], data: st.DataObject, restart: bool
) -> None:
    monkeypatch.setattr(hashed, "hashes_of", lambda ids: ids.hash().to_numpy() % np.uint64(different))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(arrivals)), max_size=5)))
    assert decide_in_cuts(arrivals, cuts, restart=restart) == by_the_words(arrivals)


@settings(max_examples=200, deadline=None)
@given(ARRIVALS)
def test_the_rule_for_one_event_is_the_rule_in_the_docs(arrivals: list[Arrival]) -> None:
    latest: dict[str, int] = {}
    watermark = NO_WATERMARK
    answers = []
    for arrival in arrivals:
        known = latest.get(arrival.event_id, NO_WATERMARK)
        decision = decide_one(known, watermark, arrival.time_us, HORIZONS)
        answers.append((decision, watermark))
        if decision is Decision.COUNTED:
            latest[arrival.event_id] = max(known, arrival.time_us)
            watermark = max(watermark, arrival.time_us)
    assert answers == by_the_words(arrivals)


def decide(*arrivals: tuple[str, int]) -> list[Decision]:
    """Decisions for events given as id and minute, in one micro-batch."""
    events = [Arrival(event_id, minute * MINUTE_US) for event_id, minute in arrivals]
    return [decision for decision, _ in decide_in_cuts(events, [], restart=False)]


C, D, L = Decision.COUNTED, Decision.DUPLICATE, Decision.LATE


def test_exactly_the_allowed_lateness_behind_is_not_late() -> None:
    assert decide(("a", 60), ("b", 0), ("c", 61), ("d", 0)) == [C, C, C, L]


def test_a_late_event_and_its_copy_are_both_late_and_never_duplicates() -> None:
    assert decide(("a", 120), ("b", 0), ("b", 0)) == [C, L, L]


def test_a_copy_of_a_counted_event_is_a_duplicate_even_when_it_comes_too_late_to_count() -> None:
    assert decide(("a", 0), ("b", 600), ("a", 0)) == [C, C, D]


def test_a_copy_beyond_the_horizon_is_late_and_the_same_id_with_a_new_time_counts_again() -> None:
    assert decide(("a", 0), ("b", 24 * 60 + 1), ("a", 0), ("a", 24 * 60)) == [C, C, L, C]


def test_a_rejected_event_never_moves_the_watermark() -> None:
    # The second a is a duplicate from the future: were it to move the watermark, c would be late.
    assert decide(("a", 0), ("a", 600), ("c", 30)) == [C, D, C]


def test_ids_beyond_the_horizon_are_forgotten() -> None:
    state = PartitionState()
    for day in range(10):
        arrivals = [Arrival(f"{day}-{n}", (day * 24 * 60 + n) * MINUTE_US) for n in range(100)]
        decide_many(state, ids_of(arrivals), times_of(arrivals), HORIZONS)
    assert len(state.accepted) <= 300
