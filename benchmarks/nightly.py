"""Seconds of every task of a nightly run, over the grocer's whole year of 155,848 orders.

    python -m benchmarks.nightly [--date 2017-12-23] [--json]

Postgres is started for the run in a folder of its own, and the archive is filled there without Kafka. Building the
facts of all dates before, and the start of Spark, which every spark-submit pays, are timed apart. Every task runs three
times: the first is what a spark-submit of its own sees, in the last the JVM has warmed up. CPU seconds, of Spark and
this process together, compare better than seconds on a machine that does other work too.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pyarrow as pa

from benchmarks.place import Tasks, batch_installation
from spark_jobs import daily_metrics, gate, order_facts, product_rankings, rfm, runs
from spark_jobs.job import Job
from spark_jobs.publish import publish
from spark_jobs.session import open_session
from stream.archive_dates import business_dates
from stream.archive_table import SCHEMA, MasterDataset, Move
from tandem.business_date import parse
from tandem.settings import Settings
from tandem.sources.completejourney import completejourney
from tandem.sources.lines import assemble
from tandem.sources.partitioning import partition_of
from tandem.sources.payloads import outgoing
from tandem.topics import ORDER_EVENTS

APPENDED = datetime(2018, 2, 1, tzinfo=UTC)
PARTITIONS = 12
ROUNDS = 3


def fill_archive(own: Settings, first: date | None = None, last: date | None = None) -> int:
    """Archive these dates, or all, as if they had come through Kafka; returns the number of events."""
    next_offsets = dict.fromkeys(range(PARTITIONS), 0)
    rows = []
    for event in map(outgoing, assemble(completejourney(first, last, own))):
        partition = partition_of(event.key or b"", PARTITIONS)
        kafka_time = APPENDED + timedelta(milliseconds=len(rows))
        rows.append((ORDER_EVENTS, partition, next_offsets[partition], kafka_time, event.key, event.value))
        next_offsets[partition] += 1
    topic, partitions, offsets, times, keys, values = zip(*rows, strict=True)

    dates = business_dates(list(values), pl.Series(times, dtype=pl.Datetime("us", "UTC")), own.zone)
    columns = [topic, partitions, offsets, times, keys, values, dates.to_list()]
    dataset = MasterDataset.find_or_create(own.archive, ORDER_EVENTS)
    dataset.open_partitions(1, dict.fromkeys(next_offsets, 0))
    dataset.append(
        pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA),
        {partition: Move(0, end) for partition, end in next_offsets.items()},
    )
    return len(rows)


def measure(own: Settings, day: date, watch: Tasks) -> None:
    """Time everything a nightly run does for ``day``, when all dates before are there."""
    started: list[Job] = []
    watch.time("Spark starts", lambda: started.append(_job(own, None, day - timedelta(days=1))))
    (before,) = started
    watch.time("facts of all dates before", lambda: order_facts.compute(before))
    for nth in range(1, ROUNDS + 1):
        job = _job(own, before, day)
        run_id = job.runs[0].run_id
        for name, task in (("order_facts", order_facts), ("daily_metrics", daily_metrics), ("rfm", rfm),
                           ("product_rankings", product_rankings)):  # fmt: skip
            watch.time(f"{name}, {nth}", lambda compute=task.compute, job=job: compute(job))
        watch.time(f"gate, {nth}", lambda run_id=run_id: gate.check(own, run_id, day))
        watch.time(f"publish, {nth}", lambda run_id=run_id: publish(own, run_id, day, published_by="benchmark"))
    before.spark.stop()


def _job(own: Settings, other: Job | None, day: date) -> Job:
    spark = other.spark if other else open_session("benchmark", own)
    run = runs.open_run(own, runs.new_run_id(day, datetime.now(UTC)), day)
    return Job("benchmark", spark, own, (run,))


def main() -> None:
    """Measure, and print JSON on stdout if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--date", default="2017-12-23", help="the date of the nightly run")
    parser.add_argument("--json", action="store_true", help="print the timings as JSON on stdout")
    asked = parser.parse_args()
    watch = Tasks()
    with batch_installation() as own:
        events = fill_archive(own)
        print(f"{events:,} events archived", file=sys.stderr)
        measure(own, parse(asked.date), watch)
    if asked.json:
        print(json.dumps({"events": events, "date": asked.date, "tasks": [asdict(t) for t in watch.timings]}, indent=2))


if __name__ == "__main__":
    main()
