"""The layers agree on which products lead and on what each customer comes to, as plain loops count it."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation import agreement, books
from reconciliation.agreement import RANKINGS, Ranking, Subject
from reconciliation.books import Books
from reconciliation.compare import CELLS, Status
from reconciliation.evidence import NONE_ALIKE, Alike
from reconciliation.explain import explain
from reconciliation.sides import HOURLY_DISTINCTS
from tandem import kpis
from tests.reconciliation.books import DAY, at
from tests.reconciliation.decisions import Record, evidence

Sums = dict[str, dict[str, int]]
"""Measures by product."""

_MEASURES = sorted({name for ranking in RANKINGS for name in ranking.factors})
_PRODUCTS = st.dictionaries(
    st.sampled_from([f"p{n:03}" for n in range(160)]),
    st.fixed_dictionaries({name: st.integers(0, 6) for name in _MEASURES}),
    max_size=150,
)


def made(products: Sums) -> Books:
    """Cells of two hours that add up to these."""
    rows = [
        ("products", at(9 + half), product, name, value // 2 + (value % 2) * half)
        for product, sums in products.items()
        for name, value in sums.items()
        for half in (0, 1)
    ]
    return Books.of(pl.DataFrame(rows, schema=CELLS, orient="row"))


def ranks(products: Sums, ranking: Ranking) -> dict[str, int]:
    values = {
        product: sum(sums[name] * factor for name, factor in ranking.factors.items())
        for product, sums in products.items()
    }
    return {product: 1 + sum(other > value for other in values.values()) for product, value in values.items()}


@settings(max_examples=60, deadline=None)
@given(batch=_PRODUCTS, speed=_PRODUCTS)
def test_a_ranking_agrees_as_plain_loops_count_it(batch: Sums, speed: Sums) -> None:
    found = {(one.measure, one.top): one for one in agreement.of_products(made(batch), made(speed))}
    assert set(found) == ({(r.name, r.top) for r in RANKINGS} if batch or speed else set())
    for ranking in RANKINGS if found else ():
        ours, theirs = ranks(batch, ranking), ranks(speed, ranking)
        first = {product for product, rank in ours.items() if rank <= ranking.top}
        their_first = {product for product, rank in theirs.items() if rank <= ranking.top}

        def place(product: str, side: dict[str, int], top: int = ranking.top) -> int:
            return min(side.get(product, len(side) + 1), top + 1)

        gaps = [abs(place(product, ours) - place(product, theirs)) for product in first | their_first]
        one = found[ranking.name, ranking.top]
        assert (one.compared, one.alike) == (len(first), len(first & their_first))
        assert one.apart == pytest.approx(sum(gaps) / len(gaps))


def test_equal_rankings_match_and_other_leaders_do_not() -> None:
    twenty = {f"p{n}": dict.fromkeys(_MEASURES, 0) | {"revenue_cents": 100 * n} for n in range(20)}
    turned = {f"p{n}": dict.fromkeys(_MEASURES, 0) | {"revenue_cents": 100 * (20 - n)} for n in range(20)}
    first = agreement.of_products(made(twenty), made(twenty))[0]
    assert (first.alike, first.apart, first.status) == (10, 0.0, Status.MATCH)
    first = agreement.of_products(made(twenty), made(turned))[0]
    assert first.alike < first.compared
    assert first.status is Status.MISMATCH


def test_a_side_without_products_is_missing_and_two_are_not_compared() -> None:
    some = made({"p": dict.fromkeys(_MEASURES, 1)})
    assert {one.status for one in agreement.of_products(some, books.NOTHING)} == {Status.MISSING_IN_SPEED}
    assert {one.status for one in agreement.of_products(books.NOTHING, some)} == {Status.MISSING_IN_BATCH}
    assert agreement.of_products(books.NOTHING, books.NOTHING) == ()


_RECORDS = st.lists(
    st.builds(
        dict,
        speed=st.sampled_from(["counted", "counted", "late", "duplicate", ""]),
        batch=st.sampled_from(["counted", "counted", "duplicate", "quarantined"]),
        customer=st.sampled_from(["ann", "bob", "cem", "dan"]),
        cents=st.integers(1, 3),
        event_type=st.sampled_from(["order_created", "order_created", "order_cancelled"]),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(drawn=_RECORDS, alike=st.sets(st.sampled_from(["ann", "zoe", "yan"])))
def test_customers_agree_as_plain_loops_count_them(drawn: list[dict[str, Any]], alike: set[str]) -> None:
    records = [Record(n, order_id=f"o{n}", **values) for n, values in enumerate(drawn)]
    sums: dict[str, Counter[tuple[str, str]]] = {"orders": Counter(), "revenue": Counter()}
    customers: dict[str, set[str]] = defaultdict(set)
    for record in records:
        for layer, decision in (("speed", record.speed), ("batch", record.batch)):
            if decision == "counted" and record.event_type == "order_created":
                sums["orders"][layer, record.customer] += 1
                sums["revenue"][layer, record.customer] += record.cents
                customers["all"].add(record.customer)
    everyone = customers["all"] | alike
    of_alike = Alike(NONE_ALIKE.cells, pl.Series("customer_id", sorted(alike), dtype=pl.String))
    found = agreement.of_customers(explain(evidence(records), DAY, "UTC"), of_alike)
    wanted = [
        (Subject.CUSTOMERS, name, len(everyone), sum(each["speed", c] == each["batch", c] for c in everyone))
        for name, each in sums.items()
    ]
    assert [(one.subject, one.measure, one.compared, one.alike) for one in found] == (wanted if everyone else [])


def test_what_a_ranking_adds_up_are_measures_of_products() -> None:
    measures = {measure.name for measure in kpis.measures_of(kpis.PRODUCTS)}
    assert {name for ranking in RANKINGS for name in ranking.factors} <= measures


_HOURS = st.lists(
    st.tuples(
        st.sampled_from(["category_minutes", "region_minutes"]),
        st.sampled_from(["customers", "products"]),
        st.none() | st.integers(1, 500),
        st.none() | st.integers(1, 500),
    ).filter(lambda row: row[2:] != (None, None)),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(drawn=_HOURS)
def test_distinct_counts_agree_as_plain_loops_count_them(drawn: list[tuple[str, str, int | None, int | None]]) -> None:
    found = agreement.of_distincts(pl.DataFrame(drawn, schema=HOURLY_DISTINCTS, orient="row"))
    wanted = []
    for rollup, counted in sorted({row[:2] for row in drawn}):
        pairs = [(batch, speed) for *cell, batch, speed in drawn if tuple(cell) == (rollup, counted)]
        off = sum(abs((batch or 0) - (speed or 0)) for batch, speed in pairs)
        batch_sum, speed_sum = (sum(pair[side] or 0 for pair in pairs) for side in (0, 1))
        status = Status.MATCH if 100 * off <= batch_sum else Status.MISMATCH
        if not batch_sum or not speed_sum:
            status = Status.MISSING_IN_SPEED if batch_sum else Status.MISSING_IN_BATCH
        name = f"{counted} by {rollup.removesuffix('_minutes')}"
        alike = sum(batch == speed for batch, speed in pairs)
        wanted.append((name, len(pairs), alike, off / batch_sum if batch_sum else None, status))
    assert [(one.measure, one.compared, one.alike, one.apart, one.status) for one in found] == wanted
