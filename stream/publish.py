"""publish: the present values of what has changed → the state topics, a worker at a time (capability S12).

A state topic shows an entity's last value. So values are read when they are sent, whoever changed them, and nothing is
kept that would have to be sent in order: the books are the outbox; ``speed.published`` says how far it was emptied.
Only one worker sends at a time, in Kafka transactions of one transactional id: whoever takes the turn over ends what
the one before left open, so that a worker that was paused cannot put an old value behind a newer one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import polars as pl
import psycopg
from confluent_kafka import Producer
from psycopg import sql

from stream.changes import KINDS, ChangesState, Frames
from stream.encode import as_csv
from stream.pace import Pace
from stream.panes import CUSTOMER_DAYS
from stream.recover import changed_since
from stream.settle import settle
from stream.totals import PRODUCT_TOTALS
from stream.types import Position
from tandem import database, kafka_client
from tandem.kpis import KPIS
from tandem.settings import Settings
from tandem.topics import KPI_TOPICS

_UTC = pl.Datetime("us", "UTC")
_ANSWER_S = 10.0
_AT_ONCE = 200
"""So many messages are read and sent, then others may run."""
_LEISURE_S = 5.0
"""A sending takes no longer than this, or half of the cadence, where its work is less: it holds the turn meanwhile."""
_WANTED_S = 0.1
"""Who waited so long for the turn is not the only one who wants it."""

_VALUES = ("days", "months", "revenue_windows", "trends", "products", "customers", "quality")
"""The queries that read values, in their order: what is counted from pending rows before many have come again."""
_SETTLED = {"products": PRODUCT_TOTALS, "dates": CUSTOMER_DAYS}
"""By kind of entity, what is settled before its values are read."""

_KPIS = {kpi.name: kpi for kpi in KPIS}
_queries = database.queries(
    "publish",
    tables=tuple((kind.table, kind.columns) for kind in KINDS),
    kpi_topics=tuple((topic, _KPIS[name]) for topic, name in KPI_TOPICS.items()),
)


class Publisher:
    """Sends what has changed. Of one thread, which calls everything in it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = uuid4().hex
        self._changes = ChangesState()
        self._unknown: dict[Position, int] = {}
        self._epochs: dict[Position, int] = {}
        self._producer: Producer | None = None
        self._leisure_s = min(settings.early_results_every.total_seconds() / 2, _LEISURE_S)
        self.is_leaving = False
        """Whether somebody waits for it to be done."""

    def grant(self, position: Position, next_offset: int, epoch: int) -> None:
        """A partition is this worker's, from an offset on; what came before it may not all have gone out."""
        self._unknown[position] = next_offset
        self._epochs[position] = epoch

    def add(self, frames: Frames, reached: Mapping[Position, int]) -> None:
        """What a commit wrote, and how far it moved its partitions."""
        self._changes.add(frames, reached)

    def send(self, connection: psycopg.Connection[Any]) -> int:
        """Send the present values of all that has changed since it last went out; returns how many there were.

        ``connection`` is one that sink.connect made, in autocommit. Raises errors of psycopg and Kafka; then everything
        is still to be sent.
        """
        if not (self._changes.reached or self._unknown or connection.execute(_queries.newly_final).fetchone()):
            return 0
        # With a backlog half a million pending rows would be unpacked to read the changed ones among them, and then
        # again by the next sending; settled, products are found by their key and customers are counted.
        settle(connection, [table for kind, table in _SETTLED.items() if self._changes.keys.get(kind)])
        sent = 0
        with connection.transaction():
            is_wanted = self._take_turn(connection)
            self._recover(connection)
            self._add_finals(connection)
            if self._changes.keys:
                sent = self._transact(connection, 0.0 if is_wanted else self._leisure_s)
            self._advance(connection)
        self._changes = ChangesState()
        return sent

    def _take_turn(self, connection: psycopg.Connection[Any]) -> bool:
        """Whether others want it too."""
        began_s = time.monotonic()
        row = connection.execute(_queries.take_turn).fetchone()
        is_wanted = time.monotonic() - began_s > _WANTED_S
        if self._producer is None or row != (self._name,):
            self._producer = self._new_producer()
            self._producer.init_transactions(_ANSWER_S)
            connection.execute(_queries.end_turn, {"worker": self._name})
        return is_wanted

    def _new_producer(self) -> Producer:
        options = {
            "transactional.id": f"{self._settings.topic_prefix}{self._settings.consumer_group}.publisher",
            "linger.ms": 5,
            "compression.type": "lz4",
        }
        return kafka_client.producer(self._settings, options)

    def _recover(self, connection: psycopg.Connection[Any]) -> None:
        for position, next_offset in list(self._unknown.items()):
            parameters = {"topic": position[0], "partition": position[1]}
            row = connection.execute(_queries.published, parameters).fetchone()
            published = row[0] if row else 0
            if published < next_offset:
                changed = changed_since(connection, position, published, self._settings.zone)
                self._changes.add(changed, {position: next_offset})
            del self._unknown[position]

    def _add_finals(self, connection: psycopg.Connection[Any]) -> None:
        """Hours that have become final, by the log or by a clock, since somebody last told of it."""
        row = connection.execute(_queries.newly_final).fetchone()
        if row:
            cells = connection.execute(_queries.final_cells, {"closed_before": row[0]}).fetchall()
            finals = pl.DataFrame(cells, schema={"moment": _UTC, "category": pl.String()}, orient="row")
            self._changes.add({"finals": finals}, {})
            connection.execute(_queries.told_final, {"closed_before": row[0]})

    def _transact(self, connection: psycopg.Connection[Any], leisure_s: float) -> int:
        """One Kafka transaction for all of it."""
        pace = Pace(leisure_s)
        assert self._producer is not None  # noqa: S101 - the turn was taken
        try:
            self._send_keys(connection)
            self._producer.begin_transaction()
            # An entity goes out once in a transaction, so one random part for all of it tells messages apart; one for
            # each message cost more than sending it.
            sending = uuid4().hex
            count = 0
            for count, row in enumerate(self._values(connection), 1):
                self._produce(row, sending)
                if count % _AT_ONCE == 0:
                    pace.rest(hurried=self.is_leaving)
            self._producer.commit_transaction(_ANSWER_S)
        except BaseException:
            # Whatever it was, the next producer ends what this one has open.
            self._producer = None
            raise
        return count

    def _send_keys(self, connection: psycopg.Connection[Any]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_queries.create_changed)
            for kind in KINDS:
                keys = self._changes.of(kind)
                copy = sql.SQL("COPY {} FROM STDIN (FORMAT csv)").format(sql.Identifier(kind.table))
                with cursor.copy(copy) as copying:
                    copying.write(as_csv(keys))
                cursor.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(kind.table)))

    def _values(self, connection: psycopg.Connection[Any]) -> Iterator[tuple[str, str, str]]:
        """Topic, key and value of every entity."""
        for name in _VALUES:
            with connection.cursor(name=f"values_of_{name}") as cursor:
                cursor.itersize = _AT_ONCE
                yield from cursor.execute(getattr(_queries, name))

    def _produce(self, row: tuple[str, str, str], sending: str) -> None:
        topic, key, value = row
        assert self._producer is not None  # noqa: S101 - the turn was taken
        headers = [("message_id", f"{topic}:{key}:{sending}".encode())]
        while True:
            try:
                self._producer.produce(self._settings.topic(topic), value.encode(), key.encode(), headers=headers)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def _advance(self, connection: psycopg.Connection[Any]) -> None:
        reached = self._changes.reached
        parameters = {
            "topics": [topic for topic, _ in reached],
            "partitions": [partition for _, partition in reached],
            "offsets": list(reached.values()),
            "epochs": [self._epochs[position] for position in reached],
        }
        connection.execute(_queries.advance_published, parameters)
