"""Which events of a date count, decided by hand for a log that has every case; read back from the table by polars."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from deltalake import DeltaTable
from log import KAFKA_TIME, Log, archived_in, order
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs import facts, order_facts, runs
from spark_jobs.job import Job
from stream import archive_upkeep
from stream.archive_table import MasterDataset
from stream.release import Address, Correction, release
from stream.types import Rules
from tandem import database, topic_ids
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

pytestmark = [pytest.mark.spark, pytest.mark.integration]

D15, D16, D20, D22, D23, D24 = (date(2017, 12, day) for day in (15, 16, 20, 22, 23, 24))


def at(day: date, hour: int = 12) -> str:
    return f"{day}T{hour:02d}:00:00Z"


def shop() -> tuple[Log, dict[tuple[int, int], str]]:
    """A log, and the decision that each of its records must get; those not named get no row."""
    log, expected = Log(), {}

    def happens(decision: str, event: dict | bytes, partition: int = 0, *, dated: bool = True) -> None:
        record = log.add(event, partition, dated=dated)
        if decision:
            expected[record["partition"], record["offset"]] = decision

    happens("counted", order(1, at(D15)))
    happens("counted", order(2, at(D16)))
    happens("counted", order(3, at(D20)))
    # a copy lies at a smaller offset of another partition, but Kafka took it later
    happens("counted", order(10, at(D23)), 1)
    happens("duplicate", order(10, at(D23)), 2)
    # the same order under a new event id: on the date, three, seven and eight dates later
    happens("counted", order(11, at(D23)))
    happens("duplicate", order(11, at(D23, 13), event_id="again-11"))
    happens("duplicate", order(3, at(D23), event_id="again-3"))
    happens("duplicate", order(2, at(D23), event_id="again-2"))
    happens("counted", order(1, at(D23), event_id="again-1"))
    # Kafka took the later date's event first; still a date never depends on one after it
    happens("duplicate", order(4, at(D23)))
    happens("counted", order(4, at(D22), event_id="before-4"))
    # what could not count leaves its ids free
    happens("quarantined", order(12, at(D23), items=[]))
    happens("counted", order(12, at(D23)))
    happens("ignored", order(13, at(D23), event_type="order_viewed"))
    happens("counted", order(13, at(D23)))
    # only the creation of an order can be a repetition of it
    happens("counted", order(10, at(D23, 14), event_id="paid-10", event_type="payment_succeeded"))
    happens("counted", order(10, at(D23, 15), event_id="cancelled-10", event_type="order_cancelled"), 1)
    # the same event id on two dates is two events
    happens("counted", order(14, at(D22), event_id="twice"))
    happens("counted", order(15, at(D23), event_id="twice"))
    # what comes out of quarantine counts once, however often it is sent
    broken = log.add(order(20, at(D23), customer_id=None))
    expected[broken["partition"], broken["offset"]] = "quarantined"
    happens("counted", released(broken))
    happens("duplicate", released(broken))
    # without a date nothing belongs to a date; what the archiver would not date may still have one
    happens("", b"{broken")
    happens("", order(16, "yesterday"), dated=False)
    happens("counted", order(17, at(D23)), dated=False)
    happens("counted", order(18, at(D24)))
    return log, expected


def released(record: dict[str, Any]) -> dict[str, Any]:
    """The event that an approval puts in the record's place."""
    rules = Rules(ZoneInfo("UTC"), "USD", timedelta(hours=1), timedelta(hours=24))
    place = Address(record["topic"], record["partition"], record["offset"])
    out = release(place, record["value"], Correction('{"customer_id": "c20"}'), rules, KAFKA_TIME)
    return dict(json.loads(out.value))


@dataclass
class Built:
    """What one job wrote, and the settings it used."""

    settings: Settings
    log: Log
    expected: dict[tuple[int, int], str]
    cut_run: str
    after_cut: tuple[int, int]

    def facts(self, **version: int) -> pl.DataFrame:
        return pl.scan_delta(self.settings.order_facts, **version).collect()


def compute(spark: SparkSession, settings: Settings, day: date, run_id: str) -> runs.Run:
    run = runs.open_run(settings, run_id, day)
    order_facts.compute(Job("order_facts", spark, settings, (run,)))
    found = runs.find(settings, run_id)
    assert found is not None
    return found


def take_cut(settings: Settings, run_id: str, day: date, offsets: dict[int, int]) -> None:
    with database.connect(settings, database.RECONCILIATION) as connection:
        connection.execute(
            "INSERT INTO reconciliation.cuts (run_id, business_date, comparable, rule_version)"
            " VALUES (%s, %s, true, '1')",
            (run_id, day),
        )
        connection.cursor().executemany(
            "INSERT INTO reconciliation.cut_offsets (run_id, topic, partition, next_offset)"
            " VALUES (%s, 'order-events', %s, %s)",
            [(run_id, *offset) for offset in offsets.items()],
        )


def new_id(day: date) -> str:
    return runs.new_run_id(day, datetime.now(UTC))


@pytest.fixture(scope="module")
def built(spark: SparkSession, clean_module_database: Settings, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The facts of the 24th at a cut, which must bring those of every date before; one record lies right at the cut."""
    folder = tmp_path_factory.mktemp(f"facts-{uuid4().hex[:6]}")
    own = archived_in(clean_module_database, folder)
    log, expected = shop()
    cut = dict(log.ends)
    late = log.add(order(19, at(D24)))
    log.archive(own)
    run_id = new_id(D24)
    take_cut(own, run_id, D24, cut)
    compute(spark, own, D24, run_id)
    return Built(own, log, expected, run_id, (late["partition"], late["offset"]))


def test_every_event_gets_the_first_decision_that_applies(built: Built) -> None:
    rows = built.facts(version=0).select("partition", "offset", "decision").rows()
    assert {(partition, offset): decision for partition, offset, decision in rows} == built.expected


def test_a_record_at_the_cut_is_not_below_it(built: Built) -> None:
    places = set(built.facts(version=0).select("partition", "offset").rows())
    assert built.after_cut not in places
    assert (built.after_cut[0], built.after_cut[1] - 1) in places


def test_what_came_to_a_date_that_was_built_on_the_way_is_read_by_the_next_run(
    built: Built, spark: SparkSession, tmp_path: Path
) -> None:
    """It is never published, so never due: segments lacked its orders for good."""
    own, log = archived_in(built.settings, tmp_path), Log()
    log.add(order(1, at(D15)))
    log.add(order(2, at(D23)))
    log.archive(own)
    compute(spark, own, D23, new_id(D23))
    log.add(order(3, at(D15)))
    log.add(order(4, at(D24)))
    log.archive(own)
    compute(spark, own, D24, new_id(D24))
    held = pl.scan_delta(own.order_facts).select("business_date", "order_id").collect()
    assert set(held.rows()) == {(D15, "o1"), (D15, "o3"), (D23, "o2"), (D24, "o4")}
    before = held_files(own, D15)
    compute(spark, own, D24, new_id(D24))
    assert held_files(own, D15) == before, "where nothing came, nothing is built again"


def held_files(own: Settings, day: date) -> list[str]:
    return [uri for uri in DeltaTable(own.order_facts).file_uris() if str(day) in uri]


def test_a_cut_that_the_archive_has_not_reached_is_refused(built: Built, spark: SparkSession) -> None:
    run_id = new_id(D24)
    take_cut(built.settings, run_id, D24, {0: built.after_cut[1] + 4, 1: 2, 2: 1})
    with pytest.raises(TandemError, match="lacks 3 offsets below the cut"):
        compute(spark, built.settings, D24, run_id)


def test_a_date_that_retention_took_meanwhile_is_refused(built: Built, spark: SparkSession, tmp_path: Path) -> None:
    """Whoever started the job has looked before: with no record left, its figures would be published as zeros."""
    own, log = archived_in(built.settings, tmp_path), Log()
    log.add(order(1, at(D15)))
    log.add(order(2, at(D23)))
    log.archive(own)
    a_month = own.model_copy(update={"archive_retention": timedelta(days=31)})
    assert archive_upkeep.retain(a_month, datetime(2018, 1, 20, tzinfo=UTC)).records == 1
    with pytest.raises(TandemError, match=f"and those of {D15} are gone"):
        compute(spark, own, D15, new_id(D15))
    assert compute(spark, own, D23, new_id(D23)).archived == 1


def test_an_archive_of_another_topic_is_refused(built: Built, spark: SparkSession, tmp_path: Path) -> None:
    """As of another installation, where one program's settings lead to it: its offsets cover the cut."""
    own, log = archived_in(built.settings, tmp_path), Log()
    log.add(order(1, at(D23)))
    log.archive(own)
    dataset = MasterDataset.find(own.archive, ORDER_EVENTS)
    assert dataset is not None
    dataset.open_partitions(7, {})
    with database.connect(own, database.SPEED) as connection:
        topic_ids.note(connection, {ORDER_EVENTS: 8})
    try:
        with pytest.raises(TandemError, match=f"archive at {own.archive} is of another topic order-events"):
            compute(spark, own, D23, new_id(D23))
    finally:
        with database.connect(own, database.SPEED) as connection:
            connection.execute("UPDATE speed.topics SET topic_id = 7")
    assert compute(spark, own, D23, new_id(D23)).archived == 1


def test_dates_that_are_lacking_come_with_the_first_run_that_needs_them(built: Built) -> None:
    dates = set(built.facts(version=0)["business_date"])
    assert dates == {D15, D16, D20, D22, D23, D24}


def test_a_run_says_which_versions_and_offsets_it_read(built: Built) -> None:
    run = runs.find(built.settings, built.cut_run)
    assert run is not None
    assert (run.archive_version, run.facts_version) == (0, 0)
    assert run.cut == {0: built.after_cut[1], 1: 2, 2: 1}


def test_a_fact_is_what_the_event_says(built: Built) -> None:
    row = built.facts(version=0).filter(event_id="e10", decision="counted", event_type="order_created")
    kept = row.drop("run_id", "kafka_time").to_dicts()
    assert kept == [
        {
            "partition": 1,
            "offset": 0,
            "event_id": "e10",
            "event_type": "order_created",
            "event_time": datetime(2017, 12, 23, 12, tzinfo=UTC),
            "order_id": "o10",
            "customer_id": "c10",
            "total_cents": 1000,
            "previous_total_cents": None,
            "units": 2,
            "items": [{"product_id": "milk", "category": "dairy", "quantity": 2, "amount_cents": 1000}],
            "decision": "counted",
            "reasons": "",
            "payment_method": None,
            "region": None,
            "business_date": D23,
        }
    ]


def test_what_cannot_count_says_why(built: Built) -> None:
    quarantined = built.facts(version=0).filter(decision="quarantined")
    assert quarantined.sort("offset").select("event_id", "reasons").rows() == [
        ("e12", "MISSING_ORDER_ITEMS"),
        ("e20", "MISSING_CUSTOMER_ID"),
    ]


def test_a_date_done_again_is_replaced_and_the_others_stay(built: Built, spark: SparkSession) -> None:
    before = built.facts()
    run = compute(spark, built.settings, D23, new_id(D23))
    after = built.facts(version=run.facts_version or 0)
    other = pl.col("business_date") != D23
    assert after.filter(other).sort("partition", "offset").equals(before.filter(other).sort("partition", "offset"))
    again, once = (
        table.filter(~other).drop("run_id").sort("partition", "offset") for table in (after, built.facts(version=0))
    )
    assert again.equals(once)
    assert set(after.filter(~other)["run_id"]) == {run.run_id}


def test_the_facts_do_not_depend_on_which_date_was_run_first(
    built: Built, spark: SparkSession, tmp_path: object
) -> None:
    own = built.settings.model_copy(update={"order_facts_uri": f"{tmp_path}/order_facts"})
    for day in (D20, D24):
        run_id = new_id(day)
        take_cut(own, run_id, day, {0: built.after_cut[1], 1: 2, 2: 1})
        compute(spark, own, day, run_id)
    other_way = pl.scan_delta(own.order_facts).collect()
    columns = ["partition", "offset", "business_date", "decision", "reasons"]
    assert set(other_way.select(columns).rows()) == set(built.facts(version=0).select(columns).rows())


def test_a_date_without_events_has_facts_of_none(built: Built, spark: SparkSession) -> None:
    empty = date(2017, 12, 25)
    run = compute(spark, built.settings, empty, new_id(empty))
    assert run.facts_version is not None
    assert built.facts(version=run.facts_version).filter(business_date=empty).is_empty()


def test_a_table_from_before_a_column_came_gains_it_and_stays_readable(
    built: Built, spark: SparkSession, tmp_path: object
) -> None:
    own = built.settings.model_copy(update={"order_facts_uri": f"{tmp_path}/order_facts"})
    old = built.facts(version=0).filter(pl.col("business_date") != D24).drop("region")
    old.write_delta(own.order_facts, delta_write_options={"partition_by": ["business_date"]})
    run_id = new_id(D24)
    take_cut(own, run_id, D24, {0: built.after_cut[1], 1: 2, 2: 1})
    compute(spark, own, D24, run_id)
    over_both = facts.read(spark, own).groupBy("business_date").agg(F.count("*"), F.count("region"))
    held = {row[0]: (row[1], row[2]) for row in over_both.collect()}
    assert held[D23] == (old.filter(business_date=D23).height, 0)
    assert held[D24][0] == 1
    assert "region" in pl.scan_delta(own.order_facts).collect_schema().names()


def test_what_a_figure_was_made_of_stays_readable_for_years(built: Built, tmp_path: Path) -> None:
    """Whoever commits deletes what the log says of versions that are older than the table is told to keep: 30 days."""
    copy = tmp_path / "order_facts"
    shutil.copytree(built.settings.order_facts, copy)
    for _ in range(12):
        DeltaTable(copy).alter.set_table_properties({"delta.checkpointInterval": "5"})
        for file in (copy / "_delta_log").iterdir():
            os.utime(file, (0, time.time() - timedelta(days=3000).total_seconds()))
    assert list((copy / "_delta_log").glob("*.checkpoint.parquet"))
    assert pl.scan_delta(copy, version=0).collect().equals(built.facts(version=0))
