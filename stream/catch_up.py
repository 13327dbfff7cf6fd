"""catch up: from the archive, what Kafka no longer has of partitions that nobody read in time.

The records are decided by the same session as always, in the order of the log, up to where Kafka begins; a worker goes
on from there. So the books are what they would have been. Where the archive lacks some too, nothing is read at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from threading import Event
from typing import Any

import psycopg
import structlog
from confluent_kafka import TopicPartition

from stream import sink
from stream.archive_table import MasterDataset
from stream.decode import decode
from stream.rebuild_log import Log, lacking, lows
from stream.session import Session
from stream.source import records_of
from stream.stats import StatsState
from stream.types import Position
from tandem import clock, database, kafka_client, topic_ids
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

_ANSWER_S = 10.0
_SEE = "see 'A worker that came too late' in docs/archive.md"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Behind:
    """A partition of which Kafka begins at ``low``, while ``first`` comes next. ``watermark``: as it was left."""

    first: int
    low: int
    watermark: datetime | None


def from_archive(settings: Settings, worker: str, stats: StatsState, stop: Event) -> None:
    """Bring every partition up to where Kafka begins, or as far as ``stop`` lets. Safe beside others, and to repeat.

    Raises TandemError where records are in neither place, sink.Fenced where another worker reads from the archive.
    """
    with database.connect(settings, database.SPEED, autocommit=True) as live:
        row = live.execute(sink.queries.catching_up).fetchone()
        if row is None or not row[0]:
            raise sink.Fenced("another worker reads from the archive")
        known = {(topic, partition): (at, mark) for topic, partition, at, mark in live.execute(sink.queries.positions)}
        behind = {
            position: Behind(at, low, mark)
            for position, low in lows(settings, known).items()
            for at, mark in [known[position]]
            if at < low
        }
        if behind:
            _require_whole(settings, live, behind)
            told = {f"{topic}:{partition}": [of.first, of.low] for (topic, partition), of in behind.items()}
            _log.info("reading_from_archive", offsets=told)
            _read(settings, worker, stats, behind, stop)


def _read(settings: Settings, worker: str, stats: StatsState, behind: Mapping[Position, Behind], stop: Event) -> None:
    starts = {position: of.first for position, of in behind.items()}
    logs: list[Log] = []

    def source(of: Settings, granted: Callable[[list[Position]], dict[Position, int]], _taken: object) -> Log:
        def from_here(positions: list[Position]) -> dict[Position, int]:
            if (found := granted(positions)) != starts:
                raise sink.Fenced("another worker has gone on from the archive")
            return found

        logs.append(_Archived(of, starts, from_here))
        return logs[0]

    # What is to go out is sent by whoever is granted the partition next.
    session = Session(settings, worker, stats, source, sends=False)
    try:
        logs[0].extend({position: of.low for position, of in behind.items()})
        while not stop.is_set() and (not logs[0].is_done or session.is_ahead):
            session.step()
    finally:
        session.close()


class _Archived(Log):
    """Of a log that was found whole before."""

    def _check(self, position: Position) -> None:
        pass


def _require_whole(settings: Settings, live: psycopg.Connection[Any], behind: Mapping[Position, Behind]) -> None:
    admin = kafka_client.admin(settings)
    found = topic_ids.ids(settings, admin, [ORDER_EVENTS])
    topic_ids.note(live, found)
    dataset = MasterDataset.find(settings.archive, ORDER_EVENTS)
    if dataset and dataset.topic_id not in {None, found[ORDER_EVENTS]}:
        raise topic_ids.another(ORDER_EVENTS)
    for position, of in behind.items():
        if gone := lacking(dataset, position, of.first, of.low):
            raise _lost(settings, position, gone, of)
        if dataset and (kept_from := dataset.kept_from):
            _require_kept(settings, position, of, kept_from)


def _require_kept(settings: Settings, position: Position, of: Behind, kept_from: date) -> None:
    """What retention took counts in no way where all of it is late."""
    start, _ = clock.day_bounds(kept_from, settings.zone)
    if of.watermark is None or of.watermark - settings.allowed_lateness < start:
        topic, partition = position
        raise TandemError(
            f"offsets [{of.first}, {of.low}) of {topic} partition {partition} are no longer in Kafka, and the archive"
            f" keeps only the dates from {kept_from} on",
            f"what it took would have counted; {_SEE}",
        )


def _lost(settings: Settings, position: Position, gone: tuple[int, int], of: Behind) -> TandemError:
    topic, partition = position
    moments = filter(None, [of.watermark, _first_left(settings, position, of.low)])
    days = sorted({str(clock.business_date(moment, settings.zone)) for moment in moments})
    dates = " to ".join(sorted({days[0], days[-1]})) if days else "dates that nothing tells"
    return TandemError(
        f"offsets [{gone[0]}, {gone[1]}) of {topic} partition {partition} are neither in Kafka nor in the archive",
        f"the figures of {dates} would lack them, so nothing was read; {_SEE}",
    )


def _first_left(settings: Settings, position: Position, offset: int) -> datetime | None:
    """The event time of the first record that Kafka has from an offset on; None where it has none, or none is told."""
    topic, partition = position
    consumer = kafka_client.consumer(settings, f"{settings.consumer_group}-look", {})
    try:
        consumer.assign([TopicPartition(settings.topic(topic), partition, offset)])
        messages = [message for message in consumer.consume(1, _ANSWER_S) if message.error() is None]
    finally:
        consumer.close()
    if not messages or topic != ORDER_EVENTS:
        return None
    found: datetime | None = decode(records_of(messages), settings.currency).events["event_time"][0]
    return found
