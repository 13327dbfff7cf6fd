"""sink: one Postgres transaction per micro-batch, offsets included. This is what makes counting exactly-once.

Everything is sent to temporary tables first; then the offsets move, if nobody else has taken a partition over, and the
rows follow in statements that need nothing more from this process. So a worker that is stopped half-way never holds
what its successor waits for longer than ``idle_in_transaction_session_timeout``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from tandem import database
from tandem.errors import TandemError
from tandem.settings import Settings

_UTC_TEXT = "%Y-%m-%d %H:%M:%S%.6f+00"
_ROW_TABLES = {
    "journal": (
        ("topic", "text"),
        ("partition", "int4"),
        ("first_offset", "int8"),
        ("next_offset", "int8"),
        ("events", "int4"),
        ("min_business_date", "date"),
        ("max_business_date", "date"),
        ("max_accepted_time", "timestamptz"),
        ("watermark_before", "timestamptz"),
        ("watermark_after", "timestamptz"),
        ("epoch", "int8"),
        ("rule_version", "text"),
        ("segment", "bytea"),
    ),
    "quarantine": (
        ("topic", "text"),
        ("partition", "int4"),
        ("offset", "int8"),
        ("kafka_time", "timestamptz"),
        ("key", "bytea"),
        ("value", "bytea"),
        ("reasons", "text[]"),
        ("event_id", "text"),
        ("event_type", "text"),
        ("event_time", "timestamptz"),
        ("order_id", "text"),
        ("customer_id", "text"),
        ("business_date", "date"),
    ),
    "adjustments": (
        ("correction_id", "text"),
        ("business_date", "date"),
        ("cube", "text"),
        ("cell_start", "timestamptz"),
        ("key", "text"),
        ("measure", "text"),
        ("delta", "int8"),
        ("stream_value", "int8"),
        ("batch_value", "int8"),
        ("run_id", "text"),
        ("reverses", "text"),
        ("partition", "int4"),
        ("offset", "int8"),
    ),
    "outbox": (("dedupe_id", "text"), ("topic", "text"), ("key", "bytea"), ("value", "bytea")),
}
"""Tables that are written row by row, with the columns that are not left to their defaults."""

_queries = database.queries("speed")


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
    """All that one transaction writes. ``frames``: deltas by table; ``rows``: tuples by table, as in _ROW_TABLES."""

    moves: Sequence[Move]
    frames: dict[str, pl.DataFrame] = field(default_factory=dict)
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)


def connect(settings: Settings) -> psycopg.Connection[Any]:
    """A connection for one worker. Raises TandemError where Postgres cannot be reached or has no tables."""
    timeout_ms = int(settings.session_timeout.total_seconds() * 1000)
    options = f"-c idle_in_transaction_session_timeout={timeout_ms} -c TimeZone=UTC"
    connection = database.connect(settings, database.SPEED, autocommit=True, options=options)
    try:
        connection.execute(_queries.create_incoming)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        connection.close()
        raise TandemError(f"database '{settings.postgres_database}' has no tables yet", "run 'tandem up'") from error
    return connection


def claim(connection: psycopg.Connection[Any], topic: str, partition: int, start: int, worker: str) -> Claim:
    """Take a partition over. ``start``: first offset of a partition that was never read."""
    parameters = {"topic": topic, "partition": partition, "start": start, "worker": worker}
    row = connection.execute(_queries.claim, parameters).fetchone()
    assert row is not None  # noqa: S101 - an upsert returns its row
    next_offset, epoch, watermark = row
    return Claim(epoch, next_offset, watermark)


def commit(connection: psycopg.Connection[Any], writes: Writes) -> None:
    """Write it all and move the offsets, or nothing. Raises Fenced where a partition is no longer this worker's."""
    with connection.transaction(), connection.cursor() as cursor:
        for table, frame in writes.frames.items():
            _send_frame(cursor, table, frame)
        for table, rows in writes.rows.items():
            _send_rows(cursor, table, rows)
        _advance(cursor, writes.moves)
        with connection.pipeline():
            for table in (*writes.frames, *writes.rows):
                cursor.execute(getattr(_queries, f"write_{table}"))


def _send_frame(cursor: psycopg.Cursor[Any], table: str, frame: pl.DataFrame) -> None:
    buffer = BytesIO()
    frame.write_csv(buffer, include_header=False, quote_style="non_numeric", datetime_format=_UTC_TEXT)
    with cursor.copy(_copy(table, frame.columns, "csv")) as copy:
        copy.write(buffer.getbuffer())


def _send_rows(cursor: psycopg.Cursor[Any], table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    columns = _ROW_TABLES[table]
    with cursor.copy(_copy(table, [name for name, _ in columns], "binary")) as copy:
        copy.set_types([kind for _, kind in columns])
        for row in rows:
            copy.write_row(row)


def _copy(table: str, columns: Sequence[str], form: str) -> sql.Composed:
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(
        sql.Identifier(f"incoming_{table}"), sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(form)
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
    cursor.execute(_queries.advance, parameters)
    if cursor.rowcount != len(moves):
        raise Fenced(f"{len(moves) - cursor.rowcount} of {len(moves)} partitions belong to another worker")
