"""The memory of accepted ids: what a dictionary would hold, whatever is added when, and whatever shares a hash."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream import accepted, hashed
from stream.accepted import NEVER, AcceptedIds
from stream.hashed import Texts

IDS = st.one_of(st.sampled_from("abcdefgh"), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
ADDED = st.lists(st.lists(st.tuples(IDS, st.integers(0, 100)), max_size=12), max_size=30)


def filled(added: list[list[tuple[str, int]]]) -> AcceptedIds:
    memory = AcceptedIds()
    for some in added:
        memory.add(texts(event_id for event_id, _ in some), np.array([time for _, time in some], dtype=np.int64))
    return memory


def texts(ids: Iterable[str]) -> Texts:
    return Texts.of(pl.Series(list(ids), dtype=pl.String))


def by_dictionary(added: list[list[tuple[str, int]]]) -> dict[str, int]:
    latest: dict[str, int] = {}
    for event_id, time in (one for some in added for one in some):
        latest[event_id] = max(time, latest.get(event_id, time))
    return latest


@pytest.mark.parametrize("different", [1, 3, 1 << 62])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(added=ADDED, asked=st.lists(IDS, max_size=20))
def test_it_knows_the_latest_time_of_each_id_however_many_share_a_hash(
    monkeypatch: pytest.MonkeyPatch, different: int, added: list[list[tuple[str, int]]], asked: list[str]
) -> None:
    monkeypatch.setattr(hashed, "hashes_of", lambda ids: ids.hash().to_numpy() % np.uint64(different))
    memory, latest = filled(added), by_dictionary(added)
    everything = [*asked, *latest]
    found = memory.latest(texts(everything)).tolist()
    assert found == [latest.get(event_id, NEVER) for event_id in everything]


@settings(max_examples=150, deadline=None)
@given(ADDED, st.integers(0, 100))
def test_what_is_forgotten_is_what_is_older_than_the_bound(added: list[list[tuple[str, int]]], bound: int) -> None:
    memory, latest = filled(added), by_dictionary(added)
    memory.forget(bound, every_us=1)
    found = memory.latest(texts(latest)).tolist()
    assert found == [time if time >= bound else NEVER for time in latest.values()]
    assert (len(memory) == 0) == all(time < bound for time in latest.values())


def test_forgetting_waits_until_the_bound_has_moved_on_enough() -> None:
    memory = filled([[("a", 5)]])
    memory.forget(4, every_us=10)
    memory.forget(13, every_us=10)
    assert len(memory) == 1
    memory.forget(14, every_us=10)
    assert len(memory) == 0


def test_however_many_micro_batches_there_were_few_parts_are_looked_through() -> None:
    memory = AcceptedIds()
    for number in range(3_000):
        memory.add(texts([f"{number}-{row}" for row in range(3)]), np.arange(3))
        assert len(memory.parts) <= accepted._PARTS
    assert len(memory) == 9_000
    assert [len(part.hashes) for part in memory.parts] == sorted((len(p.hashes) for p in memory.parts), reverse=True)
