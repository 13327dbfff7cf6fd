"""Comparing two sets of books."""

from __future__ import annotations

from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation import books, canonical, compare
from reconciliation.books import Books
from reconciliation.compare import Status, Verdict
from tandem import kpis
from tests.reconciliation.books import START, at

amounts = st.integers(-(10**13), 10**13)
tolerances = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))


def judged(batch: int | None, speed: int | None, relative_ppm: int = 10_000, absolute: int = 0, base: int = 0) -> dict:
    frame = pl.DataFrame(
        {
            "batch_value": pl.Series([batch], dtype=pl.Int64),
            "speed_value": pl.Series([speed], dtype=pl.Int64),
            "relative_ppm": [relative_ppm],
            "absolute": [absolute],
            "base": [base],
        }
    )
    return compare.judge(frame).row(0, named=True)


@settings(deadline=None)  # a busy machine is no failure
@given(amounts, amounts, tolerances)
def test_a_match_is_a_difference_of_at_most_the_larger_of_both_tolerances(batch, speed, tolerance):
    ppm, absolute, base = tolerance
    within = abs(batch - speed) <= max(Fraction(absolute), Fraction(abs(batch) * ppm, 10**6))
    row = judged(batch, speed, *tolerance)
    assert (row["status"] == Status.MATCH) is within
    assert row["decides"] is (max(abs(batch), abs(speed)) >= base)


@settings(deadline=None)  # a busy machine is no failure
@given(amounts, tolerances)
def test_equal_values_match_under_every_tolerance(value, tolerance):
    assert judged(value, value, *tolerance)["status"] == Status.MATCH


@settings(deadline=None)  # a busy machine is no failure
@given(amounts, amounts, tolerances, st.integers(0, 10**6))
def test_a_wider_tolerance_never_turns_a_match_into_a_mismatch(batch, speed, tolerance, more):
    ppm, absolute, base = tolerance
    if judged(batch, speed, ppm, absolute, base)["status"] == Status.MATCH:
        assert judged(batch, speed, ppm + more, absolute + more, base)["status"] == Status.MATCH


@settings(deadline=None)  # a busy machine is no failure
@given(amounts, amounts, tolerances)
def test_the_sign_of_both_sides_does_not_matter(batch, speed, tolerance):
    assert judged(batch, speed, *tolerance)["status"] == judged(-batch, -speed, *tolerance)["status"]


@pytest.mark.parametrize(
    ("batch", "speed", "status"),
    [
        (10_000, 9_900, Status.MATCH),
        (10_000, 9_899, Status.MISMATCH),
        (0, None, Status.MISSING_IN_SPEED),
        (None, 0, Status.MISSING_IN_BATCH),
        (0, 1, Status.MISMATCH),
    ],
)
def test_one_percent_of_batch_is_the_limit_and_a_missing_side_is_not_zero(batch, speed, status):
    assert judged(batch, speed)["status"] == status


def test_a_value_below_the_minimum_base_is_shown_but_decides_nothing():
    row = judged(99, 50, base=100)
    assert (row["status"], row["decides"]) == (Status.MISMATCH, False)


def side(*cells: tuple[str, int, str, str, int]) -> pl.DataFrame:
    rows = [(cube, at(hour), key, measure, value) for cube, hour, key, measure, value in cells]
    return pl.DataFrame(rows, schema=compare.CELLS, orient="row")


NOTHING = side()
A_DAY = side(
    ("orders", 9, "", "order_count", 2),
    ("orders", 9, "", "revenue_cents", 3_001),
    ("orders", 9, "", "units", 5),
    ("orders", 9, "", "cancelled_revenue_cents", 100),
    ("orders", 9, "", "amended_revenue_cents", -50),
    ("orders", 17, "", "order_count", 1),
    ("orders", 17, "", "revenue_cents", 1_000),
    ("orders", 17, "", "units", 1),
    ("orders", 17, "", "cancelled_revenue_cents", 0),
    ("orders", 17, "", "amended_revenue_cents", 0),
    ("distinct", 0, "", "unique_customers", 2),
)


def test_a_days_figures_are_sums_of_its_hours_and_its_ratios_are_derived():
    assert Books.of(A_DAY).day_values() == {
        "order_count": 3,
        "revenue_cents": 4_001,
        "cancelled_revenue_cents": 100,
        "amended_revenue_cents": -50,
        "net_revenue_cents": 3_851,
        "avg_order_value_cents": 1_334,  # 4001 / 3 = 1333.67
        "unique_customers": 2,
        "units": 6,
    }


def test_no_rows_on_either_side_was_not_compared_rather_than_agreed():
    rows = compare.days(None, None, None, START)
    assert compare.verdict(rows) is Verdict.NOT_COMPARABLE
    assert len(rows) == len(kpis.KPIS)


def test_a_date_that_the_speed_layer_has_not_is_a_mismatch_with_every_figure_missing():
    rows = compare.days(Books.of(A_DAY).day_values(), None, None, START)
    assert set(rows["status"]) == {Status.MISSING_IN_SPEED}
    assert compare.verdict(rows) is Verdict.MISMATCH


def test_small_cancellations_do_not_decide_a_date():
    values = Books.of(A_DAY).day_values()
    rows = compare.days(values, {**values, "cancelled_revenue_cents": 90}, values, START)
    row = rows.row(by_predicate=pl.col("metric") == "cancelled_revenue_cents", named=True)
    assert (row["status"], row["decides"]) == (Status.MISMATCH, False)
    assert compare.verdict(rows) is Verdict.MATCH


def test_a_correction_makes_a_missing_cell_exist_with_zeros_in_its_other_measures():
    speed = books.with_corrections(books.NOTHING, side(("products", 9, "milk", "revenue_cents", 250))).cells()
    by_measure = dict(zip(speed["measure"], speed["value"], strict=True))
    assert by_measure == {
        "revenue_cents": 250,
        "order_count": 0,
        "units": 0,
        "cancelled_revenue_cents": 0,
        "cancelled_units": 0,
        "amended_revenue_cents": 0,
        "amended_units": 0,
    }


measures = st.sampled_from(
    [("orders", m.name) for m in kpis.measures_of(kpis.ORDERS)] + [("distinct", "unique_customers")]
)
cells = st.dictionaries(st.tuples(measures, st.integers(0, 23)), st.integers(-1000, 1000), max_size=30).map(
    lambda found: Books.of(side(*((cube, hour, "", name, value) for ((cube, name), hour), value in found.items())))
)


def differing(batch: Books, speed: Books) -> pl.DataFrame:
    return books.differing(batch, speed)[1]


@settings(deadline=None)  # a busy machine is no failure
@given(cells, cells)
def test_adding_every_difference_as_a_correction_makes_both_sides_equal(batch, counted):
    speed = books.with_corrections(counted, books.minus(batch, counted).rename({"amount": "value"}))
    assert differing(batch, speed).is_empty()
    assert speed.sha256() == batch.sha256()


@settings(deadline=None)  # a busy machine is no failure
@given(cells, cells)
def test_hashes_are_equal_exactly_where_nothing_differs(batch, speed):
    assert (batch.sha256() == speed.sha256()) is differing(batch, speed).is_empty()


@settings(deadline=None)  # a busy machine is no failure
@given(cells)
def test_a_hash_does_not_depend_on_the_order_of_rows(found):
    assert Books.of(found.cells().reverse()).sha256() == found.sha256()


keys = st.dictionaries(
    st.tuples(st.integers(0, 23), st.text(max_size=4), st.sampled_from(books.MEASURES["products"])),
    st.integers(-(10**12), 10**12),
    max_size=20,
)


@settings(deadline=None)  # a busy machine is no failure
@given(keys, keys)
def test_books_differ_and_are_hashed_as_their_values_one_by_one(one, other):
    rows = [
        side(*(("products", hour, *rest, value) for (hour, *rest), value in found.items())) for found in (one, other)
    ]
    sides = [Books.of(found) for found in rows]
    assert sides[0].sha256() == canonical.sha256(row for row in rows[0].iter_rows() if row[-1])
    count, found = books.differing(*sides)
    expected = {place: (one.get(place, 0), other.get(place, 0)) for place in {*one, *other}}
    assert {
        (start.hour, key, measure): (left or 0, right or 0) for _, start, key, measure, left, right in found.iter_rows()
    } == {place: values for place, values in expected.items() if values[0] != values[1]}
    assert count == len({place[:2] for place in expected}) * len(books.MEASURES["products"])


def test_a_cell_that_a_side_lacks_is_missing_there_and_one_of_zeros_is_not():
    batch = Books.of(side(("orders", 9, "", "revenue_cents", 250), ("orders", 10, "", "revenue_cents", 30)))
    speed = Books.of(side(("orders", 10, "", "units", 0)))
    rows = compare.cells(differing(batch, speed).rename({"one": "batch_value", "other": "speed_value"}), NOTHING)
    found = {
        (start.hour, metric): status for start, metric, status in rows[["cell_start", "metric", "status"]].iter_rows()
    }
    assert found == {(9, "revenue_cents"): Status.MISSING_IN_SPEED, (10, "revenue_cents"): Status.MISMATCH}
