"""sink: one Postgres transaction per micro-batch, offsets included. This is what makes counting exactly-once.

Everything is sent first: few rows as a parameter, kept in a setting of the transaction, all tables in one round trip;
many by COPY to a temporary table; or appended packed (stream.pack). Then the offsets move, if nobody else has taken a
partition over, and the rows follow in statements that need nothing more from this process. A worker that is stopped
half-way holds what its successor waits for no longer than Postgres waits for it: between two round trips that is
``idle_in_transaction_session_timeout``; between two statements of one round trip, where the connection is not idle to
Postgres, it is ``transaction_timeout``, which only Postgres 17 and later have.

To empty temporary tables at the end of a transaction is dear, and one that uses any of them empties all: 25 took 40 ms
on a busy disk. So each is made once it is needed, and a small micro-batch uses none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from stream import encode, finals
from stream.pack import packed
from stream.registry import OPERATORS
from stream.tables import OWN, Table, Write
from stream.types import Rules
from tandem import database
from tandem.errors import TandemError
from tandem.rollups import KEPT
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

TABLES = (*OWN, *(table for operator in OPERATORS for table in operator.tables))
queries = database.queries("speed")
_MANY = 1_000
_FEW, _SMALL = 2_000, 1 << 18
"""Rows and bytes."""
_LONGEST = 20
"""A transaction may take so many session time-outs: hundreds of times what one takes, even where much has expired."""
_BOUNDS_TRANSACTIONS = 170_000
"""The version of Postgres that can end a transaction for its length."""
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
    """A partition's step from one offset to a later one. ``watermark`` None leaves it as it is.

    ``last``: offset, and the broker's time in ms, of the last record on the way; None where there is none.
    """

    topic: str
    partition: int
    epoch: int
    old_offset: int
    new_offset: int
    watermark: datetime | None = None
    last: tuple[int, int] | None = None


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
    """A connection for one worker. Raises TandemError as ``database.connect`` does."""
    return database.connect(settings, database.SPEED, autocommit=True, options=never_idle(settings))


def connect_to_commit(settings: Settings) -> psycopg.Connection[Any]:
    """As ``connect``, for claims and commits: others wait for them, and none takes long."""
    connection = connect(settings)
    if connection.info.server_version >= _BOUNDS_TRANSACTIONS:
        longest = str(_LONGEST * _milliseconds(settings.session_timeout))
        connection.execute(queries.bound_transactions, {"milliseconds": longest})
    return connection


def never_idle(settings: Settings) -> str:
    """Options of a connection whose locks others wait for, so that a worker that was stopped loses them."""
    return f"-c idle_in_transaction_session_timeout={_milliseconds(settings.session_timeout)} -c TimeZone=UTC"


def _milliseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)


def claim(connection: psycopg.Connection[Any], topic: str, partition: int, start: int, worker: str) -> Claim:
    """Take a partition over. ``start``: first offset of a partition that was never read.

    Raises TandemError where the tables are for other measures than this worker counts: some would be too small.
    """
    parameters = {"topic": topic, "partition": partition, "start": start, "worker": worker}
    with connection.transaction():
        connection.execute(queries.hold_measures)
        _require_same_measures(connection)
        finals.lock(connection)
        row = connection.execute(queries.claim, parameters).fetchone()
        assert row is not None  # noqa: S101 - an upsert returns its row
        next_offset, epoch, watermark = row
        if epoch == 1 and topic == ORDER_EVENTS:
            finals.mark_new(connection, partition, start)
    return Claim(epoch, next_offset, watermark)


def last_records(connection: psycopg.Connection[Any]) -> dict[tuple[str, int], tuple[int, int]]:
    """Offset, and the broker's time in ms, of the last record that was read, by topic and partition."""
    known = connection.execute(queries.last_records).fetchall()
    return {(topic, partition): (offset, time_ms) for topic, partition, offset, time_ms in known}


def _require_same_measures(connection: psycopg.Connection[Any]) -> None:
    kept = set(connection.execute(queries.measures).fetchall())
    for said, differing in (("lacks", kept - KEPT), ("counts", KEPT - kept)):
        if differing:
            table, measure = min(differing)
            raise TandemError(
                f"this worker {said} {measure} of speed.{table}, and the tables are for other KPIs",
                "run 'tandem up' and every worker with the same tandem/kpis.py and tandem/rollups.py",
            )


def commit(connection: psycopg.Connection[Any], writes: Writes) -> None:
    """Write it all and move the offsets, or nothing. Raises Fenced where a partition is no longer this worker's."""
    loads = [load for table in TABLES for load in loads_of(table, writes)]
    with connection.transaction(), connection.cursor() as cursor:
        for load in loads:
            if not load.is_small:
                _copy(cursor, load)
        with connection.pipeline():  # one answer is waited for, not one for each table
            for load in loads:
                if load.is_small:
                    _insert(cursor, load)
            advanced = _advance(connection, writes.moves)
        if advanced.rowcount != len(writes.moves):
            raise Fenced(
                f"{len(writes.moves) - advanced.rowcount} of {len(writes.moves)} partitions belong to another worker"
            )
        with connection.pipeline():
            for load in loads:
                if not load.table.is_packed:
                    cursor.execute(load.statement("write_staged" if load.is_small else "write"))
            if writes.closes:
                finals.close_hours(cursor, writes.closes)
            for table, bounds in writes.expired.items():
                parameters = {"partitions": [*bounds], "bounds": [*bounds.values()]}
                cursor.execute(getattr(statements, f"expire_{table.name}"), parameters)


@dataclass(frozen=True, slots=True)
class Load:
    """What goes into one table in one way: a frame, or rows."""

    table: Table
    content: pl.DataFrame | Sequence[tuple[Any, ...]]

    @property
    def to(self) -> str:
        """Where it is sent."""
        return self.table.pending if self.table.is_packed else self.table.incoming

    def statement(self, does: str) -> str:
        """The one that does this to it."""
        found: str = getattr(statements, f"{does}_{self.to}")
        return found

    @property
    def is_small(self) -> bool:
        """Whether it travels as a parameter: COPY costs less a row, and more at all."""
        if isinstance(self.content, pl.DataFrame):
            return self.content.height <= _FEW and self.content.estimated_size() <= _SMALL
        return len(self.content) <= _FEW and sum(map(_bytes_of, self.content)) <= _SMALL


def _bytes_of(row: tuple[Any, ...]) -> int:
    return sum(len(value) for value in row if isinstance(value, bytes))


def loads_of(table: Table, writes: Writes) -> Iterator[Load]:
    """All that goes into a table."""
    frame, rows = writes.frames.get(table), writes.rows.get(table)
    if frame is not None and frame.height:
        # On their way both are kept under the table's name.
        assert not rows, f"{table.name} gets a frame and rows at once: one would take the other's place"  # noqa: S101
        yield Load(table, packed(frame, table) if table.is_packed else _in_order(frame.select(table.columns), table))
    if rows:
        yield Load(table, rows)


def _in_order(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """By the key: to find many rows in the order of their index costs Postgres two thirds of finding them in any."""
    return frame.sort(table.keys) if table.write is Write.MERGE and frame.height > _MANY else frame


def _insert(cursor: psycopg.Cursor[Any], load: Load) -> None:
    match load.content:
        case pl.DataFrame() as frame:
            as_json = encode.frame_as_json(frame)
        case rows:
            as_json = encode.rows_as_json(rows, load.table.columns)
    cursor.execute(load.statement("append" if load.table.is_packed else "stage"), {"rows": as_json})


def _copy(cursor: psycopg.Cursor[Any], load: Load) -> None:
    if not load.table.is_packed:
        cursor.execute(load.statement("create"))
    match load.content:
        case pl.DataFrame() as frame if pl.Binary() not in frame.dtypes:
            with cursor.copy(_statement(load.to, frame.columns, "csv")) as copy:
                copy.write(encode.as_csv(frame))
        case pl.DataFrame() as frame:
            _copy_rows(cursor, load.table, frame.iter_rows())
        case rows:
            _copy_rows(cursor, load.table, rows)


def _copy_rows(cursor: psycopg.Cursor[Any], table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    """In binary, so that bytes travel as they are: as text a megabyte costs both sides 10 ms more."""
    types = _types(cursor, table)
    with cursor.copy(_statement(table.incoming, table.columns, "binary")) as copy:
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


def _statement(table: str, columns: Sequence[str], form: str) -> sql.Composed:
    where = sql.Identifier("speed", table) if table in _PENDING else sql.Identifier(table)
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(
        where, sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(form)
    )


def _advance(connection: psycopg.Connection[Any], moves: Sequence[Move]) -> psycopg.Cursor[Any]:
    """How many rows it moved, the cursor knows once the pipeline has ended."""
    parameters = {
        "topics": [move.topic for move in moves],
        "partitions": [move.partition for move in moves],
        "epochs": [move.epoch for move in moves],
        "old_offsets": [move.old_offset for move in moves],
        "new_offsets": [move.new_offset for move in moves],
        "watermarks": [move.watermark for move in moves],
        "last_offsets": [move.last and move.last[0] for move in moves],
        "last_times_ms": [move.last and move.last[1] for move in moves],
    }
    return connection.execute(queries.advance, parameters)
