"""Sketches against the library they must be readable by, which is fed one value at a time."""

from __future__ import annotations

import datasketches
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream import sketches
from stream.murmur import theta_hashes
from tandem.rollups import SKETCH_LOG_SIZE

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=70)


def by_library(values: list[str]) -> bytes:
    one_by_one = datasketches.update_theta_sketch(SKETCH_LOG_SIZE)
    for value in values:
        one_by_one.update(value)
    # An update sketch keeps up to twice as many; a union trims to what all sketches of these values agree on.
    union = datasketches.theta_union(SKETCH_LOG_SIZE)
    union.update(one_by_one.compact())
    return bytes(union.get_result().serialize())


def of(values: list[str]) -> bytes:
    rows = pl.DataFrame({"cell": ["a"] * len(values), "hash": pl.Series(theta_hashes(pl.Series(values)))})
    return sketches.sketched(rows, ["cell"], "hash")["sketch"].item()


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=20))
@example(["", "a"])
@example(["x" * length for length in (1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 512)])
def test_a_column_hashes_as_the_library_hashes_its_texts(texts: list[str]) -> None:
    found = theta_hashes(pl.Series(texts))
    for text, hashed in zip(texts, found.tolist(), strict=True):
        if text:  # of nothing the library keeps nothing
            alone = datasketches.update_theta_sketch(SKETCH_LOG_SIZE)
            alone.update(text)
            assert [hashed] == list(alone.compact())


def test_a_part_of_a_column_hashes_as_the_whole() -> None:
    whole = pl.Series([f"customer-{number}" for number in range(100)])
    assert theta_hashes(whole[40:60]).tolist() == theta_hashes(whole).tolist()[40:60]


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=30))
def test_a_sketch_is_byte_for_byte_that_of_the_library(values: list[str]) -> None:
    assert of(values) == by_library(values)


@pytest.mark.parametrize("count", [4_095, 4_096, 4_097, 30_000])
def test_a_full_sketch_is_byte_for_byte_that_of_the_library(count: int) -> None:
    assert of([f"c{number}" for number in range(count)]) == by_library([f"c{number}" for number in range(count)])


@pytest.mark.parametrize("count", [3, 5_000, 20_000])
def test_merging_gives_the_sketch_of_all_values_however_they_were_shared_out(count: int) -> None:
    values = [f"c{number}" for number in range(count)]
    parts = [of(values[start::3]) for start in range(3)]
    assert sketches.merged(parts) == of(values)
    assert sketches.merged([sketches.merged(parts[:2]), parts[2], parts[0]]) == of(values)


def test_every_cell_of_many_gets_its_own_sketch() -> None:
    cells = {f"cell{number}": [f"v{value}" for value in range(number)] for number in (1, 2, 5_000, 3)}
    rows = pl.DataFrame([(cell, value) for cell, values in cells.items() for value in values], orient="row")
    hashed = rows.select(cell="column_0", hash=pl.Series(theta_hashes(rows["column_1"])))
    found = dict(sketches.sketched(hashed, ["cell"], "hash").iter_rows())
    assert found == {cell: by_library(values) for cell, values in cells.items()}
