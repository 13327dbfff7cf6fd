"""What segments and rankings are made of where the gate refused an earlier date, or nobody has published it.

Real Postgres and Spark: archive, facts, segments, rankings and publication are the ones of a night. Each order is of a
customer of its own.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import gates
import pytest
from deltalake import DeltaTable
from log import Log, archived_in, order
from pyspark.sql import SparkSession

from spark_jobs import ahead, batch, facts, follow, job, order_facts, publish, restate, runs, staging
from spark_jobs.runs import Kind, Run
from tandem import database
from tandem.settings import Settings

pytestmark = [pytest.mark.spark, pytest.mark.integration]

FIRST, SECOND, THIRD = (date(2017, 6, day) for day in (1, 2, 3))


class Nights:
    """Runs of dates as a night makes them, and what readers see of them."""

    def __init__(self, own: Settings, spark: SparkSession) -> None:
        self.own, self.spark, self.log = own, spark, Log(partitions=1)

    def sell(self, day: date, customer: str, product: str = "milk") -> None:
        number = len(self.log.records)
        items = [{"product_id": product, "category": "all", "quantity": 1, "amount": "10.00"}]
        self.log.add(order(number, f"{day}T12:00:00Z", customer_id=customer, items=items))
        self.log.archive(self.own)

    def run(self, *days: date, kind: str = "scheduled", fails: tuple[date, ...] = ()) -> list[Run]:
        """Compute, check and publish dates in one application; the gate of those that are to fail finds a fault."""
        opened = tuple(runs.open_run(self.own, runs.new_run_id(day, datetime.now(UTC)), day, kind=kind) for day in days)
        batch.compute(job.Job("batch", self.spark, self.own, opened))
        for run in opened:
            self.end(run, passes=run.business_date not in fails)
        return list(opened)

    def end(self, run: Run, *, passes: bool = True) -> None:
        gates.finds(self.own, run.run_id, fault=not passes)
        if passes:
            publish.publish(self.own, run.run_id, run.business_date, published_by="test")

    def follow(self) -> dict[date, tuple[str, ...]]:
        """What a restatement does with stale segments and rankings."""
        stale = restate.stale(self.own)
        opened = restate.open_dependents(self.own, stale, requested_by="")
        follow.compute(job.Job("follow", self.spark, self.own, opened))
        by_date = {run.business_date: run.run_id for run in opened}
        restate.publish_dependents(self.own, by_date, published_by="test")
        return stale

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with database.connect(self.own, database.READER) as reader:
            return reader.execute(query, parameters).fetchall()

    def customers(self, day: date) -> set[str]:
        return {name for (name,) in self.rows("SELECT customer_id FROM serving.rfm WHERE business_date = %s", day)}

    def segments(self, day: date) -> tuple[Any, ...]:
        query = "SELECT status, dates_unchecked, dates_left_out, reason FROM serving.rfm_dates WHERE business_date = %s"
        (row,) = self.rows(query, day)
        return row

    def movements(self, day: date) -> dict[str, tuple[Any, ...]]:
        query = (
            "SELECT product_id, movement, previous_rank FROM serving.product_rankings"
            " WHERE business_date = %s AND scope = 'overall' AND measure = 'units'"
        )
        return {product: tuple(rest) for product, *rest in self.rows(query, day)}


def without_rows(asked: job.Job) -> None:
    for table in publish.TABLES["daily_metrics"]:
        staging.begin(asked.settings, table, asked.runs)
        staging.finish(asked.settings, table, asked.runs)


@pytest.fixture
def nights(clean_database: Settings, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    """The metrics are published without rows: here they only say which facts of a date are."""
    monkeypatch.setitem(ahead.STAGES, "daily_metrics", without_rows)
    return Nights(archived_in(clean_database, tmp_path), spark)


CERTIFIED = ("certified", 0, 0, "")


def test_segments_and_rankings_leave_out_a_date_whose_gate_failed_and_are_made_anew_when_it_is_published(
    nights: Nights,
) -> None:
    nights.sell(FIRST, "ann")
    nights.sell(SECOND, "bob", "ale")
    nights.sell(THIRD, "cat")
    nights.run(FIRST)
    nights.run(SECOND, fails=(SECOND,))
    nights.run(THIRD)
    assert nights.customers(THIRD) == {"ann", "cat"}
    without = "without 1 earlier date whose facts the gate refused, or that are lost (the first is 2017-06-02)"
    assert nights.segments(THIRD) == ("incomplete", 0, 1, without)
    assert nights.segments(FIRST) == CERTIFIED
    assert nights.movements(THIRD) == {"milk": (None, None)}, "nobody knows what was sold on the day before"
    assert restate.stale(nights.own) == {}

    nights.run(SECOND)
    assert nights.segments(THIRD)[0] == "stale"
    assert restate.stale(nights.own) == {THIRD: ("rfm", "product_rankings")}
    nights.follow()
    assert restate.stale(nights.own) == {}
    assert nights.customers(THIRD) == {"ann", "bob", "cat"}
    assert nights.segments(THIRD) == CERTIFIED
    assert nights.movements(THIRD) == {"milk": ("NEW", None), "ale": ("DROPPED", 1)}


def test_a_later_run_that_was_refused_does_not_replace_what_is_published_of_its_date(nights: Nights) -> None:
    """Its facts are the newest in the table, and segments of later dates were made of them."""
    nights.sell(FIRST, "ann")
    nights.run(FIRST)
    nights.sell(FIRST, "bob", "ale")
    nights.run(FIRST, fails=(FIRST,))
    nights.sell(SECOND, "cat")
    nights.run(SECOND)
    assert nights.customers(SECOND) == {"ann", "cat"}
    assert nights.movements(SECOND) == {"milk": ("SAME", 1)}
    assert nights.segments(SECOND) == CERTIFIED


def test_what_a_killed_run_left_in_the_table_does_not_replace_what_is_published_of_its_date(nights: Nights) -> None:
    """It was killed after its commit and before it noted the version, so the database knows of none."""
    nights.sell(FIRST, "ann")
    (published,) = nights.run(FIRST)
    rows = facts.read(nights.spark, nights.own)
    version = facts.write(rows.limit(0), nights.own, [FIRST], mark="killed")
    assert DeltaTable(nights.own.order_facts).version() == version
    nights.sell(SECOND, "bob")
    nights.run(SECOND)
    assert nights.customers(SECOND) == {"ann", "bob"}
    assert nights.segments(SECOND) == CERTIFIED
    assert published.business_date == FIRST


def test_segments_of_a_range_in_which_a_date_is_refused_are_stale_at_once(nights: Nights) -> None:
    """All dates of a range are computed before the first gate."""
    days = (FIRST, SECOND, THIRD)
    for day, customer in zip(days, ("ann", "bob", "cat"), strict=True):
        nights.sell(day, customer)
    nights.run(*days, fails=(SECOND,))
    assert [nights.segments(day)[0] for day in (FIRST, THIRD)] == ["certified", "stale"]
    assert nights.follow() == {THIRD: ("rfm", "product_rankings")}
    assert nights.customers(THIRD) == {"ann", "cat"}
    assert nights.segments(THIRD)[:3] == ("incomplete", 0, 1)
    assert nights.follow() == {}, "once is enough"


def test_facts_that_nobody_published_are_read_and_counted_and_make_segments_stale_once_they_change(
    nights: Nights,
) -> None:
    nights.sell(FIRST, "ann")
    nights.sell(SECOND, "bob")
    nights.run(SECOND)  # which builds the first on the way
    assert nights.customers(SECOND) == {"ann", "bob"}
    with_it = "with 1 earlier date that nobody has published (the first is 2017-06-01)"
    assert nights.segments(SECOND) == ("unchecked", 1, 0, with_it)

    nights.sell(FIRST, "late")
    nights.sell(THIRD, "cat")
    nights.run(THIRD)  # which builds the first anew on the way
    assert nights.customers(THIRD) == {"ann", "late", "bob", "cat"}
    assert nights.segments(SECOND)[0] == "stale"
    assert nights.follow() == {SECOND: ("rfm", "product_rankings")}
    assert nights.customers(SECOND) == {"ann", "late", "bob"}
    assert nights.segments(SECOND)[:3] == ("unchecked", 1, 0)

    nights.run(FIRST)
    assert set(nights.follow()) == {SECOND, THIRD}
    assert [nights.segments(day) for day in (FIRST, SECOND, THIRD)] == [CERTIFIED] * 3


def test_a_range_by_one_application_is_what_its_dates_are_one_by_one(nights: Nights) -> None:
    days = [FIRST + timedelta(days=n) for n in range(4)]
    for n, day in enumerate(days):
        nights.sell(day, f"c{n}")
    nights.run(*days)
    everything = (
        "SELECT business_date, grid, customer_id, recency_days, segment, previous_segment FROM serving.rfm"
        " ORDER BY 1, 2, 3"
    )
    at_once = nights.rows(everything)
    for day in days:
        nights.run(day)
    assert nights.rows(everything) == at_once
    assert {nights.segments(day) for day in days} == {CERTIFIED}
    assert restate.stale(nights.own) == {}, "nothing was computed before a date that it is made of"


def test_a_view_computed_later_under_its_run_reads_what_is_published_by_then(nights: Nights) -> None:
    """As when somebody clears the task of a run that is not through: an earlier date was restated after its facts."""
    nights.sell(FIRST, "ann")
    nights.sell(SECOND, "bob")
    nights.run(FIRST)
    run = runs.open_run(nights.own, runs.new_run_id(SECOND, datetime.now(UTC)), SECOND)
    asked = job.Job("order_facts", nights.spark, nights.own, (run,))
    order_facts.compute(asked)
    nights.sell(FIRST, "late")
    nights.run(FIRST, kind=Kind.LATE_DATA)
    ahead.stage(asked)
    nights.end(run)
    assert nights.customers(SECOND) == {"ann", "late", "bob"}
    assert nights.segments(SECOND) == CERTIFIED
