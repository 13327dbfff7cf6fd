"""One day of many orders: every batch job, and DuckDB doing the same from the same files, in the same run.

The day before has a tenth of the orders; it is built by both before anything is timed, which also warms up the JVM.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from benchmarks.orders import orders
from benchmarks.peers import duckdb_batch
from benchmarks.place import Tasks, batch_installation
from spark_jobs import batch, daily_metrics, order_facts, product_rankings, rfm, runs
from spark_jobs.job import Job
from spark_jobs.session import open_session
from stream.archive_table import SCHEMA, MasterDataset, Move
from tandem.local import postgres
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAY = date(2026, 11, 1)
BEFORE = date(2026, 10, 31)
APPENDED = datetime(2026, 11, 2, tzinfo=UTC)
PARTITIONS = 12
ROWS_PER_FILE = 41_666 * PARTITIONS
LARGE_JVM = {"spark_driver_memory": "4g", "spark_driver_java_options": "-XX:+UseParallelGC"}
"""A small heap and a compiler that stops early make one date of few orders quick, and a large one slow."""
JOBS = {"daily_metrics": daily_metrics, "rfm": rfm, "product_rankings": product_rankings}


def measure(count: int) -> dict[str, Any]:
    """Seconds and CPU seconds of each job and of DuckDB for a day of ``count`` orders, and whether they agree."""
    watch = Tasks()
    with batch_installation(**LARGE_JVM) as own:
        watch.time("archive filled", lambda: fill_archive(own, count))
        run_id = _ours(own, watch)
        _duckdb(own, watch)
        differing = duckdb_batch.differing(own, run_id)
    taken = {timing.task: timing for timing in watch.timings}
    ours = {job: taken[f"tandem {job}"] for job in ("order_facts", *JOBS)}
    theirs = {
        "order_facts": taken["duckdb order_facts"],
        **{job: taken[f"duckdb {job}, computed"].plus(taken[f"duckdb {job}, stored"]) for job in JOBS},
    }
    return {
        "orders": count,
        "ratio": _ratio([timing.seconds for timing in ours.values()], [timing.seconds for timing in theirs.values()]),
        "differing_rows": differing,
        "jobs": {
            job: {
                "tandem_seconds": ours[job].seconds,
                "duckdb_seconds": theirs[job].seconds,
                "ratio": _ratio([ours[job].seconds], [theirs[job].seconds]),
                "tandem_cpu_seconds": ours[job].cpu_seconds,
                "duckdb_cpu_seconds": theirs[job].cpu_seconds,
            }
            for job in ours
        },
        "duckdb_stores_seconds": round(sum(taken[f"duckdb {job}, stored"].seconds for job in JOBS), 2),
        "spark_starts_seconds": taken["Spark starts"].seconds,
    }


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return round(sum(ours) / sum(theirs), 2)


def fill_archive(own: Settings, count: int) -> None:
    """Archive both days, their orders spread evenly over the hours and dealt out to the partitions in turn."""
    dataset = MasterDataset.find_or_create(own.archive, ORDER_EVENTS)
    dataset.open_partitions(1, dict.fromkeys(range(PARTITIONS), 0))
    first = 0
    for day, asked in ((BEFORE, count // 10), (DAY, count)):
        of_day = asked - asked % PARTITIONS
        between = timedelta(microseconds=86_400_000_000 // of_day)
        start = datetime(day.year, day.month, day.day, tzinfo=UTC) - first * between
        made = orders(of_day, first=first, start=start, between=between)
        while part := list(islice(made, ROWS_PER_FILE)):
            held, end = first // PARTITIONS, (first + len(part)) // PARTITIONS
            dataset.append(_table(part, held, str(day)), dict.fromkeys(range(PARTITIONS), Move(held, end)))
            first += len(part)


def _table(part: list[tuple[bytes, bytes]], held: int, day: str) -> pa.Table:
    keys, values = zip(*part, strict=True)
    columns = {
        "topic": pa.repeat(ORDER_EVENTS, len(part)),
        "partition": pa.array([number % PARTITIONS for number in range(len(part))], pa.int32()),
        "offset": pa.array([held + number // PARTITIONS for number in range(len(part))], pa.int64()),
        "kafka_time": pa.repeat(pa.scalar(APPENDED, pa.timestamp("us", "UTC")), len(part)),
        "key": pa.array(keys, pa.binary()),
        "value": pa.array(values, pa.binary()),
        "business_date": pa.repeat(day, len(part)),
    }
    return pa.Table.from_arrays(list(columns.values()), schema=SCHEMA)


def _ours(own: Settings, watch: Tasks) -> str:
    """Every job as it is submitted; returns the run's id."""
    opened: list[SparkSession] = []
    watch.time("Spark starts", lambda: opened.append(open_session("benchmark", own)))
    (spark,) = opened
    watch.time("tandem, the day before", lambda: batch.compute(_job(own, spark, BEFORE)))
    job = _job(own, spark, DAY)
    watch.time("tandem order_facts", lambda: order_facts.compute(job))
    for name, module in JOBS.items():
        watch.time(f"tandem {name}", lambda compute=module.compute: compute(job))
    spark.stop()
    return job.runs[0].run_id


def _job(own: Settings, spark: SparkSession, day: date) -> Job:
    return Job("benchmark", spark, own, (runs.open_run(own, runs.new_run_id(day, datetime.now(UTC)), day),))


def _duckdb(own: Settings, watch: Tasks) -> None:
    folder = own.state_dir / "duckdb"
    folder.mkdir()
    duckdb_batch.make_tables(own)
    before = str(duckdb_batch.begin(folder, BEFORE).facts(duckdb_batch.records(own, BEFORE), []))
    peer = duckdb_batch.begin(folder, DAY)
    facts = [before]
    archived = duckdb_batch.records(own, DAY)
    watch.time("duckdb order_facts", lambda: facts.append(str(peer.facts(archived, [before]))))
    reads = {"daily_metrics": facts[1:], "rfm": facts, "product_rankings": facts}
    with postgres.connect_admin(own, own.postgres_database) as admin:
        for name, files in reads.items():
            compute = getattr(peer, name)
            watch.time(f"duckdb {name}, computed", lambda compute=compute, files=files: compute(files))
            watch.time(f"duckdb {name}, stored", lambda name=name: peer.store(name, admin))
