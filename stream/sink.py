"""sink: one Postgres transaction per micro-batch, offsets included. This is what makes counting exactly-once.

Everything is sent to temporary tables first, or appended packed (stream.pack); then the offsets move, if nobody else
has taken a partition over, and the rows follow in statements that need nothing more from this process. So a worker that
is stopped half-way never holds what its successor waits for longer than ``idle_in_transaction_session_timeout``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from stream import finals
from stream.encode import as_csv
from stream.pack import packed
from stream.registry import OPERATORS
from stream.tables import OWN, Table, Write
from stream.types import Rules
from tandem import database
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

TABLES = (*OWN, *(table for operator in OPERATORS for table in operator.tables))
queries = database.queries("speed")
_MANY = 1_000
_TYPES: dict[Table, list[int]] = {}
_PENDING = {table.pending for table in TABLES if table.is_packed}
statements = database.queries("sink", tables=TABLES)


class Fenced(Exception):  # noqa: N818 - it is what happened, and no fault
    """Another worker has taken a partition over: nothing was committed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A partition as it was when it was claimed. ``watermark``: greatest event time of its accepted events."""

    epoch: int
    next_offset: int
    watermark: datetime | None


@dataclass(frozen=True, slots=True)
class Move:
    """A partition's step from one offset to a later one. ``watermark`` None leaves it as it is."""

    topic: str
    partition: int
    epoch: int
    old_offset: int
    new_offset: int
    watermark: datetime | None = None


@dataclass(frozen=True, slots=True)
class Writes:
    """All that one transaction writes. ``frames``: many rows; ``rows``: few, tuples in the order of the columns."""

    moves: Sequence[Move]
    frames: Mapping[Table, pl.DataFrame] = field(default_factory=dict)
    rows: Mapping[Table, list[tuple[Any, ...]]] = field(default_factory=dict)
    closes: Rules | None = None
    """Where a watermark may pass the end of an hour: the rules by which the hour becomes final."""
    expired: Mapping[Table, Mapping[int, datetime]] = field(default_factory=dict)
    """Per table and partition, the instant before which rows have expired."""


def connect(settings: Settings) -> psycopg.Connection[Any]:
    """A connection for one worker. Raises TandemError where Postgres cannot be reached or has no tables."""
    timeout_ms = int(settings.session_timeout.total_seconds() * 1000)
    options = f"-c idle_in_transaction_session_timeout={timeout_ms} -c TimeZone=UTC"
    connection = database.connect(settings, database.SPEED, autocommit=True, options=options)
    try:
        connection.execute(statements.create_incoming)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        connection.close()
        raise TandemError(f"database '{settings.postgres_database}' has no tables yet", "run 'tandem up'") from error
    return connection


def claim(connection: psycopg.Connection[Any], topic: str, partition: int, start: int, worker: str) -> Claim:
    """Take a partition over. ``start``: first offset of a partition that was never read."""
    parameters = {"topic": topic, "partition": partition, "start": start, "worker": worker}
    with connection.transaction():
        finals.lock(connection)
        row = connection.execute(queries.claim, parameters).fetchone()
        assert row is not None  # noqa: S101 - an upsert returns its row
        next_offset, epoch, watermark = row
        if epoch == 1 and topic == ORDER_EVENTS:
            finals.mark_new(connection, partition, start)
    return Claim(epoch, next_offset, watermark)


def commit(connection: psycopg.Connection[Any], writes: Writes) -> None:
    """Write it all and move the offsets, or nothing. Raises Fenced where a partition is no longer this worker's."""
    with connection.transaction(), connection.cursor() as cursor:
        sent = {table for table in TABLES if _send(cursor, table, writes.frames.get(table), writes.rows.get(table, ()))}
        _advance(cursor, writes.moves)
        with connection.pipeline():
            for table in TABLES:
                if table in sent and not table.is_packed:
                    cursor.execute(getattr(statements, f"write_{table.incoming}"))
            if writes.closes:
                finals.close_hours(cursor, writes.closes)
            for table, bounds in writes.expired.items():
                parameters = {"partitions": [*bounds], "bounds": [*bounds.values()]}
                cursor.execute(getattr(statements, f"expire_{table.name}"), parameters)


def _send(
    cursor: psycopg.Cursor[Any], table: Table, frame: pl.DataFrame | None, rows: Sequence[tuple[Any, ...]]
) -> bool:
    """Whether there was anything to send."""
    if frame is not None and frame.height:
        sent = packed(frame, table) if table.is_packed else _in_order(frame.select(table.columns), table)
        if pl.Binary() in sent.dtypes:
            _send_rows(cursor, table, sent.iter_rows())
        else:
            with cursor.copy(_copy(table.pending if table.is_packed else table.incoming, sent.columns, "csv")) as copy:
                copy.write(as_csv(sent))
    if rows:
        _send_rows(cursor, table, rows)
    return bool(rows) or (frame is not None and frame.height > 0)


def _send_rows(cursor: psycopg.Cursor[Any], table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    """In binary, so that bytes travel as they are: as text a megabyte costs both sides 10 ms more."""
    types = _types(cursor, table)
    with cursor.copy(_copy(table.incoming, table.columns, "binary")) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _types(cursor: psycopg.Cursor[Any], table: Table) -> list[int]:
    """Of the columns. Postgres is asked once for a table: its own types have the same numbers in every database."""
    if table not in _TYPES:
        columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
        cursor.execute(sql.SQL("SELECT {} FROM {} LIMIT 0").format(columns, sql.Identifier(table.incoming)))
        assert cursor.description is not None  # noqa: S101 - a query describes its rows
        _TYPES[table] = [column.type_code for column in cursor.description]
    return _TYPES[table]


def _in_order(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """By the key: to find many rows in the order of their index costs Postgres two thirds of finding them in any."""
    return frame.sort(table.keys) if table.write is Write.MERGE and frame.height > _MANY else frame


def _copy(table: str, columns: Sequence[str], form: str) -> sql.Composed:
    where = sql.Identifier("speed", table) if table in _PENDING else sql.Identifier(table)
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(
        where, sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(form)
    )


def _advance(cursor: psycopg.Cursor[Any], moves: Sequence[Move]) -> None:
    parameters = {
        "topics": [move.topic for move in moves],
        "partitions": [move.partition for move in moves],
        "epochs": [move.epoch for move in moves],
        "old_offsets": [move.old_offset for move in moves],
        "new_offsets": [move.new_offset for move in moves],
        "watermarks": [move.watermark for move in moves],
    }
    cursor.execute(queries.advance, parameters)
    if cursor.rowcount != len(moves):
        raise Fenced(f"{len(moves) - cursor.rowcount} of {len(moves)} partitions belong to another worker")
