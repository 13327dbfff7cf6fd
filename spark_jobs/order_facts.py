"""The events of a business date below the run's cut, decoded, checked and deduplicated, into the order_facts table.

Usage: spark-submit spark_jobs/order_facts.py --date 2017-12-23 [--run-id ID [--ahead]]

Reads the archive below the offsets at which the run is compared with the stream, or all of it where the run has no such
cut. Earlier dates that the archive has and order_facts lacks are built too, and those that were built so and received
records since, so that no result depends on the order in which dates are run. Running it again replaces the date, unless
the run is published.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs import ahead, archive, facts, job, runs, sources, staging
from spark_jobs.decode import business_date, decode
from spark_jobs.dedupe import KEYS, decide
from spark_jobs.validate import validate
from tandem import database
from tandem.errors import TandemError
from tandem.events import Decision

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.runs import Run
    from tandem.settings import Settings

_LIMITS = pa.schema({"business_date": pa.date32(), "partition": pa.int32(), "next_offset": pa.int64()})
_NO_CONTEXT = pa.schema(
    {
        "business_date": pa.date32(),
        "kafka_time": pa.timestamp("us", "UTC"),
        "partition": pa.int32(),
        "offset": pa.int64(),
        "event_type": pa.string(),
        "event_id": pa.string(),
        "order_id": pa.string(),
    }
).empty_table()
Cuts = dict[date, dict[int, int]]
"""Next offset by partition, for each date to build: everything strictly below belongs to it."""


def compute(asked: job.Job) -> None:
    """Write the facts of the job's dates, and of earlier ones that are lacking; note the versions with the runs."""
    staging.forget_views(asked.settings, asked.runs)
    held = archive.look(asked.settings)
    # Once more, of the very version that is read: retention may have taken a date while Spark was starting.
    held.require_whole(asked.dates)
    archive.require_same_topic(asked.settings, held)
    own = {run.business_date: _cut(asked.settings, run, held) for run in asked.runs}
    built = facts.counts(asked.settings)
    lacking, grown = _on_the_way(asked.settings, held, built, asked.dates[-1])
    # A date that is built on the way has no cut of its own: it belongs to the last run of the job. What has come to one
    # since is taken as a whole, or an older run that is done again would take some of it back.
    cuts = {**dict.fromkeys(lacking, own[asked.dates[-1]]), **dict.fromkeys(grown, held.next_offsets), **own}
    asked.say(f"building {len(cuts)} dates from version {held.version} of the archive")
    events = decoded(asked.spark, asked.settings, held.version, cuts)
    decided = decide(
        validate(_of_dates(events, cuts)),
        _context(asked.spark, asked.settings, cuts, built),
        asked.settings.order_repeat_lookback_days,
    )
    rows = decided.withColumn("run_id", F.coalesce(staging.run_of_date(asked.runs), F.lit(asked.runs[-1].run_id)))
    version = facts.write(rows, asked.settings, cuts, mark=" ".join(run.run_id for run in asked.runs))
    sources.look(asked.settings, version, cuts)
    archived = archive.count_below(asked.settings, held.version, own)
    for run in asked.runs:
        runs.record_facts(
            asked.settings,
            run.run_id,
            archive_version=held.version,
            facts_version=version,
            cut=own[run.business_date],
            archived=archived[run.business_date],
        )
    asked.say(f"version {version} of order_facts holds {asked.dates[0]} to {asked.dates[-1]}")


def decoded(spark: SparkSession, settings: Settings, archive_version: int, dates: Iterable[date]) -> DataFrame:
    """EVENT_COLUMNS and ``business_date`` of all records archived under ``dates``, or under none."""
    events = decode(archive.records(spark, settings, archive_version, dates), settings.currency)
    return events.withColumn("business_date", business_date(F.col("event_time"), settings.business_timezone))


def _on_the_way(
    settings: Settings, held: archive.Archive, built: Mapping[date, int], last: date
) -> tuple[list[date], list[date]]:
    """The dates before ``last`` without facts; and those with facts of fewer records than the archive has by now.

    Of the latter those that nobody published: what is published is restated, and with it whatever follows from it.
    """
    with database.connect(settings, database.BATCH) as connection:
        published = {day for day, _ in connection.execute(database.queries("batch").published_dates)}
    before = {day: count for day, count in sorted(held.counts.items()) if day < last}
    grown = [day for day, count in before.items() if day not in published and count > built.get(day, count)]
    return [day for day in before if day not in built], grown


def _cut(settings: Settings, run: Run, held: archive.Archive) -> dict[int, int]:
    """The offsets of the run's cut, else of all that is archived. Raises TandemError where some is not archived yet."""
    cut = runs.cut_offsets(settings, run.run_id) or held.next_offsets
    missing = sum(max(0, offset - held.next_offsets.get(partition, 0)) for partition, offset in cut.items())
    if missing:
        raise TandemError(
            f"the archive lacks {missing} offsets below the cut of {run.business_date}",
            f"run 'tandem archive --until-cut {run.run_id}'",
        )
    return cut


def _of_dates(events: DataFrame, cuts: Cuts) -> DataFrame:
    """The events of each date below its own cut."""
    rows = [
        {"business_date": day, "partition": partition, "next_offset": offset}
        for day, cut in cuts.items()
        for partition, offset in cut.items()
    ]
    # By Arrow: Python rows would go through a Python worker, which takes longer to start than to read a date.
    limits = events.sparkSession.createDataFrame(pa.Table.from_pylist(rows, schema=_LIMITS))
    own = events.join(F.broadcast(limits), ["business_date", "partition"])
    return own.filter(F.col("offset") < F.col("next_offset")).drop("next_offset")


def _context(spark: SparkSession, settings: Settings, cuts: Cuts, built: Mapping[date, int]) -> DataFrame:
    """KEYS of the valid events of the dates that the lookback reaches and that are not built now."""
    reached = {day - timedelta(days=back) for day in cuts for back in range(1, settings.order_repeat_lookback_days + 1)}
    wanted = sorted(reached.intersection(built) - cuts.keys())
    if not wanted:
        return spark.createDataFrame(_NO_CONTEXT)
    valid = F.col("decision").isin([str(Decision.COUNTED), str(Decision.DUPLICATE)])
    held = facts.only(facts.read(spark, settings, wanted[0], wanted[-1]), wanted)
    return held.filter(valid).select(*KEYS)


if __name__ == "__main__":
    job.main("order_facts", compute, writes_facts=True, ahead=ahead.stage)
