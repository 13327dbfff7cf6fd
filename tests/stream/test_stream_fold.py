from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import day_book
import orders
import payload_oracle as oracle
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream import fold
from stream.decode import decode
from tandem import database
from tandem.kpis import CUBES
from tandem.settings import Settings

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Adelaide",
    "Pacific/Auckland",
)
CHANGES = [
    datetime(2017, 3, 12, 7, tzinfo=UTC),  # New York forward
    datetime(2017, 11, 5, 6, tzinfo=UTC),  # New York back
    datetime(2017, 3, 26, 1, tzinfo=UTC),  # Berlin forward
    datetime(2017, 10, 29, 1, tzinfo=UTC),  # Berlin back
    datetime(2017, 4, 1, 16, 30, tzinfo=UTC),  # Adelaide back
    datetime(2017, 9, 30, 16, 30, tzinfo=UTC),  # Adelaide forward
    datetime(2017, 12, 31, 23, tzinfo=UTC),
]
MOMENTS = st.one_of(
    st.tuples(st.sampled_from(CHANGES), st.integers(-3 * 3600 * 10**6, 3 * 3600 * 10**6)).map(
        lambda drawn: drawn[0] + timedelta(microseconds=drawn[1])
    ),
    st.datetimes(datetime(1990, 1, 2), datetime(2090, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the zone comes beside
)


def cells(frame: pl.DataFrame, key_columns: list[str]) -> dict[tuple[object, ...], dict[str, int]]:
    measures = [name for name in frame.columns if name not in {*key_columns, "partition"}]
    found = {}
    for row in frame.iter_rows(named=True):
        if named := {name: row[name] for name in measures if row[name]}:
            found[tuple(row[name] for name in key_columns)] = named
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(orders.events_at(MOMENTS, st.uuids().map(str)), max_size=12), st.sampled_from(ZONES))
def test_cells_are_those_of_books_kept_by_hand_in_any_time_zone(payloads: list[dict[str, Any]], name: str) -> None:
    zone = ZoneInfo(name)
    values = [orders.encode(payload) for payload in payloads]
    decoded = decode(orders.records(values), "USD")
    events = fold.placed(decoded.events.with_row_index("row"), zone)
    rows = {"events": events, "lines": fold.lines_of(events, decoded.lines)}
    deltas = {cube.pane_table: fold.cells(rows[cube.rows], cube) for cube in CUBES}
    wanted = day_book.kept(map(oracle.read, values), zone)
    assert cells(deltas["order_minutes"], ["business_date", "pane_start"]) == wanted.of("order_minutes")
    assert cells(deltas["product_hours"], ["business_date", "pane_start", "product_id"]) == wanted.of("product_hours")
    assert cells(deltas["category_hours"], ["business_date", "pane_start", "category"]) == wanted.of("category_hours")
    assert Counter(fold.customer_days(events).rows()) == Counter(wanted.customers)


def test_the_hour_that_the_clocks_repeat_is_two_panes() -> None:
    first, second = datetime(2017, 10, 29, 0, 30, tzinfo=UTC), datetime(2017, 10, 29, 1, 30, tzinfo=UTC)
    berlin = ZoneInfo("Europe/Berlin")
    assert first.astimezone(berlin).hour == second.astimezone(berlin).hour == 2
    times = pl.DataFrame({"time": [first, second]}).select(fold.pane_start(pl.col("time"), "hour", berlin))
    assert times["time"].to_list() == [first - timedelta(minutes=30), second - timedelta(minutes=30)]


@pytest.mark.integration
@settings(max_examples=10, deadline=None)
@given(moments=st.lists(MOMENTS, min_size=1, max_size=200), name=st.sampled_from(ZONES))
def test_panes_and_dates_are_those_of_postgres(postgres: Settings, moments: list[datetime], name: str) -> None:
    with database.connect(postgres, database.READER) as reader:
        wanted = reader.execute(
            "SELECT date_trunc('hour', moment, %(zone)s), (moment AT TIME ZONE %(zone)s)::date"
            " FROM unnest(%(moments)s::timestamptz[]) AS moment",
            {"zone": name, "moments": moments},
        ).fetchall()
    zone, time = ZoneInfo(name), pl.col("time")
    frame = pl.DataFrame({"time": moments}, schema={"time": pl.Datetime("us", "UTC")})
    found = frame.select(fold.pane_start(time, "hour", zone), fold.business_date(time, zone).alias("day"))
    assert found.rows() == wanted
