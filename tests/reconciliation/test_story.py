"""tandem explain --order: one order's events, what each layer made of them and when, and what was corrected for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from reconciliation import reconcile
from tandem import cli
from tandem.settings import Settings
from tests.reconciliation.books import DAY, at, execute, insert
from tests.reconciliation.decisions import Record
from tests.reconciliation.scene import RUN, Applier, stage, write_stream

pytestmark = pytest.mark.integration

OTHERS = [Record(n, order_id=f"o{n}", customer=f"c{n}", when=at(8 + n)) for n in range(6)]
CREATED = Record(20, order_id="bread", customer="bob", cents=700, when=at(9, 30), speed="late", watermark=at(12))
AMENDED = Record(
    4,
    partition=3,
    order_id="bread",
    customer="bob",
    event_type="order_amended",
    cents=900,
    previous_cents=700,
    when=at(13),
    lines=(("bread", None, 0, 200),),
)
REPEATED = CREATED.again(offset=31, partition=5, event_id="again", speed="counted", batch="duplicate", when=at(16))
LOST = Record(7, partition=8, order_id="lost", customer="eve", batch="", when=at(11))


@pytest.fixture
def shop(topic_prefix: Settings, clean_database: Settings) -> Settings:
    stage(topic_prefix, [*OTHERS, CREATED, AMENDED, REPEATED, LOST])
    of_markers = {"events": 0, "epoch": 1, "rule_version": "1", "segment": b""}
    place = {"topic": "order-events", "partition": 11, "first_offset": 0, "next_offset": 1}
    insert(topic_prefix, "speed.journal", **place, **of_markers)
    return topic_prefix


def told(order: str, *options: str) -> dict[str, Any]:
    done = CliRunner().invoke(cli.app, ["explain", "--order", order, "--json", *options])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def test_every_event_of_the_order_has_its_place_and_what_each_layer_decided(shop: Settings) -> None:
    story = told("bread")
    wanted = sorted((CREATED, AMENDED, REPEATED), key=lambda record: (record.partition, record.offset))
    assert [(e["partition"], e["offset"]) for e in story["events"]] == [(r.partition, r.offset) for r in wanted]
    for event, record in zip(story["events"], wanted, strict=True):
        assert (event["event_type"], instant(event["event_time"])) == (record.event_type, record.when)
        stream, batch = event["stream"], event["batch"]
        assert (stream["decision"], stream["cents"]) == (record.speed, record.booked("speed"))
        assert (batch["decision"], batch["cents"]) == (record.batch, record.booked("batch"))
        assert (batch["run_id"], batch["version"], stream["rule_version"]) == (RUN, 1, "1")
        assert event["difference"] is None, "nothing was compared yet"
    watermarks = {event["offset"]: event["stream"]["watermark"] for event in story["events"]}
    assert instant(watermarks[20]) == at(12)
    assert [day["business_date"] for day in story["days"]] == [str(DAY)]


def test_before_any_batch_run_it_tells_what_the_stream_knows(topic_prefix: Settings, clean_database: Settings) -> None:
    write_stream(topic_prefix, [CREATED])
    (event,) = told("bread")["events"]
    assert (event["stream"]["decision"], event["batch"]) == ("late", None)


def test_after_a_comparison_it_names_causes_and_the_corrections_of_the_cells_that_hold_them(shop: Settings) -> None:
    execute(shop, "DELETE FROM speed.journal WHERE partition = 8")  # else nothing goes out by itself
    execute(shop, "UPDATE reconciliation.cut_offsets SET next_offset = 0 WHERE partition = 8")
    reconcile.run(shop, DAY, apply_timeout=timedelta(0), dry_run=True)
    story = told("bread", "--date", str(DAY))
    causes = {event["offset"]: (event["difference"] or {}).get("cause") for event in story["events"]}
    assert causes == {20: "late", 4: None, 31: "duplicate"}
    assert story["days"][0]["verdict"] == "mismatch"
    assert story["days"][0]["corrections"] == []
    reconcile.run(shop, DAY, apply_timeout=timedelta(0))
    Applier(shop).apply()
    corrections = told("bread")["days"][0]["corrections"]
    hours = {instant(c["cell_start"]) for c in corrections if c["cube"] != "distinct"}
    assert hours == {at(9), at(16)}, "of the hours in which events differ, and no other"
    everywhere = execute(
        shop,
        "SELECT count(*) FROM reconciliation.corrections WHERE cell_start = ANY(%s)",
        [[at(9), at(16), at(0)]],
    )
    assert len(corrections) == everywhere[0][0]


def test_an_event_that_only_one_layer_has_is_told_with_the_other_left_open(shop: Settings) -> None:
    (event,) = told("lost")["events"]
    assert (event["stream"]["decision"], event["batch"]) == ("counted", None)
    execute(shop, "DELETE FROM speed.journal WHERE partition = 3")
    amended = next(event for event in told("bread")["events"] if event["partition"] == 3)
    assert (amended["stream"], amended["batch"]["decision"]) == (None, "counted")


def test_an_order_that_no_batch_run_has_seen_is_told_from_the_stream_alone(shop: Settings) -> None:
    execute(shop, "DELETE FROM batch.versions")
    story = told("bread")
    assert [event["batch"] for event in story["events"]] == [None] * 3
    assert story["days"][0]["versions"] == []


def test_what_waits_in_quarantine_is_said(shop: Settings) -> None:
    place = {"topic": "order-events", "partition": CREATED.partition, "offset": CREATED.offset}
    insert(shop, "speed.quarantine", **place, order_id="bread", kafka_time=at(9), reasons=["MISSING_CUSTOMER_ID"])
    waiting = {event["offset"]: event["in_quarantine_since"] is not None for event in told("bread")["events"]}
    assert waiting == {20: True, 4: False, 31: False}


def test_people_read_the_same_in_lines(shop: Settings) -> None:
    reconcile.run(shop, DAY, apply_timeout=timedelta(0), dry_run=True)
    text = CliRunner().invoke(cli.app, ["explain", "--order", "bread"]).stdout
    assert "order created, 2017-12-23 09:30:00 UTC: partition 0, offset 20, e0-20" in text
    assert "stream  late, 150 min behind the partition, which was at 2017-12-23 12:00:00 UTC" in text
    assert "batch   counted $7.00" in text
    assert f"in version 1, run {RUN}, rules 1" in text
    assert "differs late: +$7.00  (reconciliation 1)" in text
    assert "2017-12-23: mismatch (reconciliation 1)" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--order", "nobody"], "neither layer has an order nobody"),
        (["--order", "bread", "--date", "2017-12-22"], "neither layer has an order bread on 2017-12-22"),
        ([], "give --date YYYY-MM-DD, or --order ID"),
    ],
)
def test_an_order_that_is_not_there_is_said_in_one_line(shop: Settings, arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(cli.app, ["explain", *arguments])
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
