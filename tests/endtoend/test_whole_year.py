"""The whole data set once through both layers: 155,848 baskets, none lost, to the cent.

One installation serves all tests of this file. What must come out is computed by pandas over the data set; the archive
is decoded with the standard library alone.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import polars as pl
import pytest
import views_by_pandas
from depth import tries
from grocer import baskets, by_date
from installations import installations
from psycopg import sql
from shop import settle, start_archiver, start_speed_worker

from reconciliation import distincts
from tandem import clock, database
from tandem.local import kafka, postgres, process
from tandem.settings import PROJECT_ROOT, Settings
from tandem.sources.completejourney import completejourney
from tandem.sources.planning import plan_replay
from tandem.sources.producer import ReplayProducer, produce

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(2400)]

BASKETS = 155_848
FREE = 478
"""Baskets paid with coupons alone: their total is 0."""
REVENUE = Decimal("4596039.58")
FIRST = date(2017, 1, 1)


@dataclass(frozen=True)
class Year:
    """The installation after the year, and what the two processes printed when they ended."""

    settings: Settings
    speed: dict[str, Any]
    archive: dict[str, Any]

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with database.connect(self.settings, database.READER) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture(scope="module")
def year() -> Iterator[Year]:
    for own in installations():
        postgres.start(own)
        kafka.start(own)
        source = completejourney(None, None, own)
        sent = produce(plan_replay(source, own), ReplayProducer(own, source.name))
        assert sent.events == BASKETS
        settle(own)
        # Side by side, as they run in production.
        running = [start(own, "--until-caught-up", "--json") for start in (start_speed_worker, start_archiver)]
        printed = [json.loads(program.communicate(timeout=900)[0]) for program in running]
        assert [program.returncode for program in running] == [0, 0]
        yield Year(own, *printed)


@pytest.fixture(scope="module")
def sold() -> pd.DataFrame:
    return baskets()


@pytest.fixture(scope="module")
def archived(year: Year) -> list[dict[str, Any]]:
    values = pl.scan_delta(year.settings.archive).select("value").collect()["value"]
    return [json.loads(value) for value in values]


def test_the_data_set_is_the_one_that_is_known(sold: pd.DataFrame):
    assert len(sold) == BASKETS
    assert (sold["cents"] == 0).sum() == FREE
    assert (sold["cents"] < 0).sum() == 0
    assert Decimal(int(sold["cents"].sum())) / 100 == REVENUE
    assert (sold["date"] == "2018-01-01").sum() == 86


def test_the_speed_layer_counts_every_basket_but_the_free_ones_and_loses_none(year: Year):
    decisions = dict(year.query("SELECT decision, sum(events)::bigint FROM speed.outcomes GROUP BY decision"))
    assert decisions == {"counted": BASKETS - FREE, "quarantined": FREE}
    assert year.speed["events"] == BASKETS
    assert year.speed["counted"] == BASKETS - FREE


def test_the_free_baskets_are_in_quarantine_for_their_total(year: Year, sold: pd.DataFrame):
    held = year.query("SELECT order_id, reasons FROM speed.quarantine")
    assert {tuple(reasons) for _, reasons in held} == {("INVALID_TOTAL_AMOUNT",)}
    assert sorted(order_id for order_id, _ in held) == sorted(map(str, sold.index[sold["cents"] == 0]))


def test_the_speed_layers_revenue_is_exact(year: Year):
    ((cents,),) = year.query("SELECT sum(revenue_cents)::bigint FROM speed.order_minutes")
    assert Decimal(cents) / 100 == REVENUE


def test_the_speed_layer_has_every_date_as_pandas_has_it(year: Year, sold: pd.DataFrame):
    rows = year.query(
        "SELECT business_date::text, sum(order_count)::bigint, sum(revenue_cents)::bigint, sum(units)::bigint,"
        " (SELECT count(DISTINCT customer_id) FROM speed.customer_days d WHERE d.business_date = o.business_date)"
        " FROM speed.order_minutes o GROUP BY business_date"
    )
    names = ("order_count", "revenue_cents", "units", "unique_customers")
    assert {day: dict(zip(names, values, strict=True)) for day, *values in rows} == by_date(sold[sold["cents"] > 0])


def test_the_journal_says_once_of_every_record_what_was_decided(year: Year):
    ((events, segments),) = year.query(
        "SELECT sum(events)::bigint, count(*) FROM speed.journal WHERE topic = 'order-events'"
    )
    assert events == BASKETS
    assert segments > 12


def test_the_archive_holds_every_basket_once(year: Year, archived: list[dict[str, Any]]):
    places = pl.scan_delta(year.settings.archive).select(pl.struct("partition", "offset").n_unique()).collect().item()
    assert len(archived) == places == len({event["event_id"] for event in archived}) == BASKETS
    assert year.archive["events"] == BASKETS


def test_the_archives_revenue_is_exact(archived: list[dict[str, Any]]):
    assert sum(Decimal(event["total_amount"]) for event in archived) == REVENUE
    assert sum(Decimal(item["amount"]) for event in archived for item in event["items"]) == REVENUE


def test_the_archive_has_every_date_as_pandas_has_it(archived: list[dict[str, Any]], sold: pd.DataFrame):
    assert Counter(event["event_time"][:10] for event in archived) == sold["date"].value_counts().to_dict()


def test_every_basket_is_archived_under_its_date(year: Year, sold: pd.DataFrame):
    rows = pl.scan_delta(year.settings.archive).group_by("business_date").len().collect().iter_rows()
    assert dict(rows) == sold["date"].value_counts().to_dict()


def test_both_layers_have_read_to_the_same_offsets(year: Year):
    reached = dict(year.query("SELECT partition, next_offset FROM speed.partitions WHERE topic = 'order-events'"))
    assert {int(partition): end for partition, end in year.archive["next_offsets"].items()} == reached


@pytest.mark.spark
def test_the_batch_layer_has_every_date_as_pandas_has_it(year: Year, sold: pd.DataFrame):
    subprocess.run(
        [sys.executable, "spark_jobs/order_facts.py", "--from", "2017-01-01", "--to", "2018-01-01"],
        cwd=PROJECT_ROOT,
        env={**os.environ, **process.environment(year.settings)},
        check=True,
        timeout=1200,
    )
    facts = pl.scan_delta(year.settings.order_facts)
    assert dict(facts.group_by("decision").len().collect().iter_rows()) == {
        "counted": BASKETS - FREE,
        "quarantined": FREE,
    }
    days = (
        facts.filter(pl.col("decision") == "counted")
        .group_by(pl.col("business_date").cast(pl.String))
        .agg(
            order_count=pl.len(),
            revenue_cents=pl.col("total_cents").sum(),
            units=pl.col("units").sum(),
            unique_customers=pl.col("customer_id").n_unique(),
        )
        .collect()
    )
    assert {row.pop("business_date"): row for row in days.to_dicts()} == by_date(sold[sold["cents"] > 0])


@pytest.mark.spark
def test_every_view_of_dates_drawn_by_lot_is_what_pandas_makes_of_the_data_set(year: Year) -> None:
    seed = secrets.randbits(32)
    days = sorted(random.Random(seed).sample([FIRST + timedelta(days=n) for n in range(365)], tries(4, full=10)))
    runs = [(day, f"{day}.20180102T020000Z.lot{seed:08x}") for day in days]
    subprocess.run(
        [
            sys.executable,
            "spark_jobs/batch.py",
            *(part for day, run in runs for part in ("--date", str(day), "--run-id", run)),
        ],
        cwd=PROJECT_ROOT,
        env={**os.environ, **process.environment(year.settings)},
        check=True,
        timeout=1200,
    )
    expected = views_by_pandas.Year(views_by_pandas.sold_lines())
    for table, view in views_by_pandas.VIEWS.items():
        for day, run in runs:
            made = rows_of(year, table, run)
            views_by_pandas.assert_same(made, view(expected, day), f"{table} of {day}, seed {seed}")
    with database.connect(year.settings, database.RECONCILIATION) as connection:
        for day, run in runs:
            seen = set(distincts.of_stream(connection, *clock.day_bounds(day, year.settings.zone)))
            columns = "cell_start, rollup, key, counted, value"
            counted = connection.execute(f"SELECT {columns} FROM batch.hourly_distincts WHERE run_id = %s", [run])
            assert seen == set(counted), f"{day}, seed {seed}: the layers saw other customers or products in an hour"


def rows_of(year: Year, table: str, run_id: str) -> pd.DataFrame:
    with database.connect(year.settings, database.READER) as connection:
        name = sql.Identifier("batch", table)
        cursor = connection.execute(sql.SQL("SELECT * FROM {} WHERE run_id = %s").format(name), [run_id])
        found = pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description])
    if "cell_start" in found:
        found["cell_start"] = pd.to_datetime(found["cell_start"], utc=True).dt.tz_localize(None)
    return found[found["scope"].isin(["overall", "category"])] if "scope" in found else found
