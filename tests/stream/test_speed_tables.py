"""How rows reach Postgres: what a frame holds arrives as it is, and merges as its table declares."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from unittest.mock import patch

import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream import sink
from stream.encode import as_csv, frame_as_json, rows_as_json
from stream.tables import Merge, Table, Write
from tandem import database
from tandem.settings import Settings

pytestmark = pytest.mark.integration

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone comes beside
ROW = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | TEXTS,
    st.none() | st.binary(max_size=8),
    st.none() | st.lists(TEXTS, max_size=3),
    st.none() | MOMENTS,
    st.none() | st.dates(date(1990, 1, 1)),
    st.none() | st.booleans(),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
SCHEMA = {
    "whole": pl.Int64,
    "name": pl.String,
    "raw": pl.Binary,
    "names": pl.List(pl.String),
    "moment": pl.Datetime("us", "UTC"),
    "day": pl.Date,
    "yes": pl.Boolean,
    "real": pl.Float64,
}


@pytest.fixture(scope="module")
def scratch(postgres: Settings) -> Iterator[psycopg.Connection[Any]]:
    with database.connect(postgres, database.SPEED, autocommit=True, options="-c TimeZone=UTC") as connection:
        connection.execute(
            "CREATE TEMPORARY TABLE scratch (whole bigint, name text, raw bytea, names text[], moment timestamptz,"
            " day date, yes boolean, real double precision)"
        )
        yield connection


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROW, max_size=20))
def test_postgres_holds_what_the_frame_held(scratch: psycopg.Connection[Any], rows: list[tuple[Any, ...]]) -> None:
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    copied = [name for name in SCHEMA if name != "raw"]
    scratch.execute("TRUNCATE scratch")
    with scratch.cursor() as cursor, cursor.copy(f"COPY scratch ({', '.join(copied)}) FROM STDIN (FORMAT csv)") as copy:
        copy.write(as_csv(frame.select(copied)))
    found = scratch.execute(f"SELECT {', '.join(copied)} FROM scratch").fetchall()
    assert sorted(found, key=repr) == sorted(frame.select(copied).rows(), key=repr)
    for as_json in (frame_as_json(frame), rows_as_json(rows, [*SCHEMA])):
        read = "SELECT * FROM json_populate_recordset(NULL::scratch, %s)"
        assert sorted(scratch.execute(read, [as_json]).fetchall(), key=repr) == sorted(rows, key=repr)


MERGES = Table(
    "merges",
    ("k",),
    tuple((str(merge), merge) for merge in Merge),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([*Write]),
        st.dictionaries(st.integers(0, 3), st.lists(st.integers(-9, 9), min_size=5, max_size=5)),
        st.booleans(),
    ),
    max_size=6,
)


def merged(merge: Merge, held: int, new: int) -> int:
    match merge:
        case Merge.KEEP:
            return held
        case Merge.REPLACE:
            return new
        case Merge.ADD:
            return held + new
        case Merge.LEAST:
            return min(held, new)
        case Merge.GREATEST:
            return max(held, new)


def by_hand(books: dict[int, list[int]], write: Write, rows: dict[int, list[int]]) -> None:
    for key, values in rows.items():
        match write:
            case Write.DELETE:
                books.pop(key, None)
            case Write.ONCE:
                books.setdefault(key, values)
            case Write.APPEND:
                assert key not in books
                books[key] = values
            case Write.MERGE:
                held = books.get(key)
                books[key] = [merged(m, h, v) for m, h, v in zip(Merge, held, values, strict=True)] if held else values


@settings(max_examples=50, deadline=None)
@given(steps=STEPS)
def test_rows_are_written_as_their_table_declares(postgres: Settings, steps: list[Any]) -> None:
    books: dict[int, list[int]] = {}
    declared = {
        write: Table("merges", ("k",), () if write is Write.DELETE else MERGES.values, write) for write in Write
    }
    with database.connect(postgres, database.OWNER) as owner:
        columns = ", ".join(f'"{merge}" bigint' for merge in Merge)
        owner.execute(f"CREATE TABLE speed.merges (k bigint PRIMARY KEY, {columns})")
        for write, drawn, few in steps:
            table = declared[write]
            rows = {k: v for k, v in drawn.items() if write is not Write.APPEND or k not in books}
            statements = database.queries("sink", tables=(table,))
            frame = pl.DataFrame(
                [(k, *v)[: len(table.columns)] for k, v in rows.items()],
                schema=dict.fromkeys(table.columns, pl.Int64),
                orient="row",
            )
            with patch.object(sink, "statements", statements):
                for load in sink.loads_of(table, sink.Writes((), {table: frame})):
                    (sink._insert if few else sink._copy)(owner.cursor(), load)
                    owner.execute(load.statement("write_staged" if few else "write"))
            owner.execute(f"DROP TABLE IF EXISTS {table.incoming}")
            by_hand(books, write, rows)
        found = owner.execute("SELECT * FROM speed.merges").fetchall()
        owner.rollback()
    assert {key: values for key, *values in found} == books


def test_every_declared_table_is_there_with_its_columns_and_unique_keys(postgres: Settings) -> None:
    with database.connect(postgres, database.READER) as reader:
        for table in sink.TABLES:
            present = reader.execute(
                "SELECT column_name, data_type FROM information_schema.columns"
                " WHERE table_schema = 'speed' AND table_name = %s",
                [table.name],
            ).fetchall()
            unique = reader.execute(
                "SELECT array_agg(attname::text ORDER BY attname) FROM pg_index JOIN pg_attribute"
                " ON attrelid = indrelid AND attnum = ANY (indkey)"
                " WHERE indrelid = ('speed.' || quote_ident(%s))::regclass AND indisunique GROUP BY indexrelid",
                [table.name],
            ).fetchall()
            assert set(table.columns) <= {name for name, _ in present}
            assert set(table.documents) == {name for name, kind in present if kind in {"json", "jsonb"}}
            assert (sorted(table.keys),) in unique
