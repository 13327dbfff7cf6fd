"""An order_facts table that was made anew, or is another, is told from the one that the database's versions are of."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import gates
import polars as pl
import pytest
from deltalake import DeltaTable
from log import Log, archived_in, order
from typer.testing import CliRunner

from spark_jobs import gate, history, job, product_rankings, publish, restate, rfm, runs, sources, staging
from spark_jobs.runs import Kind, Why
from tandem import claims, cli, database, facts_table
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.settings import settings as settings_of_process
from tests.reconciliation.books import execute

pytestmark = pytest.mark.integration

DAY = date(2017, 6, 1)
ANOTHER = "is not the table that the published figures were made of"


def write_facts(own: Settings) -> int:
    """One row of the date; returns the version."""
    row = pl.DataFrame({"business_date": [DAY], "order_id": ["o1"]})
    row.write_delta(own.order_facts, mode="overwrite", delta_write_options={"partition_by": ["business_date"]})
    return DeltaTable(own.order_facts).version()


@pytest.fixture
def published(clean_database: Settings, tmp_path: Path) -> Settings:
    """A date in the archive and in order_facts, which is published without rows."""
    own = archived_in(clean_database, tmp_path)
    log = Log(partitions=1)
    log.add(order(1, f"{DAY}T12:00:00Z"))
    log.archive(own)
    run = runs.open_run(own, runs.new_run_id(DAY, datetime.now(UTC)), DAY)
    version = write_facts(own)
    sources.look(own, version, [DAY])
    runs.record_facts(own, run.run_id, archive_version=0, facts_version=version, cut=log.ends, archived=1)
    for table in (table for tables in publish.TABLES.values() for table in tables):
        staging.begin(own, table, (run,))
        staging.finish(own, table, (run,))
    gates.passes(own, run.run_id)
    publish.publish(own, run.run_id, DAY, published_by="test")
    return own


def test_the_same_table_is_known_also_after_it_was_written_again_and_moved(published: Settings, tmp_path: Path) -> None:
    write_facts(published)
    facts_table.require_same(published)
    moved = published.model_copy(update={"order_facts_uri": str(tmp_path / "elsewhere")})
    shutil.move(published.order_facts, moved.order_facts)
    facts_table.require_same(moved)
    assert restate.due(moved, DAY) == {}


def test_a_table_that_was_made_anew_is_refused_by_jobs_gates_restatement_and_pruning(
    published: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has the version that the database means, and other facts there."""
    shutil.rmtree(published.order_facts)
    assert write_facts(published) == 0
    run = runs.published(published, "daily_metrics", DAY)
    assert run is not None
    assert run.facts_version == 0
    new = runs.open_run(published, runs.new_run_id(DAY, datetime.now(UTC)), DAY)
    runs.adopt_facts(published, new, run)
    with pytest.raises(TandemError, match=ANOTHER):
        restate.due(published, DAY)
    with pytest.raises(TandemError, match=ANOTHER):
        gate.check(published, new.run_id, DAY)
    with pytest.raises(TandemError, match=ANOTHER):
        history.prune(published, datetime.now(UTC))
    monkeypatch.setattr(job, "settings", lambda: published)
    monkeypatch.setattr("sys.argv", ["order_facts.py", "--date", str(DAY)])
    with pytest.raises(SystemExit) as ended:
        job.main("order_facts", lambda _: pytest.fail("it computed"), writes_facts=True)
    assert ended.value.code == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert ANOTHER in told


def test_an_empty_place_is_refused_and_not_filled(published: Settings) -> None:
    """As where TANDEM_ORDER_FACTS_URI was set to a new address: versions began at 0 again, and nobody noticed."""
    shutil.rmtree(published.order_facts)
    with pytest.raises(TandemError, match="is empty, and not the table"):
        facts_table.require_same(published)


def test_a_table_that_was_set_back_to_a_backup_is_refused(published: Settings, tmp_path: Path) -> None:
    """It would write the versions that it lost once more, with other facts in them."""
    shutil.copytree(published.order_facts, tmp_path / "backup")
    version = write_facts(published)
    run = runs.open_run(published, runs.new_run_id(DAY, datetime.now(UTC)), DAY)
    runs.record_facts(published, run.run_id, archive_version=0, facts_version=version, cut={}, archived=1)
    before = DeltaTable(published.order_facts, version=version - 1)
    facts_table.require_same(published)
    facts_table.require_same(published, before)
    shutil.rmtree(published.order_facts)
    shutil.copytree(tmp_path / "backup", published.order_facts)
    with pytest.raises(TandemError, match=f"only versions up to {version - 1}, and a run has written {version}"):
        facts_table.require_same(published)
    history.forget_facts(published)
    facts_table.require_same(published)


def test_what_another_job_writes_between_two_looks_is_read_as_it_wrote_it(
    published: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts that nobody published count as they were written last: an older version of the table has others."""
    day_after = DAY + timedelta(days=1)
    own = runs.open_run(published, runs.new_run_id(day_after, datetime.now(UTC)), day_after)
    runs.record_facts(published, own.run_id, archive_version=0, facts_version=0, cut={}, archived=0)
    execute(published, "DELETE FROM batch.versions")
    look, written = sources.look, []

    def looks_and_is_overtaken(settings: Settings) -> int:
        found = look(settings)
        if not written:
            written.append(write_facts(settings))
            look(settings, written[0], [DAY])
        return found

    monkeypatch.setattr(sources, "look", looks_and_is_overtaken)
    (reading,) = sources.readings(job.Job("rfm", no_spark(), published, (own,)))
    assert (reading.versions[DAY], reading.newest) == (written[0], written[0])


@pytest.mark.parametrize("compute", [rfm.compute, product_rankings.compute])
def test_of_what_a_published_run_is_made_nothing_else_is_noted_by_another_attempt_of_its_job(
    published: Settings, compute: Callable[[job.Job], None]
) -> None:
    """Its rows stay as they are, so they would be certified as made of facts that came later."""
    run = runs.published(published, "rfm", DAY)
    assert run is not None
    with pytest.raises(TandemError, match="was published and stays as it is"):
        compute(job.Job("rfm", no_spark(), published, (run,)))
    assert execute(published, "SELECT * FROM batch.made_of") == []


def test_a_table_is_not_forgotten_while_a_run_works_on_a_date(published: Settings) -> None:
    """The run would note what it read of the table after that."""
    before = execute(published, "SELECT table_id FROM batch.facts_table")
    assert before
    at_work = f"{DAY} is being worked on by command:"
    with claims.held(published, [DAY]), pytest.raises(TandemError, match=at_work):
        history.forget_facts(published)
    assert execute(published, "SELECT table_id FROM batch.facts_table") == before
    history.forget_facts(published)
    assert execute(published, "SELECT table_id FROM batch.facts_table") == []


def no_spark() -> Any:
    """What is looked at here comes before it."""
    return None


def test_where_the_table_is_gone_for_good_what_is_published_stays_and_is_due(
    published: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(published.order_facts)
    for name in ("archive_uri", "order_facts_uri"):
        monkeypatch.setenv(f"TANDEM_{name.upper()}", getattr(published, name))
    settings_of_process.cache_clear()
    try:
        done = CliRunner().invoke(cli.app, ["history", "forget-facts"])
        assert done.exit_code == 0, done.output
    finally:
        settings_of_process.cache_clear()
    facts_table.require_same(published)
    assert restate.due(published, DAY) == {DAY: Why(Kind.RECOMPUTE, "its order facts were in a table that is gone")}
    assert set(publish.standing(published, [DAY])[DAY]) == {"rfm", "product_rankings"}
    with database.connect(published, database.READER) as reader:
        state = reader.execute("SELECT business_date, state, facts_version FROM batch.facts_read").fetchall()
    assert state == [(DAY, "lost", None)]
    sources.look(published, write_facts(published), [DAY])
    with pytest.raises(TandemError, match=ANOTHER):
        facts_table.require_same(published.model_copy(update={"order_facts_uri": published.archive}))
