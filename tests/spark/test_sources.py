"""What segments and rankings are made of where the gate refused an earlier date, or nobody has published it.

Real Postgres and Spark: archive, facts, segments, rankings and publication are the ones of a night. Each order is of a
customer of its own.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import gates
import polars as pl
import pytest
from deltalake import DeltaTable
from log import Log, archived_in, order
from pyspark.sql import SparkSession

from spark_jobs import ahead, batch, follow, job, publish, restate, rfm, runs, sources, staging
from spark_jobs.runs import Run
from tandem import database
from tandem.settings import Settings

pytestmark = [pytest.mark.spark, pytest.mark.integration]

FIRST, SECOND, THIRD = (date(2017, 6, day) for day in (1, 2, 3))


class Nights:
    """Runs of dates as a night makes them, and what readers see of them."""

    def __init__(self, own: Settings, spark: SparkSession) -> None:
        self.own, self.spark, self.log = own, spark, Log(partitions=1)
        self.sold: dict[date, list[str]] = {}

    def sell(self, day: date, customer: str, product: str = "milk") -> None:
        number = len(self.log.records)
        items = [{"product_id": product, "category": "all", "quantity": 1, "amount": "10.00"}]
        self.log.add(order(number, f"{day}T12:00:00Z", customer_id=customer, items=items))
        self.sold.setdefault(day, []).append(customer)

    def run(self, *days: date, kind: str = "scheduled", fails: tuple[date, ...] = ()) -> list[Run]:
        """Compute, check and publish dates in one application; the gate of those that are to fail finds a fault."""
        self.log.archive(self.own)
        opened = tuple(self.open(day, kind) for day in days)
        batch.compute(job.Job("batch", self.spark, self.own, opened))
        for run in opened:
            self.end(run, passes=run.business_date not in fails)
        return list(opened)

    def segment(self, *days: date, fails: tuple[date, ...] = ()) -> None:
        """As ``run``, but for segments alone, of facts that are written without Spark."""
        opened = tuple(self.open(day) for day in days)
        version = self.write(*days)
        for run in opened:
            self.note(run, version)
        rfm.compute(job.Job("batch", self.spark, self.own, opened, together=True))
        for run in opened:
            self.end(run, passes=run.business_date not in fails, views=("daily_metrics", "rfm"))

    def open(self, day: date, kind: str = "scheduled") -> Run:
        return runs.open_run(self.own, runs.new_run_id(day, datetime.now(UTC)), day, kind=kind)

    def note(self, run: Run, version: int) -> None:
        """The run has facts of its date, and its metrics are staged, without rows: they say which facts count."""
        runs.record_facts(self.own, run.run_id, archive_version=0, facts_version=version, cut={0: 9}, archived=1)
        without_rows(job.Job("daily_metrics", self.spark, self.own, (run,)))

    def write(self, *days: date, known: bool = True) -> int:
        """Put the facts of dates into order_facts; not ``known`` is what a run has written that is killed then."""
        rows = [
            {"business_date": day, "customer_id": customer, "total_cents": 1000, "decision": "counted"}
            for day in days
            for customer in self.sold[day]
        ]
        frame = pl.DataFrame(rows).with_columns(event_type=pl.lit("order_created"))
        options: dict[str, Any] = {"partition_by": ["business_date"]}
        if Path(self.own.order_facts).exists():
            options = {"predicate": f"business_date IN ({', '.join(repr(str(day)) for day in days)})"}
        frame.write_delta(self.own.order_facts, mode="overwrite", delta_write_options=options)
        version = DeltaTable(self.own.order_facts).version()
        return sources.look(self.own, version, days) if known else version

    def end(self, run: Run, *, passes: bool = True, views: tuple[str, ...] = publish.VIEWS) -> None:
        gates.finds(self.own, run.run_id, fault=not passes)
        if passes:
            publish.publish(self.own, run.run_id, run.business_date, published_by="test", views=views)

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
    assert nights.movements(THIRD) == {"milk": (None, None)}, "not known before they are made anew"
    assert restate.stale(nights.own) == {THIRD: ("rfm", "product_rankings")}
    nights.follow()
    assert restate.stale(nights.own) == {}
    assert nights.customers(THIRD) == {"ann", "bob", "cat"}
    assert nights.segments(THIRD) == CERTIFIED
    assert nights.movements(THIRD) == {"milk": ("NEW", None), "ale": ("DROPPED", 1)}


def test_a_day_before_that_nobody_had_when_rankings_were_made_leaves_movements_unknown_once_it_comes(
    nights: Nights,
) -> None:
    nights.sell(THIRD, "cat")
    nights.run(THIRD)
    assert nights.movements(THIRD) == {"milk": ("NEW", None)}, "the shop's first day"
    nights.sell(SECOND, "bob", "ale")
    nights.run(SECOND)
    assert nights.movements(THIRD) == {"milk": (None, None)}


def test_a_later_run_that_was_refused_does_not_replace_what_is_published_of_its_date(nights: Nights) -> None:
    """Its facts are the newest in the table, and segments of later dates were made of them."""
    nights.sell(FIRST, "ann")
    nights.segment(FIRST)
    nights.sell(FIRST, "bob")
    nights.segment(FIRST, fails=(FIRST,))
    nights.sell(SECOND, "cat")
    nights.segment(SECOND)
    assert nights.customers(SECOND) == {"ann", "cat"}
    assert nights.segments(SECOND) == CERTIFIED


def test_what_a_killed_run_left_in_the_table_does_not_replace_what_is_published_of_its_date(nights: Nights) -> None:
    """It was killed after its commit and before it noted the version, so the database knows of none."""
    nights.sell(FIRST, "ann")
    nights.segment(FIRST)
    nights.sell(FIRST, "bob")
    nights.write(FIRST, known=False)
    nights.sell(SECOND, "cat")
    nights.segment(SECOND)
    assert nights.customers(SECOND) == {"ann", "cat"}
    assert nights.segments(SECOND) == CERTIFIED


def test_segments_of_a_range_in_which_a_date_is_refused_are_stale_at_once(nights: Nights) -> None:
    """All dates of a range are computed before the first gate."""
    days = (FIRST, SECOND, THIRD)
    for day, customer in zip(days, ("ann", "bob", "cat"), strict=True):
        nights.sell(day, customer)
    nights.segment(*days, fails=(SECOND,))
    assert [nights.segments(day)[0] for day in (FIRST, THIRD)] == ["certified", "stale"]
    assert nights.follow() == {THIRD: ("rfm",)}
    assert nights.customers(THIRD) == {"ann", "cat"}
    assert nights.segments(THIRD)[:3] == ("incomplete", 0, 1)
    assert restate.stale(nights.own) == {}, "once is enough"


def test_facts_that_nobody_published_are_read_and_counted_and_make_segments_stale_once_they_change(
    nights: Nights,
) -> None:
    nights.sell(FIRST, "ann")
    nights.sell(SECOND, "bob")
    nights.write(FIRST)  # as on the way of another date
    nights.segment(SECOND)
    assert nights.customers(SECOND) == {"ann", "bob"}
    with_it = "with 1 earlier date that nobody has published (the first is 2017-06-01)"
    assert nights.segments(SECOND) == ("unchecked", 1, 0, with_it)

    nights.sell(FIRST, "late")
    nights.write(FIRST)
    assert nights.segments(SECOND)[0] == "stale"
    assert nights.follow() == {SECOND: ("rfm",)}
    assert nights.customers(SECOND) == {"ann", "late", "bob"}
    assert nights.segments(SECOND) == ("unchecked", 1, 0, with_it)

    nights.segment(FIRST)
    assert nights.follow() == {SECOND: ("rfm",)}
    assert [nights.segments(day) for day in (FIRST, SECOND)] == [CERTIFIED] * 2


def test_dates_one_by_one_are_what_they_are_as_a_range_and_a_view_computed_later_reads_what_is_published_by_then(
    nights: Nights,
) -> None:
    nights.sell(FIRST, "ann")
    nights.sell(SECOND, "bob")
    nights.segment(FIRST, SECOND)
    everything = (
        "SELECT business_date, grid, customer_id, recency_days, previous_segment FROM serving.rfm ORDER BY 1, 2, 3"
    )
    at_once = nights.rows(everything)
    again = nights.open(SECOND)
    nights.note(again, nights.write(SECOND))
    nights.segment(FIRST)  # a date before it is published anew after its facts were written
    rfm.compute(job.Job("rfm", nights.spark, nights.own, (again,)))
    nights.end(again, views=("daily_metrics", "rfm"))
    assert nights.rows(everything) == at_once
    assert {nights.segments(day) for day in (FIRST, SECOND)} == {CERTIFIED}
