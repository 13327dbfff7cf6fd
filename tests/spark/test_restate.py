"""Which dates are due, and what a restatement changes: thirty published days, then one late order of the twelfth."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from threading import Event

import gates
import pytest
import shop
from installations import tandem
from log import Log, archived_in, order
from pyspark.sql import SparkSession

from reconciliation import cut, reconcile
from spark_jobs import batch, follow, gate, job, publish, restate, runs, staging
from spark_jobs.runs import Kind, Run, Why
from stream import archive
from stream.worker import Worker
from tandem import claims, database
from tandem.errors import TandemError
from tandem.settings import Settings

FIRST, LAST = date(2017, 6, 1), date(2017, 6, 30)
DAYS = [FIRST + timedelta(days=n) for n in range(30)]
TWELFTH = DAYS[11]
MISSED, LATE = Kind.MISSED, Kind.LATE_DATA


def which(published: dict[int, int | None], held: dict[int, int], *, since: int, last: int) -> dict[int, Why]:
    """As restate.which, with the days of June."""
    found = restate.which(
        {DAYS[day - 1]: count for day, count in published.items()},
        {DAYS[day - 1]: count for day, count in held.items()},
        since=DAYS[since - 1],
        last=DAYS[last - 1],
    )
    return {day.day: why for day, why in found.items()}


def kinds(found: dict[int, Why]) -> dict[int, str]:
    return {day: why.kind for day, why in found.items()}


def test_nothing_is_due_where_every_night_published_all_that_came() -> None:
    assert which({1: 5, 2: 7}, {1: 5, 2: 7}, since=1, last=2) == {}


def test_every_night_that_went_by_is_made_up_for_also_where_nothing_was_sold() -> None:
    assert kinds(which({1: 5, 5: 6}, {1: 5, 3: 4, 5: 6}, since=1, last=6)) == dict.fromkeys([2, 3, 4, 6], MISSED)


def test_a_date_that_received_events_is_restated_and_says_how_many() -> None:
    assert which({1: 5, 2: 7}, {1: 6, 2: 7}, since=1, last=2) == {1: Why(LATE, "1 record came after its cut")}


def test_the_nightly_run_s_own_date_is_left_to_it() -> None:
    assert which({1: 5}, {1: 5, 2: 3, 3: 1}, since=1, last=1) == {}


def test_from_before_the_installation_only_holes_between_published_dates_are_filled() -> None:
    assert kinds(which({10: 5, 12: 5}, {2: 1, 10: 5, 11: 4, 12: 5}, since=20, last=21)) == dict.fromkeys(
        [11, 20, 21], MISSED
    )
    assert which({}, {2: 1}, since=20, last=19) == {}


def test_a_date_whose_records_were_never_counted_is_not_known_to_be_behind() -> None:
    assert which({1: None}, {1: 5}, since=2, last=1) == {}


def test_a_job_takes_dates_that_do_not_follow_each_other_in_order() -> None:
    asked = ["--date", "2017-06-12", "--run-id", "a", "--date", "2017-06-30", "--run-id", "b"]
    assert job.parse("batch", asked).dates == (TWELFTH, LAST)
    with pytest.raises(TandemError, match="not in order"):
        job.parse("batch", [*asked[4:], *asked[:4]])


@pytest.fixture
def published(clean_database: Settings, tmp_path: Path) -> tuple[Settings, Log]:
    """An archive of one order of the twelfth and one of the fourteenth, and both dates published without rows."""
    own = archived_in(clean_database, tmp_path)
    log = Log()
    for number, day in enumerate((TWELFTH, DAYS[13])):
        log.add(order(number, f"{day}T12:00:00Z"))
    log.archive(own)
    for version, day in enumerate((TWELFTH, DAYS[13])):
        publish_without_rows(own, day, version, log.ends)
    return own, log


def publish_without_rows(
    own: Settings, day: date, facts_version: int, cut: dict[int, int], views: tuple[str, ...] = publish.VIEWS
) -> None:
    run = runs.open_run(own, runs.new_run_id(day, datetime.now(UTC)), day, kind="scheduled")
    held = restate.archive.look(own)
    counted = restate.archive.count_below(own, held.version, {day: cut})
    runs.record_facts(
        own, run.run_id, archive_version=held.version, facts_version=facts_version, cut=cut, archived=counted[day]
    )
    for table in (table for tables in publish.TABLES.values() for table in tables):
        staging.begin(own, table, (run,))
        staging.finish(own, table, (run,))
    gates.passes(own, run.run_id)
    publish.publish(own, run.run_id, day, published_by="test", views=views)


@pytest.mark.integration
def test_records_above_the_cut_are_not_counted_and_make_the_date_due(published: tuple[Settings, Log]) -> None:
    own, log = published
    held = restate.archive.look(own)
    assert held.counts == {TWELFTH: 1, DAYS[13]: 1}
    assert restate.archive.count_below(own, held.version, {TWELFTH: {0: 0}, DAYS[13]: {0: 2, 5: 9}}) == {
        TWELFTH: 0,
        DAYS[13]: 1,
    }
    assert restate.due(own, LAST) == {}
    log.add(order(7, f"{TWELFTH}T13:00:00Z"), 2)
    log.add(order(8, f"{TWELFTH}T13:00:00Z"), dated=False)
    log.archive(own)
    assert restate.due(own, LAST) == {TWELFTH: Why(LATE, "1 record came after its cut")}


@pytest.mark.integration
def test_a_date_whose_rankings_are_older_than_its_metrics_is_due(published: tuple[Settings, Log]) -> None:
    own, log = published
    log.add(order(7, f"{TWELFTH}T13:00:00Z"))
    log.archive(own)
    publish_without_rows(own, TWELFTH, 0, log.ends, ("daily_metrics",))
    assert restate.due(own, LAST) == {TWELFTH: Why(LATE, "1 record came after its cut")}
    publish_without_rows(own, TWELFTH, 0, log.ends)
    assert restate.due(own, LAST) == {}


@pytest.mark.integration
def test_a_date_whose_facts_a_trial_wrote_anew_is_due_since_later_dates_read_them(
    published: tuple[Settings, Log],
) -> None:
    own, log = published
    trial = runs.open_run(own, runs.new_run_id(TWELFTH, datetime.now(UTC)), TWELFTH, kind=runs.Kind.TRIAL)
    runs.record_facts(own, trial.run_id, archive_version=0, facts_version=1, cut=log.ends, archived=1)
    why = Why(runs.Kind.RECOMPUTE, f"run {trial.run_id} wrote its facts anew and was not published")
    assert restate.due(own, LAST) == {TWELFTH: why}
    with database.connect(own, database.BATCH, autocommit=True) as connection:
        assert not claims.take(connection, [TWELFTH], "somebody at work")
        assert restate.due(own, LAST) == {}
        claims.release(connection, "somebody at work")
    publish_without_rows(own, TWELFTH, 1, log.ends)
    assert restate.due(own, LAST) == {}


@pytest.mark.integration
def test_before_anything_was_archived_nothing_is_due(clean_database: Settings, tmp_path: Path) -> None:
    own = clean_database.model_copy(update={"archive_uri": str(tmp_path / "archive")})
    assert restate.due(own, date(2100, 1, 1)) == {}


@pytest.mark.integration
def test_segments_are_stale_once_an_earlier_date_has_newer_facts(published: tuple[Settings, Log]) -> None:
    own, log = published
    assert restate.stale(own) == {}
    publish_without_rows(own, DAYS[13], 2, log.ends)
    assert restate.stale(own) == {}, "a date does not depend on one after it"
    publish_without_rows(own, TWELFTH, 3, log.ends)
    assert restate.stale(own) == {DAYS[13]: ("rfm",)}


@pytest.mark.integration
def test_rankings_are_stale_once_the_day_before_has_newer_facts(published: tuple[Settings, Log]) -> None:
    own, log = published
    publish_without_rows(own, DAYS[12], 1, log.ends)
    publish_without_rows(own, DAYS[13], 1, log.ends)
    assert restate.stale(own, after=[DAYS[11]]) == {DAYS[12]: ("rfm", "product_rankings"), DAYS[13]: ("rfm",)}
    publish_without_rows(own, TWELFTH, 2, log.ends, ("daily_metrics",))
    assert restate.stale(own)[DAYS[12]] == ("rfm", "product_rankings")
    assert restate.stale(own)[DAYS[13]] == ("rfm",)


@pytest.mark.integration
def test_the_command_says_what_is_due_and_why(published: tuple[Settings, Log]) -> None:
    own, log = published
    log.add(order(7, f"{TWELFTH}T13:00:00Z"))
    log.add(order(8, f"{DAYS[12]}T13:00:00Z"))
    log.archive(own)
    done = tandem(own, "restate", "--dry-run", "--json")
    assert json.loads(done.stdout) == {
        "due": [
            {"business_date": "2017-06-12", "kind": "late_data", "reason": "1 record came after its cut"},
            {"business_date": "2017-06-13", "kind": "missed", "reason": "it was never published"},
        ],
        "segments": ["2017-06-14"],
    }
    told = tandem(own, "restate", "--dry-run").stdout
    assert told.splitlines()[-1] == "then the segments, or rankings, from 2017-06-14 to 2017-06-14"


DROPPED = """
    SELECT array_agg(DISTINCT product_id) FROM serving.product_rankings
    WHERE business_date = %s AND movement = 'DROPPED'"""
"""The products that were sold on the day before and not on this one."""


class Books:
    """The whole way from orders to published views, on real Kafka, Postgres and Spark."""

    def __init__(self, settings: Settings, spark: SparkSession) -> None:
        self.settings, self._spark = settings, spark
        self._shop = shop.Shop(settings)
        self._sold = 0

    def sell(self, days: list[date], each: int = 3, product: str = "milk") -> None:
        """Orders of 1.00, each of another customer, at noon of every day; counted by the stream and archived."""
        moments = [datetime.combine(day, time(12), UTC) for day in days for _ in range(each)]
        numbers = range(self._sold, self._sold + len(moments))
        self._sold += len(moments)
        # One partition, so that an order of an earlier day is late.
        orders = [shop.order(n, at) for n, at in zip(numbers, moments, strict=True)]
        self._shop.send([event.replace(b"milk", product.encode()) for event in orders], partition=0)
        Worker(self.settings, Event()).run(until_caught_up=True)
        archive.archive(self.settings, stop=Event(), until_caught_up=True)

    def open(self, dates: dict[date, Why]) -> tuple[Run, ...]:
        opened = []
        for day, why in dates.items():
            run_id = runs.new_run_id(day, datetime.now(UTC))
            cut.take(self.settings, day, run_id)
            opened.append(runs.open_run(self.settings, run_id, day, kind=why.kind, reason=why.reason))
        return tuple(opened)

    def do(self, dates: dict[date, Why]) -> None:
        """What the DAG does with dates that are due, but for the corrections."""
        opened = self.open(dates)
        batch.compute(job.Job("batch", self._spark, self.settings, opened))
        for run in opened:
            gate.check(self.settings, run.run_id, run.business_date)
            publish.publish(self.settings, run.run_id, run.business_date, published_by="test")

    def follow(self) -> None:
        opened = restate.open_dependents(self.settings, restate.stale(self.settings), requested_by="")
        follow.compute(job.Job("follow", self._spark, self.settings, opened))
        restate.publish_dependents(
            self.settings, {run.business_date: run.run_id for run in opened}, published_by="test"
        )

    def versions(self, view: str) -> dict[date, list[tuple[int, str]]]:
        """Version and kind of run, by date."""
        found: dict[date, list[tuple[int, str]]] = {}
        with database.connect(self.settings, database.READER) as reader:
            rows = reader.execute(
                "SELECT business_date, version, why FROM serving.history WHERE view = %s ORDER BY 1, 2", [view]
            )
            for day, version, why in rows:
                found.setdefault(day, []).append((version, why))
        return found

    def one(self, query: str, *parameters: object) -> tuple[object, ...]:
        with database.connect(self.settings, database.READER) as reader:
            (row,) = reader.execute(query, parameters).fetchall()
        return row


@pytest.mark.spark
@pytest.mark.integration
@pytest.mark.usefixtures("clean_database")
def test_one_late_order_restates_its_day_and_the_segments_that_follow_and_nothing_else(
    topic_prefix: Settings, spark: SparkSession
) -> None:
    books = Books(topic_prefix, spark)
    books.sell(DAYS)
    books.do(dict.fromkeys(DAYS, Why(Kind.BACKFILL, "June")))
    assert restate.due(topic_prefix, LAST) == {}
    assert restate.stale(topic_prefix) == {}

    books.sell([TWELFTH], each=1, product="ale")
    due = restate.due(topic_prefix, LAST)
    assert due == {TWELFTH: Why(LATE, "1 record came after its cut")}
    assert restate.touched(topic_prefix, due) == DAYS[11:]
    books.do(due)
    compared = reconcile.run(topic_prefix, TWELFTH, dry_run=True)
    assert books.one("SELECT version, order_count FROM serving.daily WHERE business_date = %s", TWELFTH) == (2, 4)
    batch_side = books.one(
        "SELECT batch_value FROM reconciliation.comparisons"
        " WHERE reconciliation_id = %s AND metric = 'order_count' AND level = 'day'",
        compared.reconciliation_id,
    )
    assert batch_side == (4,)

    assert list(restate.stale(topic_prefix)) == DAYS[12:]
    assert books.one("SELECT count(DISTINCT business_date) FROM serving.rfm WHERE stale") == (18,)
    assert books.one("SELECT array_agg(DISTINCT business_date) FROM serving.product_rankings WHERE stale") == (
        [DAYS[12]],
    )
    assert books.one(DROPPED, DAYS[12]) == (None,), "what the stale rankings do not know"
    books.follow()
    assert restate.stale(topic_prefix) == {}
    assert books.one(DROPPED, DAYS[12]) == (["ale"],)
    assert restate.due(topic_prefix, LAST) == {}

    once = {day: [(1, "backfill")] for day in DAYS}
    restated = {TWELFTH: [(1, "backfill"), (2, "late_data")]}
    assert books.versions("daily_metrics") == once | restated
    followed = {day: [(1, "backfill"), (2, "dependent")] for day in DAYS[12:]}
    assert books.versions("product_rankings") == once | restated | {DAYS[12]: followed[DAYS[12]]}
    assert books.versions("rfm") == once | restated | followed
    customers = books.one("SELECT count(*) FROM serving.rfm WHERE business_date = %s AND grid = 'five'", LAST)
    assert customers == (91,)
