"""The bias alarm: its chances by counting every case, its false alarms by trying, and what it keeps quiet about."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, timedelta
from fractions import Fraction
from itertools import combinations, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation import bias
from reconciliation.report import BiasKind

START = date(2017, 11, 1)


def dated(values: list[float]) -> list[tuple[date, float]]:
    return [(START + timedelta(days=number), value) for number, value in enumerate(values)]


def kinds(values: list[float]) -> list[tuple[BiasKind, bool]]:
    return [(found.kind, found.short) for found in bias.alarms({"revenue_cents": dated(values)})]


@pytest.mark.parametrize("tosses", range(1, 11))
def test_the_sign_test_gives_the_share_of_all_outcomes_that_lean_as_far(tosses: int) -> None:
    heads = Counter(sum(outcome) for outcome in product((0, 1), repeat=tosses))
    for seen in range(tosses + 1):
        farther = sum(count for others, count in heads.items() if abs(2 * others - tosses) >= abs(2 * seen - tosses))
        assert bias.sign_test(seen, tosses - seen) == float(Fraction(farther, 2**tosses))


@pytest.mark.parametrize("length", range(3, 7))
def test_the_trend_test_gives_the_share_of_all_orders_that_rise_or_fall_as_much(length: int) -> None:
    def lean(order: tuple[int, ...]) -> int:
        return abs(sum(1 if a < b else -1 for a, b in combinations(order, 2)))

    orders = list(permutations(range(length)))
    leans = Counter(map(lean, orders))
    for order in orders:
        as_much = sum(count for other, count in leans.items() if other >= lean(order))
        assert bias.trend_test(order) == float(Fraction(as_much, len(orders)))


@pytest.mark.parametrize("share_of_zeros", [0.0, 0.5, 0.9])
def test_without_bias_no_more_dates_raise_an_alarm_than_stated(share_of_zeros: float) -> None:
    chance, trials, rate = random.Random(f"{share_of_zeros}"), 400, 0.2

    def error() -> float:
        return 0.0 if chance.random() < share_of_zeros else chance.choice((-1, 1)) * chance.expovariate(3)

    alarmed = sum(
        bool(bias.alarms({name: dated([error() for _ in range(bias.DAYS)]) for name in bias.WATCHED}, rate))
        for _ in range(trials)
    )
    assert alarmed <= trials * rate + 3 * (trials * rate * (1 - rate)) ** 0.5


def test_eleven_dates_short_by_a_little_raise_the_alarm_and_ten_do_not() -> None:
    steady = [0.3, 0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.1]
    assert kinds(steady) == [(BiasKind.ONE_SIDE, True)]
    assert kinds(steady[:10]) == []
    assert kinds([-value for value in steady]) == [(BiasKind.ONE_SIDE, False)]


def test_dates_without_error_neither_raise_nor_hide_an_alarm() -> None:
    assert kinds([0.0] * 30) == []
    assert kinds([0.0, 0.2] * 11) == [(BiasKind.ONE_SIDE, True)]


def test_an_error_that_grows_raises_the_alarm_and_one_that_shrinks_does_not() -> None:
    growing = [0.02 * (day - 6) + (0.03 if day % 3 else -0.03) for day in range(30)]
    assert (BiasKind.TRENDING, True) in kinds(growing)
    shrinking = [-0.5 + 0.016 * day for day in range(30)]
    assert (BiasKind.TRENDING, True) not in kinds(shrinking)
    assert (BiasKind.TRENDING, False) not in kinds(shrinking)


def test_only_figures_that_decide_and_are_counted_themselves_are_watched() -> None:
    assert bias.WATCHED == ("order_count", "revenue_cents", "unique_customers", "units")


@settings(deadline=None)
@given(st.lists(st.integers(-100, 100).map(lambda cents: cents / 100), max_size=30))
def test_errors_the_other_way_round_raise_the_same_alarms_on_the_other_side(values: list[float]) -> None:
    mirrored = [-value for value in values]
    assert kinds(mirrored) == [(kind, not short) for kind, short in kinds(values)]


def test_an_alarm_names_its_side_its_dates_and_the_odds() -> None:
    (found,) = bias.alarms({"revenue_cents": dated([0.2] * 12)})
    assert bias.in_words(found) == (
        "The stream was short of revenue on 12 of the 12 dates that differed since 2017-11-01, by 0.20 % in the median."
    )
    assert bias.odds(found).startswith("Without bias that comes up once in 2,048 dates;")
