"""Days and months after any sequence of orders, declarations, runs and rebuilds, against a list that remembers it all.

A measure is NULL of a date, and of a month with such a date, that the layer which is shown did not keep or compute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tandem.local import postgres as local_postgres
from tandem.settings import Settings

pytestmark = pytest.mark.integration

FIRST = date(2017, 11, 28)
DATES = [FIRST + timedelta(days=number) for number in range(6)]
"""Of two months."""
SELLS = st.tuples(st.just("sell"), st.sampled_from(DATES), st.integers(0, 9))
DECLARES = st.tuples(st.just("declare"), st.sampled_from(DATES))
PUBLISHES = st.tuples(st.just("publish"), st.sampled_from(DATES), st.booleans())
REBUILDS = st.tuples(st.just("rebuild"), st.sampled_from(DATES))
HISTORIES = st.lists(SELLS | SELLS | DECLARES | PUBLISHES | REBUILDS, min_size=1, max_size=14)


@dataclass
class Books:
    """What was sold, from which date on the stream has it, and what runs published: None where they did not know it."""

    connection: psycopg.Connection[Any]
    sold: dict[date, list[int]] = field(default_factory=dict)
    since: date = date.min
    published: dict[date, int | None] = field(default_factory=dict)
    rows: set[date] = field(default_factory=set)
    """Published dates that had an order by then: others have no row among the days."""

    def apply(self, kind: str, day: date, *more: Any) -> None:
        getattr(self, kind)(day, *more)

    def sell(self, day: date, units: int) -> None:
        sold = self.sold.setdefault(day, [])
        moment = datetime.combine(day, time(len(sold)), UTC)
        sold.append(units)
        self._execute(
            "INSERT INTO speed.order_minutes (business_date, pane_start, partition, order_count, units)"
            " VALUES (%s, %s, 0, 1, %s)",
            (day, moment, units if day >= self.since else units // 2),  # what is there of it says nothing
        )

    def declare(self, day: date) -> None:
        """As of a date: what was counted before is not kept."""
        self.since = max(self.since, day)
        self._note()

    def rebuild(self, day: date) -> None:
        self.since = min(self.since, day)
        for other, sold in self.sold.items():
            for hour, units in enumerate(sold):
                if other >= day:
                    moment = datetime.combine(other, time(hour), UTC)
                    self._execute("UPDATE speed.order_minutes SET units = %s WHERE pane_start = %s", (units, moment))
        self._note()

    def publish(self, day: date, knows: bool) -> None:
        """A run of what was sold, published."""
        run = f"{day}.{len(self.published)}.{self._count('batch.versions')}"
        sold = self.sold.get(day, [])
        self._execute(
            "INSERT INTO batch.runs (run_id, business_date, kind, code_version, rule_version)"
            " VALUES (%s, %s, 'manual', 'test', '1')",
            (run, day),
        )
        total = sum(sold) if knows else None
        figures = "INSERT INTO batch.daily_metrics (run_id, business_date, units) VALUES (%s, %s, %s)"
        self._execute(figures, (run, day, total))
        if sold:
            self._execute(
                "INSERT INTO batch.order_hours (run_id, business_date, cell_start, order_count, units)"
                " VALUES (%s, %s, %s, %s, %s)",
                (run, day, datetime.combine(day, time(), UTC), len(sold), total),
            )
        self._execute(
            "UPDATE batch.versions SET superseded_at = now() WHERE business_date = %s AND superseded_at IS NULL", (day,)
        )
        self._execute(
            "INSERT INTO batch.versions (view, business_date, version, run_id) VALUES ('daily_metrics', %s, %s, %s)",
            (day, self._count("batch.versions") + 1, run),
        )
        self.published[day] = total
        self.rows = self.rows | {day} if sold else self.rows - {day}

    def of_stream(self, day: date) -> int | None:
        return sum(self.sold[day]) if day >= self.since else None

    def days(self) -> dict[date, int | None]:
        return {day: self.of_stream(day) for day in self.sold} | self.published

    def _note(self) -> None:
        first = "-infinity" if self.since == date.min else f"{self.since}"
        note = "UPDATE speed.measures_since SET since = %s WHERE measure = 'units' AND table_name = 'order_minutes'"
        self._execute(note, (first,))

    def _count(self, table: str) -> int:
        row = self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # type: ignore[call-overload]
        return int(row[0])

    def _execute(self, statement: str, values: tuple[Any, ...]) -> None:
        self.connection.execute(statement, values)  # type: ignore[call-overload]


def whole(values: list[int | None]) -> int | None:
    return None if None in values else sum(value for value in values if value is not None)


@pytest.fixture(scope="module")
def admin(postgres: Settings) -> Iterator[psycopg.Connection[Any]]:
    with local_postgres.connect_admin(postgres, postgres.postgres_database) as connection:
        yield connection
        forget(connection)


def forget(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        "TRUNCATE speed.order_minutes, batch.runs, batch.versions, batch.order_hours, batch.daily_metrics CASCADE"
    )
    connection.execute("UPDATE speed.measures_since SET since = '-infinity'")


def read(connection: psycopg.Connection[Any], view: str, period: str) -> dict[date, int | None]:
    return dict(connection.execute(f"SELECT {period}, units FROM serving.{view}").fetchall())  # type: ignore[call-overload]


@hypothesis_settings(max_examples=60, deadline=None)
@given(HISTORIES)
def test_a_figure_is_whole_or_null(admin: psycopg.Connection[Any], history: list[tuple[Any, ...]]) -> None:
    forget(admin)
    books = Books(admin)
    for kind, day, *more in history:
        books.apply(kind, day, *more)
    of_stream, days = {day: books.of_stream(day) for day in books.sold}, books.days()
    rows = {day for day in days if day in books.rows or day not in books.published}
    assert read(admin, "speed_daily", "business_date") == of_stream
    assert read(admin, "order_days", "business_date") == {day: days[day] for day in rows}
    shown = read(admin, "daily", "business_date")
    assert {day: shown[day] for day in days} == days
    assert read(admin, "speed_monthly", "month") == by_month(of_stream)
    months = by_month(days)
    shown_months = {day.replace(day=1) for day in rows}
    assert read(admin, "monthly_order_aggregates", "month") == {month: months[month] for month in shown_months}


def by_month(days: dict[date, int | None]) -> dict[date, int | None]:
    found: dict[date, list[int | None]] = {}
    for day, value in days.items():
        found.setdefault(day.replace(day=1), []).append(value)
    return {month: whole(values) for month, values in found.items()}
