"""The jobs as a person runs them: by spark-submit and by ``tandem batch``, as processes, against real servers."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from installations import tandem
from log import Log, archived_in, order
from pyspark.sql import SparkSession
from shop import Shop

from spark_jobs import job, order_facts, runs
from spark_jobs.submit import submit
from tandem import claims, database
from tandem.errors import TandemError
from tandem.serving import Layer, read
from tandem.settings import Settings

DAY = date(2017, 12, 23)


def test_a_date_or_both_ends_of_a_range_must_be_given() -> None:
    assert job.meant("2017-12-23", "", "") == (DAY,)
    assert job.meant("", "2017-12-22", "2017-12-23") == (date(2017, 12, 22), DAY)
    for wrong in (("", "", ""), ("2017-12-23", "2017-12-22", ""), ("", "2017-12-22", ""), ("", "", "2017-12-22")):
        with pytest.raises(TandemError, match="not clear which dates"):
            job.meant(*wrong)
    with pytest.raises(TandemError, match="runs backwards"):
        job.meant("", "2017-12-23", "2017-12-22")


def test_every_date_of_a_range_needs_a_run_id_of_its_own() -> None:
    span = ["--from", "2017-12-22", "--to", "2017-12-23"]
    assert job.parse("rfm", [*span, "--run-id", "a", "--run-id", "b"]).run_ids == ("a", "b")
    with pytest.raises(TandemError, match="1 run ids for 2 dates"):
        job.parse("rfm", [*span, "--run-id", "a"])


def test_a_target_that_makes_several_views_takes_some_of_them() -> None:
    day = ["--date", "2017-12-23"]
    assert job.parse("batch", [*day, "--view", "rfm"], ("daily_metrics", "rfm")).views == ("rfm",)
    assert job.parse("batch", day, ("daily_metrics", "rfm")).views == ()
    with pytest.raises(SystemExit):
        job.parse("batch", [*day, "--view", "nonsense"], ("daily_metrics", "rfm"))


def test_an_application_out_of_memory_is_told_so_and_what_to_raise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark names it on the way, and says last that a job was aborted."""
    spark_submit = tmp_path / "spark-submit"
    spark_submit.write_text(
        """#!/bin/sh
echo "19:36:32 ERROR Executor: Exception in task 1.0 in stage 129.0 (TID 91)"
echo "java.lang.OutOfMemoryError: Java heap space"
echo "	at org.apache.spark.sql.catalyst.expressions.UnsafeRow.copy(UnsafeRow.java:504)"
echo "19:36:32 ERROR TaskSetManager: Task 1 in stage 129.0 failed 1 times; aborting job"
exit 52
""",
        encoding="utf-8",
    )
    spark_submit.chmod(0o755)
    monkeypatch.setattr("spark_jobs.submit._spark_submit", lambda: str(spark_submit))
    with pytest.raises(TandemError, match="ran out of memory: raise TANDEM_SPARK_DRIVER_MEMORY, which is 3g"):
        submit(Settings(spark_driver_memory="3g"), "batch", [])


@pytest.fixture
def archived(clean_database: Settings, tmp_path: Path) -> Settings:
    """An archive of two orders of one date, and no facts yet."""
    own = archived_in(clean_database, tmp_path)
    log = Log()
    log.add(order(1, f"{DAY}T10:00:00Z"))
    log.add(order(2, f"{DAY}T11:00:00Z"))
    log.archive(own)
    return own


@pytest.mark.integration
def test_a_job_under_another_currency_is_refused(
    archived: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a terminal where the setting was forgotten: every order was quarantined, and zeros were published."""
    monkeypatch.setattr(job, "settings", lambda: archived.model_copy(update={"currency": "EUR"}))
    monkeypatch.setattr("sys.argv", ["order_facts.py", "--date", str(DAY)])
    with pytest.raises(SystemExit) as ended:
        job.main("order_facts", lambda asked: None, writes_facts=True)
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "order_facts: the books are kept in USD, and the settings say EUR: set TANDEM_CURRENCY=USD\n"
    )


@pytest.mark.integration
def test_without_order_facts_a_job_says_what_to_run_first(
    archived: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["daily_metrics.py", "--date", str(DAY)])
    with pytest.raises(SystemExit) as ended:
        job.main("daily_metrics", lambda asked: None, views=("daily_metrics",))
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "daily_metrics: there are no order facts of 2017-12-23:"
        " run order_facts first: spark-submit spark_jobs/order_facts.py --date 2017-12-23\n"
    )


@pytest.mark.spark
@pytest.mark.integration
@pytest.mark.slow
def test_spark_submit_computes_one_view_and_publishes_it_when_told(
    archived: Settings, spark: SparkSession, capfd: pytest.CaptureFixture[str]
) -> None:
    run = runs.open_run(archived, runs.new_run_id(DAY, datetime.now(UTC)), DAY)
    order_facts.compute(job.Job("order_facts", spark, archived, (run,)))
    submit(archived, "daily_metrics", ["--date", str(DAY), "--publish"])
    told = capfd.readouterr().err
    assert "2017-12-23 daily_metrics: version 1 is published" in told
    assert archived.secret(database.BATCH) not in told
    assert read(archived, DAY, Layer.BATCH).metrics["revenue_cents"] == 2000


@pytest.mark.integration
@pytest.mark.parametrize("named", [[], ["--run-id", "of my own"]])
def test_a_date_that_another_run_works_on_is_refused(
    archived: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], named: list[str]
) -> None:
    """Also under an id that no run has: only who opened a run holds its date."""
    monkeypatch.setattr("sys.argv", ["order_facts.py", "--date", str(DAY), *named])
    with database.connect(archived, database.BATCH) as connection:
        assert not claims.take(connection, [DAY], claims.airflow_holder("nightly", "scheduled__1"))
    with pytest.raises(SystemExit) as ended:
        job.main("order_facts", lambda asked: None, writes_facts=True)
    assert ended.value.code == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert f"{DAY} is being worked on by airflow:nightly:scheduled__1" in told


@pytest.mark.spark
@pytest.mark.integration
@pytest.mark.slow
def test_one_command_computes_checks_and_publishes_a_range(clean_database: Settings, topic_prefix: Settings) -> None:
    """Without a speed layer: the batch layer does not need it, and says that the date cannot be compared."""
    shop = Shop(topic_prefix)
    shop.sell(20, days=2)
    yesterday = date.fromordinal(DAY.toordinal() - 1)
    command = ("batch", "--from", str(yesterday), "--to", str(DAY), "--json")
    done = tandem(topic_prefix, *command, TANDEM_CUT_TIMEOUT="PT0S")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert [each["business_date"] for each in made] == [str(yesterday), str(DAY)]
    assert all(set(each["published"].values()) == {1} for each in made)
    assert topic_prefix.secret(database.BATCH) not in done.stderr
    for day in (yesterday, DAY):
        found = read(topic_prefix, day, Layer.BATCH).metrics
        assert (found["order_count"], found["revenue_cents"]) == (10, 1000)
    with database.connect(topic_prefix, database.READER) as connection:
        cuts = connection.execute("SELECT DISTINCT comparable FROM reconciliation.cuts").fetchall()
    assert cuts == [(False,)]


@pytest.mark.integration
def test_a_date_that_has_not_ended_is_not_published_under_an_id_that_no_run_has(
    archived: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be certified half-full."""
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    monkeypatch.setattr("sys.argv", ["order_facts.py", "--date", str(tomorrow), "--run-id", "of my own", "--publish"])
    with pytest.raises(SystemExit) as ended:
        job.main("order_facts", lambda asked: None, writes_facts=True)
    assert ended.value.code == 2
    assert "has not ended yet" in capsys.readouterr().err


@pytest.mark.integration
def test_a_date_that_has_not_ended_is_refused(postgres: Settings) -> None:
    # Tomorrow, since today ends while the command starts once in a while.
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    refused = tandem(postgres, "batch", "--date", str(tomorrow))
    assert refused.returncode == 2
    assert refused.stderr.strip().endswith("run it for a date up to yesterday")
