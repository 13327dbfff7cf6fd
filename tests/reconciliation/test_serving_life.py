"""Whatever runs, fails, is filled in later or comes late: of every date the serving view says what a model says."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from installations import empty_database

from tandem.settings import Settings
from tests.reconciliation.books import DAY, START, Order, execute, insert, write_batch, write_speed

pytestmark = pytest.mark.integration

DATES = [DAY + timedelta(days=number) for number in range(4)]
GATE = "revenue is near the usual"
dates = st.sampled_from(DATES)
happenings = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("sell", "sell_late")), dates),
        st.tuples(st.sampled_from(("publish", "fail", "die", "pass_without_publishing", "fail_a_trial")), dates),
    ),
    max_size=14,
)
Said = tuple[Any, ...]


@dataclass
class Kept:
    """What the model knows of a date. ``refused``: whether the last run that came to its gates failed them."""

    sold: list[Order] = field(default_factory=list)
    streamed: list[Order] = field(default_factory=list)
    published: list[Order] | None = None
    versions: int = 0
    refused: bool = False
    tried: bool = False

    def said(self) -> Said:
        """status, layer, version, complete, reason, orders, revenue, customers, pieces."""
        if self.published is not None:
            reason = f"a later run failed its gates: {GATE}" if self.refused else ""
            return ("certified", "batch", self.versions, True, reason, *figures(self.published))
        if self.refused:
            return ("failed", None, None, False, f"the gates failed: {GATE}", None, None, None, None)
        if self.streamed:
            reason = "the nightly run for this date never published"
            return ("overdue", "speed", None, False, reason, *figures(self.streamed))
        return ("missing", None, None, False, "neither layer has this date", None, None, None, None)


def figures(orders: list[Order]) -> Said:
    customers = {order.customer for order in orders}
    return (len(orders), sum(o.cents for o in orders), len(customers), sum(o.units for o in orders))


class Life:
    """Does to the real tables what happens, and to the model what it means."""

    def __init__(self, own: Settings) -> None:
        empty_database(own)
        self._own, self._count = own, 0
        self.kept = {day: Kept() for day in DATES}

    def _order(self, day: date) -> Order:
        """Each order has a minute, a customer and a product of its own, so that its panes are, too."""
        self._count += 1
        when = START + (day - DAY) + timedelta(minutes=self._count)
        of = str(self._count)
        return Order(f"o{of}", 100 + self._count, when, f"c{of}", f"p{of}", f"k{of}", 1 + self._count % 3)

    def sell(self, day: date) -> None:
        order = self._order(day)
        write_speed(self._own, [order])
        self.kept[day].streamed.append(order)
        self.kept[day].sold.append(order)

    def sell_late(self, day: date) -> None:
        self.kept[day].sold.append(self._order(day))

    def _run(self, day: date, *, publish: bool, passes: bool) -> str:
        self._count += 1
        run_id = f"r{self._count}"
        write_batch(self._own, self.kept[day].sold, run_id, day=day, publish=publish)
        if not passes:
            gate = {"suite": "order_facts", "expectation": GATE, "level": "fail", "success": False}
            insert(self._own, "batch.gate_results", run_id=run_id, business_date=day, **gate)
        self.kept[day].tried = True
        return run_id

    def publish(self, day: date) -> None:
        self._run(day, publish=True, passes=True)
        kept = self.kept[day]
        kept.published, kept.versions, kept.refused = list(kept.sold), kept.versions + 1, False

    def pass_without_publishing(self, day: date) -> None:
        self._run(day, publish=False, passes=True)
        self.kept[day].refused = False

    def fail(self, day: date) -> None:
        self._run(day, publish=False, passes=False)
        self.kept[day].refused = True

    def fail_a_trial(self, day: date) -> None:
        run_id = self._run(day, publish=False, passes=False)
        execute(self._own, "UPDATE batch.runs SET kind = 'trial' WHERE run_id = %s", [run_id])

    def die(self, day: date) -> None:
        self._count += 1
        run = {"kind": "manual", "code_version": "test", "rule_version": "1"}
        insert(self._own, "batch.runs", run_id=f"r{self._count}", business_date=day, **run)
        self.kept[day].tried = True

    def said(self) -> dict[date, Said]:
        rows = execute(
            self._own,
            "SELECT business_date, status, layer, version, complete, reason, order_count, revenue_cents,"
            " unique_customers, units FROM serving.daily WHERE business_date = ANY (%s)",
            [DATES],
        )
        return {day: tuple(said) for day, *said in rows}

    def expected(self) -> dict[date, Said]:
        """Of every date from the first to the last that anybody has heard of."""
        known = [day for day, kept in self.kept.items() if kept.streamed or kept.tried]
        return {day: kept.said() for day, kept in self.kept.items() if known and known[0] <= day <= known[-1]}


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(happenings=happenings)
def test_every_date_shows_the_certified_figure_or_the_streams_or_none_and_says_why(
    clean_database: Settings, happenings: list[tuple[str, date]]
) -> None:
    life = Life(clean_database)
    for happening, day in happenings:
        getattr(life, happening)(day)
        assert life.said() == life.expected()
