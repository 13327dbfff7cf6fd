"""Rows by where they stand, against the same in plain Python."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.places import gather, gather_from, runs

SCHEMA = {"number": pl.Int64(), "texts": pl.List(pl.String())}
ROWS = st.lists(st.tuples(st.integers(0, 9), st.lists(st.text(max_size=3), max_size=2)), max_size=6)


@settings(max_examples=100, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=5), st.data())
def test_rows_of_several_frames_are_those_that_each_gives_by_itself_one_frame_after_the_other(
    frames: list[list[tuple[int, list[str]]]], data: st.DataObject
) -> None:
    places = [data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=4)) if rows else [] for rows in frames]
    found = gather_from(
        [pl.DataFrame(rows, SCHEMA, orient="row") for rows in frames], [np.array(own, np.int64) for own in places]
    )
    assert found.rows() == [rows[place] for rows, own in zip(frames, places, strict=True) for place in own]


def test_values_come_in_the_order_that_is_asked_for_and_as_often() -> None:
    assert gather(pl.Series(["a", None, "c"]), np.array([2, 0, 2, 1])).to_list() == ["c", "a", "c", None]
    assert gather(pl.Series(["a"]), np.array([], np.int64)).to_list() == []


@given(st.lists(st.integers(0, 4)).map(sorted))
def test_a_run_is_all_the_rows_of_a_partition(partitions: list[int]) -> None:
    wanted, start = [], 0
    for partition, rows in groupby(partitions):
        end = start + len(list(rows))
        wanted.append((partition, start, end))
        start = end
    assert runs(pl.Series(partitions, dtype=pl.Int32)) == wanted
