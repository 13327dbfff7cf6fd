"""Rows that travel packed and are settled later are the rows that were sent: nothing lost, nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stream import rollups, sink
from stream.panes import CUSTOMER_DAYS, PANES
from stream.settle import Settler, settle
from tandem import database
from tandem.kpis import PRODUCTS, measures_of
from tandem.pending import PACKS
from tandem.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

PRODUCT_HOURS = PANES[PRODUCTS.name]
MEASURES = [measure.name for measure in measures_of(PRODUCTS)]
START = datetime(2017, 12, 21, 23, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=6)
PRODUCT_IDS = st.one_of(
    st.sampled_from(['"', "\\", "{a,b}", "NULL", "null", "p", " ", "\n", "é", '\\"', "{}", "''"]), TEXTS
)
CELLS = st.tuples(
    st.integers(0, 3), PRODUCT_IDS, st.integers(0, 11), st.lists(st.integers(-5, 9), min_size=7, max_size=7)
)
BATCHES = st.lists(st.lists(CELLS, max_size=8, unique_by=lambda cell: cell[:3]), max_size=5)

Cell = tuple[int, str, int, list[int]]


def frame_of(cells: list[Cell]) -> pl.DataFrame:
    starts = [START + timedelta(hours=hour) for hour, *_ in cells]
    keys = {
        "business_date": pl.Series([start.date() for start in starts], dtype=pl.Date),
        "pane_start": pl.Series(starts, dtype=pl.Datetime("us", "UTC")),
        "product_id": pl.Series([cell[1] for cell in cells], dtype=pl.String),
        "partition": pl.Series([cell[2] for cell in cells], dtype=pl.Int32),
    }
    values = {name: pl.Series([cell[3][at] for cell in cells], dtype=pl.Int64) for at, name in enumerate(MEASURES)}
    return pl.DataFrame(keys | values)


def totals(rows: Iterable[tuple[Any, ...]]) -> dict[tuple[Any, ...], list[int]]:
    """Sums by date, hour and product, of rows that begin with those."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for business_date, start, product_id, *values in rows:
        held = found.setdefault((business_date, start, product_id), [0] * len(MEASURES))
        found[business_date, start, product_id] = [a + b for a, b in zip(held, values, strict=True)]
    return found


def sent(batches: list[list[Cell]]) -> dict[tuple[Any, ...], list[int]]:
    cells = [(START + timedelta(hours=cell[0]), cell[1], cell[3]) for batch in batches for cell in batch]
    return totals((start.date(), start, product, *values) for start, product, values in cells)


def read(settings: Settings, table: str) -> dict[tuple[Any, ...], list[int]]:
    with database.connect(settings, database.READER) as reader:
        columns = ", ".join(["business_date", "pane_start", "product_id", *MEASURES])
        return totals(reader.execute(f"SELECT {columns} FROM speed.{table}"))


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(BATCHES, st.lists(st.booleans(), min_size=5, max_size=5))
def test_readers_see_the_sums_of_what_was_sent_whenever_it_is_settled(
    postgres: Settings, batches: list[list[Cell]], settled: list[bool]
) -> None:
    with database.connect(postgres, database.SPEED) as speed:
        speed.execute("DELETE FROM speed.product_hours")
        speed.execute("DELETE FROM speed.product_hours_pending")
    connection = sink.connect(postgres)
    try:
        for at, cells in enumerate(batches):
            sink.commit(connection, sink.Writes([], {PRODUCT_HOURS: frame_of(cells)}))
            assert read(postgres, "product_hours_all") == sent(batches[: at + 1])
            if settled[at]:
                Settler(postgres).close(settled=True)
                assert read(postgres, "product_hours") == sent(batches[: at + 1])
    finally:
        connection.close()
    Settler(postgres).close(settled=True)
    assert read(postgres, "product_hours") == read(postgres, "product_hours_all") == sent(batches)


def test_a_settler_leaves_a_backlog_for_later_and_settles_while_nothing_waits(postgres: Settings) -> None:
    connection, settler = sink.connect(postgres), Settler(postgres)
    day = pl.DataFrame({"business_date": [date(2017, 12, 21)], "customer_id": ["c"]})
    sink.commit(connection, sink.Writes([], {CUSTOMER_DAYS: day}))
    settler.note(1, backlog=True)
    assert connection.execute("SELECT count(*) FROM speed.customer_days_pending").fetchone() == (1,)
    settler._not_before = 0.0
    settler.note(0, backlog=False)
    settler.close(settled=False)
    connection.close()
    with database.connect(postgres, database.READER) as reader:
        assert reader.execute("SELECT count(*) FROM speed.customer_days_pending").fetchone() == (0,)
        rows = reader.execute("SELECT * FROM speed.customer_days").fetchall()
    assert rows == [(date(2017, 12, 21), "c", -1)]


def test_only_what_is_asked_for_is_settled_and_nothing_while_somebody_else_settles(postgres: Settings) -> None:
    frames = {
        CUSTOMER_DAYS: pl.DataFrame({"business_date": [date(2017, 12, 21)], "customer_id": ["c"]}),
        PRODUCT_HOURS: frame_of([(0, "p", 1, [1] * 7)]),
    }
    names = ("customer_days", "product_hours")

    def pending() -> list[int]:
        queries = (f"SELECT count(*) FROM speed.{name}_pending" for name in names)
        return [count for query in queries for (count,) in connection.execute(query)]

    connection = sink.connect(postgres)
    try:
        sink.commit(connection, sink.Writes([], frames))
        with database.connect(postgres, database.SPEED) as other:
            other.execute(sink.queries.settling)
            settle(connection, (CUSTOMER_DAYS,))
            assert pending() == [1, 1]
        settle(connection, (CUSTOMER_DAYS,))
        assert pending() == [0, 1]
    finally:
        connection.close()


def test_a_turn_that_somebody_else_had_is_due_again(postgres: Settings) -> None:
    settler = Settler(postgres)
    with database.connect(postgres, database.SPEED) as other:
        other.execute(sink.queries.settling)
        settler._not_before = 0.0
        settler.note(3, backlog=False)
        settler._running.result()
    settler.note(0, backlog=True)
    assert settler._pending == 3
    settler.close(settled=True)


def test_of_two_settlers_at_once_one_settles_and_nothing_counts_twice(postgres: Settings) -> None:
    connection = sink.connect(postgres)
    cells: list[Cell] = [(0, f"p{number}", number % 12, [1] * 7) for number in range(2000)]
    for _ in range(5):
        sink.commit(connection, sink.Writes([], {PRODUCT_HOURS: frame_of(cells)}))
    connection.close()
    settlers = [Settler(postgres) for _ in range(3)]
    for settler in settlers:
        settler._not_before = 0.0
        settler.note(1, backlog=False)
    for settler in settlers:
        settler.close(settled=True)
    assert Counter(tuple(values) for values in read(postgres, "product_hours").values()) == {(5,) * 7: 2000}


def test_a_settler_that_is_stopped_half_way_holds_nobody_up(postgres: Settings) -> None:
    stopped = Settler(postgres.model_copy(update={"session_timeout": timedelta(seconds=0.5)}))
    stopped._connection.execute(sink.queries.settling)
    Settler(postgres).close(settled=True)
    with pytest.raises((psycopg.OperationalError, psycopg.errors.IdleInTransactionSessionTimeout)):
        stopped.close(settled=True)


def test_every_table_that_is_declared_packed_is_written_packed() -> None:
    assert {table.name: table.packs for table in sink.TABLES if table.is_packed} == PACKS


def test_a_smallest_of_zero_is_not_taken_for_nothing(postgres: Settings) -> None:
    def minute(cents: int) -> pl.DataFrame:
        keys = {"business_date": [START.date()], "pane_start": [START], "category": ["k"], "partition": [1]}
        values = {"order_count": [1], "revenue_cents": [cents], "smallest_cents": [cents], "largest_cents": [cents]}
        kinds = {"partition": pl.Int32, "pane_start": pl.Datetime("us", "UTC")}
        return pl.DataFrame(keys | values, schema_overrides=kinds)

    connection = sink.connect(postgres)
    for cents in (0, 7):
        sink.commit(connection, sink.Writes([], {rollups.PANES["category_minutes"]: minute(cents)}))
    connection.close()
    Settler(postgres).close(settled=True)
    with database.connect(postgres, database.READER) as reader:
        rows = reader.execute(
            "SELECT order_count, revenue_cents, smallest_cents, largest_cents FROM speed.category_minutes"
        ).fetchall()
    assert rows == [(2, 7, 0, 7)]
