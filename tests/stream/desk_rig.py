"""Workers on a real Postgres and without Kafka: they commit what they are given, and take over from each other."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import psycopg

from stream import memory, session, sink, written
from stream.process import process
from stream.source import Polled
from stream.types import Records, Rules
from tandem import database
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

NO_RECORDS = Records([], [], [], [], [])


class Desk:
    """A worker without Kafka: it takes partitions over, and commits what it is given."""

    def __init__(self, settings: Settings, name: str, rules: Rules) -> None:
        self._settings, self._name, self._rules = settings, name, rules
        self._connection = sink.connect(settings)
        self._reader = database.connect(settings, database.SPEED, autocommit=True, options="-c TimeZone=UTC")
        self._held: dict[int, session.HeldState] = {}

    def take_over(self, partitions: Iterator[int] | range) -> None:
        for partition in partitions:
            claim = sink.claim(self._connection, ORDER_EVENTS, partition, 0, self._name)
            kept = memory.restore(self._reader, ORDER_EVENTS, partition, claim.watermark, self._rules)
            self._held[partition] = session.HeldState(claim.epoch, claim.next_offset, kept)

    def commit(self, records: Records) -> None:
        batch = process(records, {at: state.memory for at, state in self._held.items()}, self._rules, self._reader)
        moves = []
        for segment in batch.segments:
            own = self._held[segment.partition]
            after = own.next_offset + segment.events
            at = (ORDER_EVENTS, segment.partition, own.epoch, own.next_offset, after)
            moves.append(sink.Move(*at, segment.watermark_after))
            own.next_offset = after
        polled = Polled(records, NO_RECORDS, {}, {})
        sink.commit(self._connection, written.written(moves, polled, batch, self._settings, self._rules).writes)

    @property
    def connections(self) -> tuple[psycopg.Connection[Any], ...]:
        return self._connection, self._reader

    @property
    def offsets(self) -> dict[int, int]:
        """Where it is."""
        return {partition: state.next_offset for partition, state in self._held.items()}

    def close(self) -> None:
        self._connection.close()
        self._reader.close()


def forget_everything(settings: Settings) -> None:
    """All that the stream ever counted. Which measures are kept is none of it."""
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'speed' AND tablename <> 'measures_since'"
    with database.connect(settings, database.SPEED) as speed:
        for (table,) in speed.execute(tables).fetchall():
            speed.execute(psycopg.sql.SQL("DELETE FROM speed.{}").format(psycopg.sql.Identifier(table)))


def next_part(records: Records, done: dict[int, int], random: Random) -> Records | None:
    """The next records of either partition, some of each."""
    upto = {partition: offset + random.randint(0, 9) for partition, offset in done.items()}
    rows = [
        row
        for row, (partition, offset) in enumerate(zip(records.partitions, records.offsets, strict=True))
        if done[partition] <= offset < upto[partition]
    ]
    left = any(offset >= done[partition] for partition, offset in zip(records.partitions, records.offsets, strict=True))
    if not rows:
        return next_part(records, done, random) if left else None
    for row in rows:
        done[records.partitions[row]] = records.offsets[row] + 1
    return Records(*([of[row] for row in rows] for of in (getattr(records, name) for name in Records.__slots__)))
