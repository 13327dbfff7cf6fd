"""Read the master dataset: which dates it holds, up to which offsets, and the raw records of some of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs import delta_files, file_list
from tandem import clock, database, delta, master_dataset, topic_ids
from tandem.errors import TandemError
from tandem.master_dataset import UNKNOWN
from tandem.topics import ORDER_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deltalake import DeltaTable
    from pyspark.sql import DataFrame, SparkSession

    from tandem.settings import Settings

_FURTHEST_AHEAD = timedelta(hours=1)
_LOOKED = 10_000
"""So many offsets from the start are looked through: the first ones may be markers, or of a date that is gone."""
_LIMITS = pa.schema({"business_date": pa.string(), "partition": pa.int32(), "next": pa.int64()})


@dataclass(frozen=True, slots=True)
class Archive:
    """The archive at one Delta version. ``counts``: records by date, those without one left out; ``next_offsets``: by
    partition, everything below is in it; ``kept_from``: the first date that retention has left, None where all are;
    ``whole_from``: the first date of which nothing came before the archive began, None where it has the whole log;
    ``topic_id``: of the topic that its records are of, None where that was never noted.
    """

    version: int
    counts: dict[date, int]
    next_offsets: dict[int, int]
    kept_from: date | None = None
    whole_from: date | None = None
    topic_id: int | None = None

    @property
    def dates(self) -> frozenset[date]:
        """The dates of which it holds records."""
        return frozenset(self.counts)

    @property
    def computable_from(self) -> date | None:
        """The first date of which nothing may be lacking; None where that is so of all."""
        return max(filter(None, (self.kept_from, self.whole_from)), default=None)

    def require_whole(self, dates: Iterable[date]) -> None:
        """As the function ``require_whole``, of the archive as it was looked at."""
        first = self.computable_from
        if first is None or not (past := [day for day in dates if day < first]):
            return
        if first == self.kept_from:
            master_dataset.require_kept(first, min(past))
        raise TandemError(
            f"the archive began late, and records of {min(past)} may have come before",
            f"compute dates from {first} on; where all was sent again, set TANDEM_ARCHIVE_WHOLE_FROM={min(past)}",
        )


class NoArchiveError(TandemError):
    """Nothing was ever archived."""


def look(settings: Settings) -> Archive:
    """The archive as it is now. Raises NoArchiveError where there is none, TandemError where it cannot be read."""
    table = delta.find(settings.archive)
    if table is None:
        raise NoArchiveError(f"there is no archive at {settings.archive}", "run 'tandem archive'")
    with delta.reading(settings.archive):
        counts = file_list.records_by_date(table)
    first = master_dataset.kept_from(table)
    dated = {date.fromisoformat(name): count for name, count in counts.items() if name != UNKNOWN}
    kept = {day: count for day, count in dated.items() if first is None or day >= first}
    next_offsets = master_dataset.next_offsets(table, ORDER_EVENTS)
    whole_from = _whole_from(settings, table, next_offsets)
    topic_id = master_dataset.topic_id(table, ORDER_EVENTS)
    return Archive(table.version(), kept, next_offsets, first, whole_from, topic_id)


def _whole_from(settings: Settings, table: DeltaTable, next_offsets: Iterable[int]) -> date | None:
    """The date after the one in which an archive began that lacks the beginning of the log; None where it has all."""
    starts = {partition: master_dataset.start(table, ORDER_EVENTS, partition) for partition in next_offsets}
    began = [_began(table, partition, start) for partition, start in starts.items() if start > 0]
    if not began:
        return None
    # What is counted is at most so far ahead of Kafka's clock.
    after = clock.business_date(max(began) + _FURTHEST_AHEAD, settings.zone) + timedelta(days=1)
    return date.fromisoformat(settings.archive_whole_from) if settings.archive_whole_from else after


def _began(table: DeltaTable, partition: int, start: int) -> datetime:
    """When Kafka had taken everything below ``start``: when it took the first record from there on, or before."""
    created = table.metadata().created_time
    opened = datetime.now(UTC) if created is None else datetime.fromtimestamp(created / 1000, UTC)
    offset = ds.field("offset")
    place = (ds.field("partition") == partition) & (offset >= start) & (offset < start + _LOOKED)
    times = table.to_pyarrow_dataset().to_table(filter=place, columns=["kafka_time"])["kafka_time"]
    first: datetime | None = pc.min(times).as_py()
    return min(first or opened, opened)


def require_whole(settings: Settings, dates: Iterable[date]) -> None:
    """Raises TandemError where records of one of ``dates`` may not be in the archive: its figures would be too small.

    Because retention has taken them, or they came before the archive began.
    """
    try:
        look(settings).require_whole(dates)
    except NoArchiveError:
        return


def require_same_topic(settings: Settings, held: Archive) -> None:
    """Raises TandemError where the archive is of another topic than the stream has read, as another installation's.

    Its offsets would do for any cut, and its orders for those of the date.
    """
    if held.topic_id is None:
        return
    with database.connect(settings, database.READER) as connection:
        known = topic_ids.known(connection)
    if known.get(ORDER_EVENTS, held.topic_id) != held.topic_id:
        raise TandemError(
            f"the archive at {settings.archive} is of another topic {ORDER_EVENTS} than the stream has read",
            "set TANDEM_ARCHIVE_URI as the archiver has it; see 'Another topic of the same name' in docs/archive.md",
        )


def count_below(settings: Settings, version: int, cuts: Mapping[date, Mapping[int, int]]) -> dict[date, int]:
    """How many records archived under each date lie below the date's cut. Reads the places of these dates only."""
    limits = [
        {"business_date": str(day), "partition": partition, "next": offset}
        for day, cut in cuts.items()
        for partition, offset in cut.items()
    ]
    places = delta.at(settings.archive, version).to_pyarrow_table(
        filters=[("business_date", "in", [str(day) for day in cuts])], columns=["business_date", "partition", "offset"]
    )
    below = places.join(pa.Table.from_pylist(limits, _LIMITS), ["business_date", "partition"], join_type="inner")
    found = (
        below.filter(pc.less(below["offset"], below["next"])).group_by("business_date").aggregate([([], "count_all")])
    )
    counts = {date.fromisoformat(row["business_date"]): row["count_all"] for row in found.to_pylist()}
    return {day: counts.get(day, 0) for day in cuts}


def records(spark: SparkSession, settings: Settings, version: int, dates: Iterable[date]) -> DataFrame:
    """``partition, offset, kafka_time, value`` of everything archived under ``dates``, or under no date."""
    table = delta.at(settings.archive, version)
    found = delta_files.read(spark, table, [("business_date", "in", [*(str(day) for day in dates), UNKNOWN])])
    return found.filter(F.col("topic") == ORDER_EVENTS).select("partition", "offset", "kafka_time", "value")
