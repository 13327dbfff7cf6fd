"""The serving view says which layer, as of when, complete or not, and never shows a smaller number for a hole."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from typer.testing import CliRunner

from stream import finals
from stream.types import Rules
from tandem import cli, database, kpis, serving
from tandem.serving import Layer
from tandem.settings import Settings
from tests.reconciliation.books import DAY, Order, at, execute, insert, write_batch, write_speed

pytestmark = pytest.mark.integration

MILK = Order("o1", 1_000, at(9, 5), "alice", "milk", "dairy", 2)
LATE = Order("o2", 501, at(9, 55), "bob", "bread", "bakery", 1)
NOTHING = dict.fromkeys((kpi.name for kpi in kpis.KPIS), None)
ONE_ORDER = {
    "order_count": 1,
    "revenue_cents": 1_000,
    "cancelled_revenue_cents": 0,
    "amended_revenue_cents": 0,
    "net_revenue_cents": 1_000,
    "avg_order_value_cents": 1_000,
    "unique_customers": 1,
    "units": 2,
}
TWO_ORDERS = {
    **ONE_ORDER,
    "order_count": 2,
    "revenue_cents": 1_501,
    "net_revenue_cents": 1_501,
    "avg_order_value_cents": 751,
    "unique_customers": 2,
    "units": 3,
}


@pytest.fixture
def shop(clean_database: Settings) -> Settings:
    return clean_database


def daily(settings: Settings, day: date = DAY) -> serving.DailyKpis:
    return serving.read(settings, day, Layer.SERVING)


def fail_gate(settings: Settings, run_id: str) -> None:
    gate = {"suite": "order_facts", "expectation": "revenue is near the usual", "level": "fail", "success": False}
    insert(settings, "batch.gate_results", run_id=run_id, business_date=DAY, **gate)


def test_a_published_date_is_certified_and_the_stream_does_not_show_through(shop):
    write_speed(shop, [MILK])
    write_batch(shop, [MILK, LATE], "r1")
    found = daily(shop)
    assert found.metrics == TWO_ORDERS
    assert (found.complete, found.details) == (True, {"status": "certified", "version": 1, "reason": ""})


def test_a_past_date_without_a_batch_run_is_the_streams_figure_flagged_overdue(shop):
    write_speed(shop, [MILK])
    found = daily(shop)
    assert found.metrics == ONE_ORDER
    assert not found.complete
    assert found.details == {"status": "overdue", "reason": "the nightly run for this date never published"}


def test_a_date_that_still_runs_is_provisional(shop):
    now = datetime.now(UTC)
    write_speed(shop, [MILK.again(when=now)])
    found = daily(shop, now.date())
    assert (found.metrics, found.complete, found.details["status"]) == (ONE_ORDER, False, "provisional")


def test_a_date_whose_gates_failed_is_empty_though_the_stream_has_a_figure(shop):
    write_speed(shop, [MILK])
    write_batch(shop, [MILK], "r1", publish=False)
    fail_gate(shop, "r1")
    found = daily(shop)
    assert found.metrics == NOTHING
    assert found.details == {"status": "failed", "reason": "the gates failed: revenue is near the usual"}


def test_a_run_that_has_not_come_to_its_gates_yet_does_not_hide_that_the_last_one_failed(shop):
    write_speed(shop, [MILK])
    write_batch(shop, [MILK], "r1", publish=False)
    fail_gate(shop, "r1")
    run = {"kind": "manual", "code_version": "test", "rule_version": "1"}
    insert(shop, "batch.runs", run_id="r2", business_date=DAY, **run)
    assert daily(shop).details["status"] == "failed"


def test_a_failed_rerun_leaves_the_certified_version_and_says_so(shop):
    write_batch(shop, [MILK], "r1")
    execute(shop, "UPDATE batch.versions SET published_at = now() - interval '1 hour'")
    write_batch(shop, [MILK, LATE], "r2", publish=False)
    fail_gate(shop, "r2")
    found = daily(shop)
    assert found.metrics == ONE_ORDER
    assert found.details["status"] == "certified"
    assert found.details["reason"] == "a later run failed its gates: revenue is near the usual"


def test_a_hole_between_dates_is_empty_and_missing_and_not_a_neighbours_figure(shop):
    write_speed(shop, [MILK, MILK.again(when=at(9) + timedelta(days=2))])
    found = daily(shop, DAY + timedelta(days=1))
    assert found.metrics == NOTHING
    assert found.details == {"status": "missing", "reason": "neither layer has this date"}


def test_a_date_beyond_all_that_is_known_is_missing_too(shop):
    found = daily(shop, date(2031, 1, 1))
    assert (found.metrics, found.as_of, found.complete) == (NOTHING, None, False)
    assert found.details == {"status": "missing", "reason": "neither layer has this date"}


def test_a_restated_date_shows_its_newest_version(shop):
    write_batch(shop, [MILK], "r1")
    write_batch(shop, [MILK, LATE], "r2")
    assert daily(shop).metrics == TWO_ORDERS
    assert daily(shop).details["version"] == 2


def test_each_status_of_a_span_of_dates_stands_in_one_query(shop):
    one, two = timedelta(days=1), timedelta(days=2)
    write_batch(shop, [MILK], "r1")
    write_speed(shop, [MILK, MILK.again(when=at(9) + two)])
    found = execute(shop, "SELECT business_date, status, layer, revenue_cents FROM serving.daily ORDER BY 1")
    assert found == [
        (DAY, "certified", "batch", 1_000),
        (DAY + one, "missing", None, None),
        (DAY + two, "overdue", "speed", 1_000),
    ]


def test_the_stream_counts_a_date_complete_once_every_partition_is_past_what_may_still_count(shop):
    early = "orders of the date still count until every partition is past its end and the allowed lateness"
    write_speed(shop, [MILK], {0: 1, 1: 1})
    assert serving.read(shop, DAY, Layer.SPEED).details == {"reason": "no event after the end of the date has come yet"}
    for partition, hour, complete in ((0, 30, False), (1, 18, False), (1, 24, False), (1, 25, True)):
        execute(shop, "UPDATE speed.partitions SET watermark = %s WHERE partition = %s", [at(hour), partition])
        with database.connect(shop, database.SPEED) as connection:
            finals.close_hours(connection, Rules.of(shop))
        found = serving.read(shop, DAY, Layer.SPEED)
        assert (found.complete, found.details) == (complete, {"reason": "" if complete else early})


def test_corrections_are_part_of_the_streams_figures(shop):
    write_speed(shop, [MILK])
    for number, (cube, measure, start, delta) in enumerate(
        [("orders", "revenue_cents", 9, 501), ("orders", "order_count", 9, 1), ("distinct", "unique_customers", 0, 1)]
    ):
        cell = {"cube": cube, "measure": measure, "cell_start": at(start), "key": "", "delta": delta}
        origin = {"stream_value": 0, "batch_value": delta, "run_id": "r1", "partition": 0, "offset": number}
        insert(shop, "speed.adjustments", correction_id=f"c{number}", business_date=DAY, **cell, **origin)
    assert serving.read(shop, DAY, Layer.SPEED).metrics == {**TWO_ORDERS, "units": 2}


@pytest.mark.parametrize("layer", list(Layer))
def test_the_command_prints_one_json_object_with_null_figures_and_the_reason_for_a_date_nobody_has(shop, layer):
    done = CliRunner().invoke(cli.app, ["kpi", "--date", "2017-12-25", "--layer", layer, "--json"])
    document = json.loads(done.stdout)
    assert done.exit_code == 0
    assert document.pop("reason")
    assert document.pop("status", "missing") == "missing"
    assert document == {
        "business_date": "2017-12-25",
        "layer": layer,
        "as_of": None,
        "complete": False,
        "metrics": NOTHING,
    }


def test_the_command_prints_a_table_for_people(shop):
    write_batch(shop, [MILK, LATE], "r1")
    done = CliRunner().invoke(cli.app, ["kpi", "--date", str(DAY)])
    assert done.exit_code == 0
    assert "certified" in done.stdout
    assert "$15.01" in done.stdout


def test_a_date_that_is_none_is_refused_in_one_line(shop):
    done = CliRunner().invoke(cli.app, ["kpi", "--date", "23.12.2017"])
    assert done.exit_code == 2
    assert "write it as YYYY-MM-DD" in done.stderr
