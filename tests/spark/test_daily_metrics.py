"""The KPIs of three real days and all their cells against pandas, which reads the data set's own files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import gates
import pandas as pd
import pytest
from log import Log, archived_in, baskets, lines, order
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs import daily_metrics, order_facts, product_rankings, runs
from spark_jobs.cells import hour_start
from spark_jobs.decode import business_date
from spark_jobs.difference import difference
from spark_jobs.job import Job
from spark_jobs.publish import publish
from tandem import database
from tandem.settings import Settings

pytestmark = [pytest.mark.spark, pytest.mark.integration]

FIRST, LAST, EMPTY = date(2017, 12, 21), date(2017, 12, 23), date(2017, 12, 24)
DAYS = [FIRST, date(2017, 12, 22), LAST]


@dataclass
class Computed:
    """What was staged for four dates, of which the last has no event; ``lines`` as pandas has them."""

    settings: Settings
    runs: dict[date, runs.Run]
    lines: pd.DataFrame

    def rows(self, table: str, day: date, columns: str) -> list[tuple]:
        with database.connect(self.settings, database.READER) as connection:
            query = f"SELECT {columns} FROM batch.{table} WHERE run_id = %s"
            return sorted(connection.execute(query, (self.runs[day].run_id,)).fetchall())

    def of(self, day: date) -> pd.DataFrame:
        """The day's lines of baskets that cost something."""
        found = self.lines[self.lines["day"] == day]
        return found[found.groupby("basket_id")["cents"].transform("sum") > 0]


@pytest.fixture(scope="module")
def computed(
    spark: SparkSession, clean_module_database: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Computed:
    folder = tmp_path_factory.mktemp("real")
    own = archived_in(clean_module_database, folder)
    found = lines(FIRST, LAST)
    log = Log()
    for number, event in enumerate(baskets(found)):
        log.add(event, number % 3)
    two_lines = [
        {"product_id": "milk", "category": "dairy", "quantity": 2, "amount": "3.00"},
        {"product_id": "milk", "category": "dairy", "quantity": 1, "amount": "1.00"},
        {"product_id": "salt", "quantity": 1, "amount": "0.50"},
    ]
    at = f"{LAST}T09:30:00Z"
    log.add(order(1, at, event_type="order_cancelled", total_amount="4.50", items=two_lines))
    log.add(
        order(2, at, event_type="order_amended", total_amount="8.00", previous_total_amount="12.50", items=[
            {"product_id": "salt", "quantity": -3, "amount": "-4.50"},
        ])
    )  # fmt: skip
    log.archive(own)
    days = [*DAYS, EMPTY]
    opened = tuple(runs.open_run(own, runs.new_run_id(day, datetime.now(UTC)), day) for day in days)
    job = Job("test", spark, own, opened)
    order_facts.compute(job)
    daily_metrics.compute(job)
    daily_metrics.compute(job)  # again changes nothing
    return Computed(own, {run.business_date: run for run in opened}, found)


KPI_COLUMNS = (
    "order_count, revenue_cents, unique_customers, units, cancelled_revenue_cents, amended_revenue_cents,"
    " net_revenue_cents, avg_order_value_cents"
)


@pytest.mark.parametrize("day", DAYS)
def test_the_kpis_of_a_day_are_those_of_the_data_set(computed: Computed, day: date) -> None:
    of_day = computed.of(day)
    orders, revenue = of_day["basket_id"].nunique(), int(of_day["cents"].sum())
    cancelled, amended = (450, -450) if day == LAST else (0, 0)
    expected = (
        orders,
        revenue,
        of_day["household_id"].nunique(),
        int(of_day["quantity"].sum()),
        cancelled,
        amended,
        revenue + amended - cancelled,
        int(revenue / orders + 0.5),
    )
    assert computed.rows("daily_metrics", day, KPI_COLUMNS) == [expected]


def test_a_day_without_events_is_zeros_with_no_average(computed: Computed) -> None:
    assert computed.rows("daily_metrics", EMPTY, KPI_COLUMNS) == [(0, 0, 0, 0, 0, 0, 0, None)]
    assert computed.rows("order_hours", EMPTY, "*") == []


@pytest.mark.parametrize("day", DAYS)
def test_the_hours_of_a_day_are_those_of_the_data_set(computed: Computed, day: date) -> None:
    of_day = computed.of(day)
    hour = of_day["transaction_timestamp"].dt.floor("h").dt.tz_localize("UTC")
    found = of_day.groupby(hour).agg(cents=("cents", "sum"), orders=("basket_id", "nunique"), units=("quantity", "sum"))
    expected = [(row.Index.to_pydatetime(), row.cents, row.orders, row.units) for row in found.itertuples()]
    assert computed.rows("order_hours", day, "cell_start, revenue_cents, order_count, units") == expected


@pytest.mark.parametrize(("table", "key"), [("product_hours", "product_id"), ("category_hours", "category")])
@pytest.mark.parametrize("day", DAYS[:2])
def test_the_cells_of_a_day_are_those_of_the_data_set(computed: Computed, day: date, table: str, key: str) -> None:
    of_day = computed.of(day)
    hour = of_day["transaction_timestamp"].dt.floor("h").dt.tz_localize("UTC")
    found = of_day.groupby([hour, of_day[key].astype(str)]).agg(
        cents=("cents", "sum"), orders=("basket_id", "nunique"), units=("quantity", "sum")
    )
    expected = sorted(
        (start.to_pydatetime(), name, cents, orders, units)
        for (start, name), cents, orders, units in found.itertuples(name=None)
    )
    assert computed.rows(table, day, f"cell_start, {key}, revenue_cents, order_count, units") == expected


@pytest.mark.parametrize("day", DAYS[:2])
def test_how_many_different_came_in_an_hour_is_what_the_data_set_has(computed: Computed, day: date) -> None:
    of_day = computed.of(day).assign(unknown="unknown")
    hour = of_day["transaction_timestamp"].dt.floor("h").dt.tz_localize("UTC")
    keys = {"category_minutes": "category", "payment_method_minutes": "unknown", "region_minutes": "unknown"}
    expected = sorted(
        (start.to_pydatetime(), rollup, name, counted, count)
        for rollup, key in keys.items()
        for counted, column in (("customers", "household_id"), ("products", "product_id"))
        for (start, name), count in of_day.groupby([hour, of_day[key].astype(str)])[column].nunique().items()
    )
    assert computed.rows("hourly_distincts", day, "cell_start, rollup, key, counted, value") == expected


def test_cancellations_and_amendments_are_booked_on_their_lines(computed: Computed) -> None:
    columns = "product_id, order_count, cancelled_revenue_cents, cancelled_units, amended_revenue_cents, amended_units"
    rows = computed.rows("product_hours", LAST, columns)
    assert [row for row in rows if row[0] in {"milk", "salt"}] == [
        ("milk", 0, 400, 3, 0, 0),
        ("salt", 0, 50, 1, -450, -3),
    ]


def test_a_run_by_hand_is_shown_beside_what_is_published(computed: Computed) -> None:
    shown = difference(computed.settings, computed.runs[DAYS[1]], "daily_metrics")
    gates.passes(computed.settings, computed.runs[LAST].run_id)
    publish(computed.settings, computed.runs[LAST].run_id, LAST, published_by="test", views=("daily_metrics",))
    same = difference(computed.settings, computed.runs[LAST], "daily_metrics")
    assert "against nothing published" in shown
    assert ["revenue", "–", "$17,762.79", "–"] in [line.split() for line in shown.splitlines()]
    assert ["revenue", "$24,994.47", "$24,994.47", "$0.00"] in [line.split() for line in same.splitlines()]
    with database.connect(computed.settings, database.READER) as connection:
        shown_by = connection.execute("SELECT business_date, sum(value) FROM serving.hourly_distincts GROUP BY 1")
        assert shown_by.fetchall() == [(LAST, sum(row[0] for row in computed.rows("hourly_distincts", LAST, "value")))]


CLOCKS_CHANGE = datetime(2017, 10, 28, 12, tzinfo=UTC), datetime(2017, 3, 11, 22, 0, 0, 999_999, tzinfo=UTC)
INSTANTS = [start + timedelta(minutes=31 * step) for start in CLOCKS_CHANGE for step in range(80)]


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns"]
)
def test_hours_and_dates_are_those_on_the_clock_of_the_business(spark: SparkSession, zone: str) -> None:
    frame = spark.createDataFrame([(instant,) for instant in INSTANTS], "instant timestamp")
    instant = F.col("instant")
    found = frame.select(
        F.unix_micros(instant), F.unix_micros(hour_start(instant, zone)), business_date(instant, zone)
    ).collect()

    def expected(at: datetime) -> tuple[int, int, date]:
        clock = at.astimezone(ZoneInfo(zone))
        past_the_hour = timedelta(minutes=clock.minute, seconds=clock.second, microseconds=clock.microsecond)
        micros = [
            (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
            for moment in (at, at - past_the_hour)
        ]
        return micros[0], micros[1], clock.date()

    assert sorted(map(tuple, found)) == sorted(map(expected, INSTANTS))


RANKING_COLUMNS = "business_date, scope, scope_key, measure, product_id, value, rank, previous_rank, movement, share"


def test_rankings_made_a_few_dates_at_a_time_are_those_of_all_dates_together(
    computed: Computed, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job("test", spark, computed.settings, tuple(computed.runs.values()))
    found = []
    for at_once in (len(job.runs), 2):
        monkeypatch.setattr(product_rankings, "_AT_ONCE", at_once)
        product_rankings.compute(job)
        found.append([row for day in job.dates for row in computed.rows("product_rankings", day, RANKING_COLUMNS)])
    assert found[0] == found[1]
    assert {row[0] for row in found[0]} == {*DAYS, EMPTY}  # on the last, everything is gone or taken back
