"""Publication: what readers see of a run, and what stays of the ones before."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime

import gates
import pytest

from spark_jobs import publish, runs, staging
from tandem import database
from tandem.errors import TandemError
from tandem.settings import Settings

pytestmark = pytest.mark.integration

DAY = date(2017, 12, 23)
NOW = datetime(2017, 12, 24, 2, tzinfo=UTC)
Opener = Callable[..., runs.Run]


@pytest.fixture
def staged(clean_database: Settings) -> Opener:
    """Opens a run of a date with complete rows, though none, in every table but those left out."""

    def stage(day: date = DAY, without: tuple[str, ...] = (), kind: str = "scheduled") -> runs.Run:
        run = runs.open_run(clean_database, runs.new_run_id(day, NOW), day, kind=kind)
        for table in (table for tables in publish.TABLES.values() for table in tables):
            if table not in without:
                staging.begin(clean_database, table, (run,))
                staging.finish(clean_database, table, (run,))
        gates.passes(clean_database, run.run_id)
        return run

    return stage


def of(settings: Settings, run: runs.Run, **options: object) -> dict[str, int]:
    return publish.publish(settings, run.run_id, run.business_date, published_by="test", **options)


def history(settings: Settings, view: str = "daily_metrics") -> list[tuple[int, str, bool]]:
    with database.connect(settings, database.READER) as connection:
        return connection.execute(
            "SELECT version, run_id, superseded_at IS NULL FROM batch.versions WHERE view = %s ORDER BY version",
            (view,),
        ).fetchall()


def test_the_first_publication_is_version_one_of_every_view(clean_database: Settings, staged: Opener) -> None:
    assert of(clean_database, staged()) == {"daily_metrics": 1, "rfm": 1, "product_rankings": 1}


def test_a_later_run_supersedes_and_the_history_stays(clean_database: Settings, staged: Opener) -> None:
    first, second = staged(), staged()
    of(clean_database, first)
    assert of(clean_database, second) == {"daily_metrics": 2, "rfm": 2, "product_rankings": 2}
    assert history(clean_database) == [(1, first.run_id, False), (2, second.run_id, True)]


def test_publishing_the_current_run_again_changes_nothing(clean_database: Settings, staged: Opener) -> None:
    run = staged()
    assert of(clean_database, run) == of(clean_database, run)
    assert history(clean_database) == [(1, run.run_id, True)]


@pytest.mark.parametrize("published_before", [True, False])
def test_a_run_that_began_before_the_published_one_does_not_bring_back_what_was_known_then(
    clean_database: Settings, staged: Opener, published_before: bool
) -> None:
    first, second = staged(), staged()
    if published_before:
        of(clean_database, first)
    of(clean_database, second)
    before = history(clean_database)
    with pytest.raises(TandemError, match=f"is older than version {len(before)} of daily_metrics .*compute the date"):
        of(clean_database, first)
    assert history(clean_database) == before


def test_one_view_can_be_published_alone(clean_database: Settings, staged: Opener) -> None:
    of(clean_database, staged())
    run = staged(without=("rfm", "product_rankings"))
    assert of(clean_database, run, views=("daily_metrics",)) == {"daily_metrics": 2}
    assert len(history(clean_database, "rfm")) == 1


@pytest.mark.parametrize("table", ["daily_metrics", "product_hours", "rfm", "product_rankings"])
def test_nothing_is_published_while_one_table_is_not_complete(
    clean_database: Settings, staged: Opener, table: str
) -> None:
    with pytest.raises(TandemError, match=f"no complete rows in {table}"):
        of(clean_database, staged(without=(table,)))
    assert history(clean_database) == []


def test_rows_that_are_being_written_again_are_not_complete(clean_database: Settings, staged: Opener) -> None:
    run = staged()
    staging.begin(clean_database, "rfm", (run,))
    with pytest.raises(TandemError, match="no complete rows in rfm"):
        of(clean_database, run)


def test_a_run_whose_gate_failed_is_not_published(clean_database: Settings, staged: Opener) -> None:
    run = staged()
    with database.connect(clean_database, database.BATCH) as connection:
        connection.cursor().executemany(
            "INSERT INTO batch.gate_results (run_id, business_date, suite, expectation, level, success)"
            " VALUES (%s, %s, 'order_facts', %s, %s, %s)",
            [
                (run.run_id, DAY, "ids are unique", "fail", False),
                (run.run_id, DAY, "few are quarantined", "warn", False),
            ],
        )
    with pytest.raises(TandemError, match=r"gates failed \(ids are unique\)"):
        of(clean_database, run)
    assert history(clean_database) == []


def put_facts(settings: Settings, run: runs.Run, version: int, cut: dict[int, int]) -> None:
    runs.record_facts(settings, run.run_id, archive_version=0, facts_version=version, cut=cut, archived=1)


def restage(settings: Settings, run: runs.Run) -> None:
    for table in (table for tables in publish.TABLES.values() for table in tables):
        staging.begin(settings, table, (run,))
        staging.finish(settings, table, (run,))


def test_what_no_gate_has_checked_is_not_published(clean_database: Settings, staged: Opener) -> None:
    """As by spark-submit and a cleared task: nothing had failed, so everything was published."""
    run = staged()
    with database.connect(clean_database, database.BATCH) as connection:
        connection.execute("DELETE FROM batch.gate_results")
    remedy = f"spark_jobs.gate --run-id {run.run_id} --date {DAY};"
    with pytest.raises(TandemError, match=f"no gate has checked the order facts that run {run.run_id} .*{remedy}"):
        of(clean_database, run)
    assert history(clean_database) == []
    gates.passes(clean_database, run.run_id)
    assert of(clean_database, run)["daily_metrics"] == 1


def test_a_gate_that_passed_on_facts_of_before_says_nothing_of_these(clean_database: Settings, staged: Opener) -> None:
    run = staged()
    put_facts(clean_database, run, 1, {0: 5})
    restage(clean_database, run)
    gates.passes(clean_database, run.run_id)
    put_facts(clean_database, run, 2, {0: 5})  # somebody cleared order_facts, and not the gate
    restage(clean_database, run)
    with pytest.raises(TandemError, match="no gate has checked the order facts"):
        of(clean_database, run)
    gates.passes(clean_database, run.run_id)
    assert of(clean_database, run)["daily_metrics"] == 1


def test_rows_of_facts_of_before_are_not_published_beside_those_of_now(
    clean_database: Settings, staged: Opener
) -> None:
    """A job that was still at work while the facts were written again notes what it has read."""
    run = staged()
    put_facts(clean_database, run, 2, {0: 5})
    gates.passes(clean_database, run.run_id)
    restage(clean_database, run)
    staging.begin(clean_database, "rfm", (run,))
    staging.finish(clean_database, "rfm", (run,), {DAY: 1})
    with pytest.raises(TandemError, match="no complete rows in rfm"):
        of(clean_database, run)


@pytest.mark.parametrize(("version", "cut", "covered"), [(3, {0: 5}, True), (4, {0: 5}, False), (3, {0: 6}, False)])
def test_a_run_on_the_very_facts_of_another_needs_no_gate_of_its_own(
    clean_database: Settings, staged: Opener, version: int, cut: dict[int, int], covered: bool
) -> None:
    """Segments that are made anew, as those of a date after one that was restated."""
    first = staged()
    put_facts(clean_database, first, 3, {0: 5})
    gates.passes(clean_database, first.run_id)
    second = staged()
    with database.connect(clean_database, database.BATCH) as connection:
        connection.execute("DELETE FROM batch.gate_results WHERE run_id = %s", [second.run_id])
    put_facts(clean_database, second, version, cut)
    restage(clean_database, second)
    if covered:
        assert of(clean_database, second, views=("rfm",)) == {"rfm": 1}
    else:
        with pytest.raises(TandemError, match="no gate has checked"):
            of(clean_database, second, views=("rfm",))


def on_facts(settings: Settings, run: runs.Run, version: int, cut: dict[int, int]) -> runs.Run:
    put_facts(settings, run, version, cut)
    gates.passes(settings, run.run_id)
    restage(settings, run)
    return run


@pytest.mark.parametrize(
    ("cut", "less"), [({0: 5, 1: 8}, (1, 8, 9)), ({0: 5}, (1, 0, 9)), ({0: 6, 1: 9}, None), ({0: 5, 1: 9, 2: 1}, None)]
)
def test_a_run_that_read_less_of_the_log_does_not_take_the_place_of_one_that_read_more(
    clean_database: Settings, staged: Opener, cut: dict[int, int], less: tuple[int, int, int] | None
) -> None:
    """As by a job by hand on facts that were written for an older run, and where Kafka or the archive was set back."""
    of(clean_database, on_facts(clean_database, staged(), 1, {0: 5, 1: 9}))
    later = on_facts(clean_database, staged(), 2, cut)
    if less is None:
        assert of(clean_database, later)["daily_metrics"] == 2
    else:
        before = history(clean_database)
        said = f"read partition {less[0]} up to offset {less[1]}, and not to {less[2]} as version 1 of daily_metrics"
        with pytest.raises(TandemError, match=said):
            of(clean_database, later)
        assert history(clean_database) == before


def test_a_run_of_another_date_is_refused(clean_database: Settings, staged: Opener) -> None:
    run = staged()
    with pytest.raises(TandemError, match="no run"):
        publish.publish(clean_database, run.run_id, date(2017, 12, 22), published_by="test")
    with pytest.raises(TandemError, match="use another run id"):
        runs.open_run(clean_database, run.run_id, date(2017, 12, 22))


def test_publications_of_a_date_at_once_leave_one_current_version(clean_database: Settings, staged: Opener) -> None:
    rivals = [staged() for _ in range(8)]

    def publish_unless_older(run: runs.Run) -> None:
        with contextlib.suppress(TandemError):
            of(clean_database, run)

    threads = [threading.Thread(target=publish_unless_older, args=(run,)) for run in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = history(clean_database)
    assert [version for version, _, _ in versions] == list(range(1, len(versions) + 1))
    assert [current for _, _, current in versions] == [False] * (len(versions) - 1) + [True]
    assert versions[-1][1] == rivals[-1].run_id


def test_dates_are_versioned_apart(clean_database: Settings, staged: Opener) -> None:
    of(clean_database, staged())
    assert of(clean_database, staged(date(2017, 12, 22)))["daily_metrics"] == 1


def test_a_run_may_be_published_again_where_another_has_followed_it(clean_database: Settings, staged: Opener) -> None:
    """As when its publication is cleared: its facts are shown, and segments that were made of them since stay."""
    run = staged()
    of(clean_database, run)
    follower = staged(kind=runs.Kind.DEPENDENT)
    of(clean_database, follower, views=["rfm"])
    before = history(clean_database)
    assert of(clean_database, run)["rfm"] == 1
    assert history(clean_database) == before


def test_a_run_that_only_follows_another_date_has_not_done_what_an_earlier_run_is_for(
    clean_database: Settings, staged: Opener
) -> None:
    """Its segments are of the facts that were published before: the earlier run's own are missing, and it says so."""
    of(clean_database, staged())
    earlier = staged()
    follower = staged(kind=runs.Kind.DEPENDENT)
    of(clean_database, follower, views=["rfm"])
    with pytest.raises(publish.Refused, match="is older than version 2 of rfm") as refused:
        of(clean_database, earlier)
    assert not isinstance(refused.value, publish.OvertakenError)
    later = staged()
    of(clean_database, later)
    with pytest.raises(publish.OvertakenError):
        of(clean_database, earlier)
    assert publish.is_overtaken(clean_database, earlier.run_id, DAY)
    assert not publish.is_overtaken(clean_database, later.run_id, DAY)
