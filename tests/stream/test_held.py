"""What is held of customers, against a plain dictionary of all there ever was."""

from __future__ import annotations

from random import Random

import numpy as np
import polars as pl
import pytest

from stream import held
from stream.held import Hashes, HeldState

ROWS = pl.DataFrame(schema={"partition": pl.Int32, "customer_id": pl.String, "number": pl.Int64, "time_us": pl.Int64})
Row = tuple[int, str, int, int]


class Books:
    """All rows of all customers, as Postgres has them. Every row of a customer is replaced at once."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, str], list[Row]] = {}

    def look_up(self, keys: pl.DataFrame) -> pl.DataFrame:
        found = [row for key in keys.rows() for row in self.rows.get(key, [])]
        return pl.DataFrame(found, schema=ROWS.schema, orient="row")

    def since(self, keys: list[tuple[int, str]], since_us: dict[int, int]) -> list[Row]:
        return sorted(row for key in keys for row in self.rows.get(key, []) if row[3] >= since_us[key[0]])


def few_hashes(customers: pl.Series) -> Hashes:
    return (customers.hash() % 5).to_numpy().astype(np.uint64)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_recalled_is_what_a_dictionary_remembers_whatever_collides_leaves_or_grows_old(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(seed)
    monkeypatch.setattr(held, "AT_MOST", random.choice([2, 30, 1 << 16]))
    monkeypatch.setattr(held, "_PARTS", random.choice([2, 8]))
    if random.random() < 0.5:
        monkeypatch.setattr(held, "hashes_of", few_hashes)
    books, states = Books(), {1: HeldState(ROWS), 2: HeldState(ROWS)}
    for now_us in range(60):
        customers = [(random.choice([1, 2]), f"c{random.randrange(40)}") for _ in range(random.randrange(30))]
        keys = pl.DataFrame(list(dict.fromkeys(customers)), schema=ROWS.select(held.KEY).schema, orient="row")
        since_us = {1: now_us - 10, 2: now_us - 25}
        found = held.recall(states, keys, since_us, books.look_up)
        assert sorted(found.rows()) == books.since(keys.rows(), since_us)
        after = {
            key: [(*key, now_us * 10 + n, now_us - random.randrange(12)) for n in range(random.randrange(3))]
            for key in keys.rows()
        }
        books.rows |= after
        rows = pl.DataFrame([row for of in after.values() for row in of], schema=ROWS.schema, orient="row")
        held.remember(states, rows, since_us)
        assert all(len(state) <= held.AT_MOST for state in states.values())


def test_a_small_step_leaves_the_many_rows_that_are_held_alone() -> None:
    many = pl.DataFrame(
        {"partition": 1, "customer_id": [f"c{n}" for n in range(1000)], "number": 0, "time_us": 0}, schema=ROWS.schema
    )
    state = HeldState(ROWS)
    held.remember({1: state}, many, {1: 0})
    for number in range(3 * held._PARTS):
        key = pl.DataFrame([(1, f"c{number}")], schema=ROWS.select(held.KEY).schema, orient="row")
        found = held.recall({1: state}, key, {1: 0}, lambda _: ROWS)
        held.remember({1: state}, found.with_columns(number=1), {1: 0})
    assert (state.parts[0].rows.height, len(state)) == (1000, 1000)
