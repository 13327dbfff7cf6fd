"""The journal's retention: what every date in it has done with, and is old enough, goes.

A partition lets go of its oldest segments and nothing else, so what is left of it is everything from one offset on, and
a gap behind that is a loss. One date that is still needed therefore holds back what follows it on its partitions,
which is said. The dates that lost anything are written down in the same transaction: no reader takes them for dates on
which the stream got nothing. Each step is a transaction of a few segments, of the oldest: killed between two, the next
run goes on from there, and what is kept is never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import psycopg

from stream import fold, sink
from stream.archive_table import MasterDataset
from tandem import clock, database, journal
from tandem.events import Decision
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

Say = Callable[[str], None]

_AT_ONCE = 50
"""Segments: of a few records or a few thousand."""
_ARRIVES_LATER = timedelta(days=1)
"""A record that counts comes at the latest so long before its event time: what is further ahead is in quarantine."""
_queries = database.queries("journal")


@dataclass(frozen=True, slots=True)
class Terms:
    """What may go. ``before``: what was processed before; ``kept_from``: dates before; ``retention``: what was accepted
    so long behind the partition's watermark, so that ids can be remembered however long the stream stood still.

    ``first_published``: of all dates; ``computable_from``: dates before it will never be published.
    """

    before: datetime
    kept_from: date
    retention: timedelta
    first_published: date | None
    computable_from: date | None


@dataclass(frozen=True, slots=True)
class Place:
    """A partition: where its journal begins, its watermark, and up to where all of it has gone out to Kafka."""

    topic: str
    partition: int
    from_offset: int
    watermark: datetime | None
    sent: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A row of ``speed.journal`` without its content."""

    first_offset: int
    next_offset: int
    events: int
    processed_at: datetime
    max_accepted_time: datetime | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Step:
    """What goes of a partition at once, and the ``dates`` in it. ``held``: why no more goes, by date that is needed."""

    segments: tuple[Segment, ...] = ()
    dates: frozenset[date] = frozenset()
    held: tuple[tuple[date, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Retained:
    """What went, or would go. ``kept_from``: dates from it on keep their journal; None where all do, for good.

    ``dates``: those that now lack some of theirs or all; ``held``: older ones that still need theirs, and why.
    """

    kept_from: date | None
    segments: int = 0
    records: int = 0
    size_bytes: int = 0
    dates: tuple[date, ...] = ()
    held: tuple[tuple[date, str], ...] = ()


def retain(settings: Settings, now: datetime, say: Say, *, dry_run: bool = False) -> Retained:
    """Let go of what is past ``journal_retention`` and no longer needed.

    Safe beside workers, readers, rebuilds and kills. Raises TandemError where Postgres or the archive does not answer.
    """
    if not settings.journal_retention:
        return Retained(None)
    archive = MasterDataset.find(settings.archive, ORDER_EVENTS)
    with database.connect(settings, database.SPEED, autocommit=True, options=sink.never_idle(settings)) as connection:
        row = connection.execute(_queries.first_published).fetchone()
        terms = Terms(
            before=now - settings.journal_retention,
            kept_from=clock.business_date(now - settings.journal_retention, settings.zone),
            retention=settings.journal_retention,
            first_published=row[0] if row else None,
            computable_from=archive.kept_from if archive else None,
        )
        steps = []
        for partition in _places(connection):
            for step in _steps(connection, settings, partition, terms, dry_run=dry_run):
                steps.append(step)
                if step.segments:
                    say(f"partition {partition}: up to offset {step.segments[-1].next_offset}")
    gone = [segment for step in steps for segment in step.segments]
    return Retained(
        kept_from=terms.kept_from,
        segments=len(gone),
        records=sum(segment.events for segment in gone),
        size_bytes=sum(segment.size_bytes for segment in gone),
        dates=tuple(sorted(frozenset().union(*(step.dates for step in steps)))),
        held=tuple(sorted({held for step in steps for held in step.held})),
    )


def _places(connection: psycopg.Connection[Any]) -> dict[int, Place]:
    """By partition."""
    rows = connection.execute(_queries.places, {"topic": ORDER_EVENTS}).fetchall()
    return {place.partition: place for place in (Place(*row) for row in rows)}


def _steps(
    connection: psycopg.Connection[Any], settings: Settings, partition: int, terms: Terms, *, dry_run: bool
) -> Iterator[Step]:
    """Step by step, until nothing more of a partition may go."""
    tried_up_to = 0
    while True:
        with connection.transaction():
            # Whoever merges segments, or swaps in what was rebuilt, does so before or after. After a swap all has to go
            # out to Kafka once more, so the place is looked at again in each step.
            connection.execute(sink.queries.settling)
            place = _places(connection)[partition]
            place = replace(place, from_offset=max(place.from_offset, tried_up_to))
            step = _next(connection, settings, place, terms)
            if step.segments and not dry_run:
                _let_go(connection, place, step)
        yield step
        if not step.segments or step.held:
            return
        if dry_run:
            tried_up_to = step.segments[-1].next_offset


def _next(connection: psycopg.Connection[Any], settings: Settings, place: Place, terms: Terms) -> Step:
    where = {"topic": place.topic, "partition": place.partition}
    rows = connection.execute(_queries.oldest, {**where, "from_offset": place.from_offset, "at_once": _AT_ONCE})
    dates_of: list[tuple[Segment, frozenset[date]]] = []
    for segment in (Segment(*row) for row in rows.fetchall()):
        if not is_past(segment, place, terms):
            break
        row = connection.execute(_queries.content, {**where, "first_offset": segment.first_offset}).fetchone()
        dates = dates_in(row[0] if row else b"", place.partition, segment.processed_at, settings)
        if any(day >= terms.kept_from for day in dates):
            break
        dates_of.append((segment, dates))
    asked = {
        "dates": sorted(frozenset().union(*(dates for _, dates in dates_of))),
        "first_published": terms.first_published,
        "computable_from": terms.computable_from,
    }
    needed = dict(connection.execute(_queries.needed, asked).fetchall()) if asked["dates"] else {}
    return leading(dates_of, needed)


def is_past(segment: Segment, place: Place, terms: Terms) -> bool:
    """Whether a segment is old enough, and nobody has to read it any more: neither who remembers ids, nor who sends."""
    accepted = segment.max_accepted_time
    remembered = accepted is not None and place.watermark is not None and accepted >= place.watermark - terms.retention
    return segment.processed_at < terms.before and not remembered and segment.next_offset <= place.sent


def dates_in(content: bytes, partition: int, processed_at: datetime, settings: Settings) -> frozenset[date]:
    """The business dates of a segment's records, but for those in quarantine because they lie in the future."""
    rows = journal.decode_each([content], partition, ("event_time", "decision"))
    ahead = pl.col("event_time") > processed_at + _ARRIVES_LATER
    plausible = rows.filter(~(ahead & (pl.col("decision") == Decision.QUARANTINED)))
    days = plausible.select(fold.business_date(pl.col("event_time"), settings.zone)).to_series().drop_nulls()
    return frozenset(days.unique().to_list())


def leading(dates_of: Sequence[tuple[Segment, frozenset[date]]], needed: dict[date, str]) -> Step:
    """The first segments up to the one that holds a date which is needed."""
    gone: list[Segment] = []
    dates: frozenset[date] = frozenset()
    for segment, days in dates_of:
        if held := tuple((day, needed[day]) for day in sorted(days & needed.keys())):
            return Step(tuple(gone), dates, held)
        gone.append(segment)
        dates |= days
    return Step(tuple(gone), dates)


def _let_go(connection: psycopg.Connection[Any], place: Place, step: Step) -> None:
    last = step.segments[-1]
    accepted = [time for segment in step.segments if (time := segment.max_accepted_time)]
    where = {
        "topic": place.topic,
        "partition": place.partition,
        "next_offset": last.next_offset,
        "accepted_until": max(accepted, default=None),
    }
    connection.execute(_queries.note_expired, {"dates": sorted(step.dates)})
    connection.execute(_queries.note_kept, where)
    connection.execute(_queries.let_go, where)
