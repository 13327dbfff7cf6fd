"""How many customers a date and a month have, kept beside their rows: what counting anew would give, at any time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from threading import Event, Thread
from typing import Any

import polars as pl
import psycopg
import pytest
import speed_rig as rig
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stream import sink
from stream.panes import CUSTOMER_DAYS
from stream.settle import settle
from tandem import database
from tandem.settings import PROJECT_ROOT, Settings

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

DATES = [date(2017, 11, 30), date(2017, 12, 1), date(2017, 12, 31), date(2018, 1, 1), date(2018, 12, 31)]
DAYS = st.tuples(st.sampled_from(DATES), st.sampled_from(["alice", "bob", "", '"', "{,}", "NULL", "é"]))
STEPS = st.one_of(
    st.tuples(st.just("commit"), st.lists(DAYS, max_size=9, unique=True)),
    st.tuples(st.just("settle"), st.just([])),
    st.tuples(st.just("roll back a settling of"), st.lists(DAYS, max_size=3, unique=True)),
    st.tuples(st.just("delete"), st.lists(DAYS, max_size=3, unique=True)),
    st.tuples(st.just("delete from a date on"), st.lists(DAYS, min_size=1, max_size=1)),
)
Day = tuple[date, str]


def rows_of(days: Iterable[Day]) -> pl.DataFrame:
    """A micro-batch's."""
    return pl.DataFrame([*days], schema={"business_date": pl.Date, "customer_id": pl.String}, orient="row")


class Books:
    """The customers that the stream has, beside a plain set of what it should have."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self.pending: set[Day] = set()
        self.settled: set[Day] = set()

    def do(self, step: str, days: list[Day]) -> None:
        getattr(self, step.replace(" ", "_"))(days)

    def commit(self, days: list[Day]) -> None:
        sink.commit(self._connection, sink.Writes([], {CUSTOMER_DAYS: rows_of(days)}))
        self.pending |= set(days)

    def settle(self, _: list[Day]) -> None:
        assert settle(self._connection, (CUSTOMER_DAYS,))
        self.settled, self.pending = self.settled | self.pending, set()

    def roll_back_a_settling_of(self, days: list[Day]) -> None:
        self.commit(days)
        with self._connection.transaction() as settling:
            settle(self._connection, (CUSTOMER_DAYS,))
            raise psycopg.Rollback(settling)

    def delete(self, days: list[Day]) -> None:
        self._connection.execute(
            "DELETE FROM speed.customer_days WHERE (business_date, customer_id) IN"
            " (SELECT * FROM unnest(%s::date[], %s::text[]))",
            ([day for day, _ in days], [customer for _, customer in days]),
        )
        self.settled -= set(days)

    def delete_from_a_date_on(self, days: list[Day]) -> None:
        ((since, _),) = days
        self._connection.execute("DELETE FROM speed.customer_days WHERE business_date >= %s", (since,))
        self.settled = {day for day in self.settled if day[0] < since}


@hypothesis_settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(STEPS, max_size=7))
@example([("commit", [(DATES[1], "a"), (DATES[2], "a")]), ("settle", []), ("delete", [(DATES[2], "a")])])
def test_the_counts_are_those_of_different_customers_whatever_became_of_their_rows(
    postgres: Settings, steps: list[tuple[str, list[Day]]]
) -> None:
    connection = sink.connect(postgres)
    try:
        connection.execute("DELETE FROM speed.customer_days_pending")
        connection.execute("DELETE FROM speed.customer_days")
        books = Books(connection)
        rig.assert_counts_are_those_of(postgres, [])
        for step, days in steps:
            books.do(step, days)
            rig.assert_counts_are_those_of(postgres, books.settled | books.pending)
    finally:
        connection.close()


BOTH_WAYS = """
SELECT
    (SELECT customers FROM speed.date_customers_all WHERE business_date = '2017-12-01'),
    (SELECT count(DISTINCT customer_id) FROM speed.customer_days_all WHERE business_date = '2017-12-01'),
    (SELECT customers FROM speed.month_customers_all WHERE month = '2017-12-01'),
    (SELECT count(DISTINCT customer_id) FROM speed.customer_days_all
     WHERE business_date >= '2017-12-01' AND business_date < '2018-01-01')
"""


def test_whoever_reads_while_two_settle_sees_what_counting_anew_gives(postgres: Settings) -> None:
    stop = Event()

    def keep_settling() -> None:
        with sink.connect(postgres) as own:
            while not stop.is_set():
                settle(own, (CUSTOMER_DAYS,))

    settlers = [Thread(target=keep_settling) for _ in range(2)]
    seen = []
    with sink.connect(postgres) as writer, database.connect(postgres, database.READER, autocommit=True) as reader:
        for settler in settlers:
            settler.start()
        try:
            for number in range(60):
                days = [(DATES[1 + number % 2], f"c{(number * 37 + at) % 900}") for at in range(80)]
                sink.commit(writer, sink.Writes([], {CUSTOMER_DAYS: rows_of(days)}))
                seen.append(reader.execute(BOTH_WAYS).fetchone())
        finally:
            stop.set()
            for settler in settlers:
                settler.join()
    assert [(date_kept, month_kept) for date_kept, _, month_kept, _ in seen] == [
        (date_anew, month_anew) for _, date_anew, _, month_anew in seen
    ]
    assert len(set(seen)) > 10


def test_emptied_tables_count_nobody(postgres: Settings) -> None:
    with database.connect(postgres, database.OWNER) as owner:
        owner.execute("INSERT INTO speed.customer_days VALUES ('2017-12-01', 'alice', -1)")
        owner.execute("TRUNCATE speed.customer_days")
    rig.assert_counts_are_those_of(postgres, [])


AS_BEFORE = """
ALTER TABLE speed.customer_days DROP CONSTRAINT customer_days_partition_check;
DROP FUNCTION speed.count_customers_that_came, speed.count_customers_that_went, speed.count_no_customers CASCADE;
DROP TABLE speed.customer_months, speed.date_customers, speed.month_customers CASCADE;
ALTER TABLE speed.customer_days ADD COLUMN order_count bigint NOT NULL, ADD COLUMN revenue_cents bigint NOT NULL;
ALTER TABLE speed.customer_days_pending ADD COLUMN order_count bigint[], ADD COLUMN revenue_cents bigint[];
"""


def test_books_that_were_there_before_are_counted_and_those_by_partition_put_together(postgres: Settings) -> None:
    versions = PROJECT_ROOT / "sql" / "migrations" / "versions"
    old = [(DATES[1], "alice", 3, 1, 100), (DATES[1], "alice", -1, 2, 50), (DATES[2], "alice", 3, 1, 7)]
    with database.connect(postgres, database.OWNER) as owner:
        owner.execute(AS_BEFORE)
        for row in old:
            owner.execute("INSERT INTO speed.customer_days VALUES (%s, %s, %s, %s, %s)", row)
        for migration in ("0026_customer_counts.sql", "0027_customers_of_dates.sql"):
            owner.execute((versions / migration).read_text(encoding="utf-8"))
        assert owner.execute("SELECT * FROM speed.customer_days ORDER BY 1").fetchall() == [
            (DATES[1], "alice", -1),
            (DATES[2], "alice", -1),
        ]
        days = owner.execute("SELECT * FROM speed.date_customers ORDER BY 1").fetchall()
        assert days == [(DATES[1], 1), (DATES[2], 1)]
        assert owner.execute("SELECT * FROM speed.month_customers").fetchall() == [(DATES[1], 1)]
        owner.rollback()
