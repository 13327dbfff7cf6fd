"""What a night costs by how much history there is, and a year in one application against its nights one by one.

The grocer's real orders. A night is what ``tandem batch`` does once the archive holds the date: one spark-submit of
all jobs, the gate, the publication.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks import spark_log
from benchmarks.nightly import fill_archive
from benchmarks.place import Tasks, batch_installation
from spark_jobs import batch, gate, history, order_facts, runs
from spark_jobs.cli import arguments
from spark_jobs.job import Job
from spark_jobs.publish import publish
from spark_jobs.session import open_session
from spark_jobs.submit import submit
from tandem import clock, database
from tandem.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.runs import Run

NIGHT = date(2017, 10, 28)
"""The grocer's 301st day."""
HISTORIES = (30, 300)
"""Days of orders before it."""
ROUNDS = 3


def by_history() -> dict[str, Any]:
    """Seconds of the same night, jobs and gate and publication, over a short and over a long history.

    Spark is up and warm: its start, which is the same for both, would flatter the ratio.
    """
    watch = Tasks()
    with batch_installation() as own:
        histories = {days: _with_history(own, days) for days in HISTORIES}
        spark = open_session("benchmark", own)
        for days, settings in histories.items():
            before = _job(settings, spark, NIGHT - timedelta(days=1))
            watch.time(f"facts of {days} days", lambda before=before: order_facts.compute(before))
        for nth in range(ROUNDS + 1):  # the first only warms up
            for days, settings in histories.items():
                history.forget_facts(settings)  # each has a table of its own
                watch.time(f"night after {days} days, {nth}", lambda settings=settings: _night(settings, spark))
        spark.stop()
    seconds = {days: _medians(watch, days)[0] for days in HISTORIES}
    cpu = {days: _medians(watch, days)[1] for days in HISTORIES}
    short, long = HISTORIES
    return {
        "date": str(NIGHT),
        "ratio": round(seconds[long] / seconds[short], 3),
        "cpu_ratio": round(cpu[long] / cpu[short], 3),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "rounds": ROUNDS,
    }


def _with_history(own: Settings, days: int) -> Settings:
    folder = own.state_dir / f"history-{days}"
    settings = own.model_copy(
        update={"archive_uri": str(folder / "archive"), "order_facts_uri": str(folder / "order_facts")}
    )
    fill_archive(settings, NIGHT - timedelta(days=days), NIGHT)
    return settings


def _medians(watch: Tasks, days: int) -> tuple[float, float]:
    of = [timing for timing in watch.timings if timing.task.startswith(f"night after {days} days,")][1:]
    return median(timing.seconds for timing in of), median(timing.cpu_seconds for timing in of)


def _job(own: Settings, spark: SparkSession, day: date) -> Job:
    return Job("benchmark", spark, own, (_open(own, day),))


def _open(own: Settings, day: date) -> Run:
    return runs.open_run(own, runs.new_run_id(day, datetime.now(UTC)), day)


def _night(own: Settings, spark: SparkSession) -> None:
    job = _job(own, spark, NIGHT)
    batch.compute(job)
    _finish(own, job.runs)


def _finish(own: Settings, opened: Sequence[Run]) -> None:
    for run in opened:
        gate.check(own, run.run_id, run.business_date)
        publish(own, run.run_id, run.business_date, published_by="benchmark")


def year(days: int, singles: int) -> dict[str, Any]:
    """``days`` of 2017 in one application, and ``singles`` of them one by one, spread over the range.

    The single runs find the facts of all dates before them, as a night does. All of them would take their mean times
    the number of days: that much is extrapolated.
    """
    first, last = date(2017, 1, 1), date(2017, 1, 1) + timedelta(days=days - 1)
    dates = list(clock.days(first, last))
    watch = Tasks()
    with batch_installation() as own:
        fill_archive(own, first, last)
        whole, phases_of_whole = _submitted(own, dates, watch)
        rows = _rows(own)
        step = days // singles
        each = [_submitted(own, [day], watch) for day in dates[step - 1 :: step]]
    mean = sum(seconds for seconds, _ in each) / len(each)
    return {
        "days": days,
        "share_of_single_runs": round(whole / (mean * days), 4),
        "seconds": round(whole, 1),
        "single_run_seconds": [round(seconds, 1) for seconds, _ in each],
        "single_runs_extrapolated_seconds": round(mean * days),
        "where": {"range": phases_of_whole, "single": each[-1][1]},
        "rows": rows,
    }


def _submitted(own: Settings, dates: list[date], watch: Tasks) -> tuple[float, dict[str, float]]:
    """Seconds of one application for these dates with their gates and publications, and where they went."""
    logs = own.state_dir / f"spark-log-{len(watch.timings)}"
    logs.mkdir()
    options = f"{own.spark_driver_java_options} {spark_log.java_options(logs)}"
    logged = own.model_copy(update={"spark_driver_java_options": options})
    opened = [_open(own, day) for day in dates]
    name = f"{dates[0]} to {dates[-1]}" if len(dates) > 1 else f"{dates[0]}"
    started = time.time()
    applied = watch.time(f"spark-submit of {name}", lambda: submit(logged, "batch", arguments(opened)))
    found = spark_log.phases(_only(logs), started, started + applied.seconds)
    finished = watch.time(f"gates and publications of {name}", lambda: _finish(own, opened))
    return applied.seconds + finished.seconds, {**found.figures(), "gates_and_publications": finished.seconds}


def _only(folder: Path) -> Path:
    (file,) = folder.glob("[!.]*")
    return file


def _rows(own: Settings) -> dict[str, int]:
    with database.connect(own, database.READER) as reader:
        return {
            table: reader.execute(f"SELECT count(*) FROM batch.{table}").fetchall()[0][0]  # noqa: S608 - our own names
            for table in ("daily_metrics", "order_hours", "product_hours", "category_hours", "rfm", "product_rankings")
        }
