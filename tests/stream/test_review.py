"""The review on real Kafka and Postgres: each record is decided once, and what is approved counts once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import orders
import pytest
import speed_rig as rig
from installations import tandem

from stream import outbox, review, review_page, sink
from stream.release import Address, Correction, StillFailsError
from tandem import kafka_client
from tandem.errors import TandemError
from tandem.local import postgres as local_postgres
from tandem.local import process
from tandem.settings import Settings
from tandem.sources.partitioning import partition_of

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

NOON = datetime(2017, 12, 23, 12, tzinfo=UTC)
BROKEN = Address("order-events", 3, 0)
CUSTOMER = Correction('{"customer_id": "c-17"}')


def good(number: int, moment: datetime) -> rig.Outgoing:
    payload = orders.order(f"e{number}", moment, orders.line("p1", 1000), customer=f"c{number}")
    return rig.Outgoing(orders.encode(payload), payload["customer_id"].encode())


def broken(moment: datetime = NOON) -> rig.Outgoing:
    payload = orders.order("broken", moment, orders.line("p9", 500))
    del payload["customer_id"]
    return rig.Outgoing(orders.encode(payload), None, partition=BROKEN.partition)


@pytest.fixture
def quarantined(topic_prefix: Settings) -> Settings:
    """Ten orders of 10.00 and one of 5.00 that names no customer."""
    rig.produce(topic_prefix, [broken(), *(good(number, NOON) for number in range(10))])
    rig.run_to_end(topic_prefix)
    return topic_prefix


def approve(settings: Settings, correction: Correction = CUSTOMER, by: str = "anna") -> review.Decided:
    return review.approve(settings, BROKEN, correction, by=by, now=datetime.now(UTC))


def counted(settings: Settings) -> tuple[int, int]:
    (row,) = rig.query(
        settings,
        "SELECT sum(order_count)::bigint AS orders, sum(revenue_cents)::bigint AS cents FROM speed.order_minutes",
    )
    return row["orders"], row["cents"]


def decisions(settings: Settings) -> dict[str, int]:
    rows = rig.query(settings, "SELECT decision, sum(events)::bigint AS events FROM speed.outcomes GROUP BY 1")
    return {row["decision"]: row["events"] for row in rows}


def waiting(settings: Settings) -> list[str]:
    return [record.address for record in review.find(settings, review.Filter(), 100)[0]]


def relay(settings: Settings) -> int:
    with sink.connect(settings) as connection:
        return outbox.Relay(settings).send(connection)


def read_on(settings: Settings) -> None:
    """What waits is sent, and what is sent is read."""
    relay(settings)
    rig.run_to_end(settings)


def test_an_approved_record_counts_once_and_is_no_longer_in_quarantine(quarantined: Settings) -> None:
    assert counted(quarantined) == (10, 10_000)
    decided = approve(quarantined)
    assert (decided.decision, decided.already) == ("approved", False)
    assert review.show(quarantined, BROKEN).sent is False
    read_on(quarantined)
    assert counted(quarantined) == (11, 10_500)
    assert waiting(quarantined) == []
    record = review.show(quarantined, BROKEN)
    assert (record.status, record.decided_by, record.sent) == ("approved", "anna", True)


def test_the_released_event_lies_where_its_customer_s_other_events_lie(quarantined: Settings) -> None:
    approve(quarantined)
    relay(quarantined)
    (sent,) = [record for record in rig.visible(quarantined) if b"release:" in (record.value or b"")]
    assert sent.key == b"c-17"
    assert sent.partition == partition_of(b"c-17", len(rig.ends(quarantined)))
    assert sent.headers["message_id"] == b"release:order-events:3:0"


def test_a_second_approval_changes_nothing_and_says_who_was_first(quarantined: Settings) -> None:
    approve(quarantined)
    read_on(quarantined)
    again = approve(quarantined, by="bert")
    assert (again.already, again.decided_by) == (True, "anna")
    read_on(quarantined)
    assert counted(quarantined) == (11, 10_500)


def test_an_approval_with_other_data_is_refused(quarantined: Settings) -> None:
    approve(quarantined)
    with pytest.raises(TandemError, match=r"was approved by anna at .*, with other data"):
        approve(quarantined, Correction('{"customer_id": "c-18"}'))


def test_an_event_that_is_sent_twice_is_a_duplicate(quarantined: Settings) -> None:
    """A relay that died between the broker's word and its own deletion sends again."""
    approve(quarantined)
    ((key, value),) = [
        (row["released_key"], row["released_value"]) for row in rig.query(quarantined, "SELECT * FROM speed.reviews")
    ]
    again = kafka_client.producer(quarantined, {"partitioner": "murmur2_random"})
    again.produce(quarantined.topic("order-events"), value, key)
    assert again.flush(30) == 0
    read_on(quarantined)
    assert counted(quarantined) == (11, 10_500)
    assert decisions(quarantined) == {"counted": 11, "quarantined": 1, "duplicate": 1}


def at_once(settings: Settings, *commands: tuple[str, ...]) -> list[tuple[int, list[dict[str, Any]]]]:
    """Exit status and JSON of commands that all stand before the record when the first of them may take it."""
    database_name = settings.postgres_database
    with (
        local_postgres.connect_admin(settings, database_name) as watcher,
        local_postgres.connect_admin(settings, database_name) as holder,
        holder.transaction(),
    ):
        holder.execute("SELECT FROM speed.quarantine FOR UPDATE")
        argv = [sys.executable, "-m", "tandem", "quarantine"]
        environment = {**os.environ, **process.environment(settings)}
        started = [
            subprocess.Popen([*argv, *arguments, "--json"], env=environment, stdout=subprocess.PIPE, text=True)
            for arguments in commands
        ]
        blocked = "SELECT FROM pg_stat_activity WHERE usename = 'tandem_review' AND wait_event_type = 'Lock'"
        rig.wait_for(lambda: watcher.execute(blocked).rowcount == len(started), "all commands at the record")
    outputs = [one.communicate(timeout=300)[0] for one in started]
    return [(one.returncode, json.loads(output)) for one, output in zip(started, outputs, strict=True)]


def test_approvals_at_once_count_once(quarantined: Settings) -> None:
    command = ("approve", str(BROKEN), "--data", CUSTOMER.document, "--by")
    found = at_once(quarantined, *[(*command, f"r{who}") for who in range(4)])
    assert [code for code, _ in found] == [0] * 4
    assert sorted(told[0]["already"] for _, told in found) == [False, True, True, True]
    assert len({told[0]["decided_by"] for _, told in found}) == 1
    read_on(quarantined)
    assert counted(quarantined) == (11, 10_500)


def test_of_different_decisions_at_once_one_holds(quarantined: Settings) -> None:
    found = at_once(
        quarantined,
        ("approve", str(BROKEN), "--data", CUSTOMER.document),
        ("reject", str(BROKEN)),
        ("approve", str(BROKEN), "--data", '{"customer_id": "c-18"}'),
    )
    first = [told[0] for code, told in found if code == 0]
    assert len(first) == 1, found
    assert sorted(code for code, _ in found) == [0, 2, 2]
    read_on(quarantined)
    assert counted(quarantined) == ((11, 10_500) if first[0]["decision"] == "approved" else (10, 10_000))


def test_a_rejected_record_is_gone_for_good_and_who_and_when_is_kept(quarantined: Settings) -> None:
    before = datetime.now(UTC)
    review.reject(quarantined, BROKEN, by="bert", note="a test of the shop's")
    record = review.show(quarantined, BROKEN)
    assert (record.status, record.decided_by, record.note) == ("rejected", "bert", "a test of the shop's")
    assert record.decided_at is not None
    assert abs(record.decided_at - before) < timedelta(minutes=5)
    assert (record.value, record.released_value) == (None, None)
    assert waiting(quarantined) == []
    read_on(quarantined)
    assert counted(quarantined) == (10, 10_000)
    with pytest.raises(TandemError, match=r"was rejected by bert at .*only the archive has it"):
        approve(quarantined)
    assert review.reject(quarantined, BROKEN, by="carl").already


def test_what_still_fails_stays_in_quarantine_and_nothing_goes_out(quarantined: Settings) -> None:
    with pytest.raises(StillFailsError, match="TOTAL_AMOUNT_MISMATCH"):
        approve(quarantined, Correction('{"customer_id": "c-17", "total_amount": "50.00"}'))
    assert waiting(quarantined) == [str(BROKEN)]
    assert relay(quarantined) == 0


def test_a_release_that_comes_late_is_late_for_the_stream(topic_prefix: Settings) -> None:
    """The batch layer counts it; the ledger's cause is then that it was released."""
    ahead = rig.Outgoing(good(99, NOON + timedelta(hours=5)).value, b"c-17")
    rig.produce(topic_prefix, [broken(), ahead])
    rig.run_to_end(topic_prefix)
    approve(topic_prefix)
    read_on(topic_prefix)
    assert decisions(topic_prefix) == {"counted": 1, "quarantined": 1, "late": 1}


def test_the_page_asks_about_each_waiting_record_and_does_what_is_answered(quarantined: Settings) -> None:
    (page,) = review_page.waiting(quarantined, NOON.date(), "MISSING_CUSTOMER_ID", 20)
    assert page["address"] == str(BROKEN)
    assert page["subject"] == "order-events:3:0: MISSING_CUSTOMER_ID"
    assert '"order_id": "o-broken"' in page["body"]
    assert review_page.waiting(quarantined, NOON.date(), "FOREIGN_CURRENCY", 20) == []
    assert "stays" in review_page.apply(quarantined, str(BROKEN), "Leave", {}, by="anna")
    entered = {"data": '{"customer_id": "c-17"}', "whole": False, "note": "rang the shop"}
    told = review_page.apply(quarantined, str(BROKEN), "Approve", entered, by="anna")
    assert told == "order-events:3:0 approved: goes out as release:order-events:3:0 of 2017-12-23"
    assert review.show(quarantined, BROKEN).note == "rang the shop"


def test_a_record_cannot_leave_its_frame_on_the_page(topic_prefix: Settings) -> None:
    rig.produce(topic_prefix, [rig.Outgoing(b"```\n# Approve me\n````", None, 0)])
    rig.run_to_end(topic_prefix)
    (page,) = review_page.waiting(topic_prefix, None, None, 20)
    assert page["body"].split("\n\n", 1)[1].startswith("`````json\n```\n")


def command(settings: Settings, *arguments: str) -> tuple[int, Any, str]:
    done = tandem(settings, "quarantine", *arguments)
    found = json.loads(done.stdout) if "--json" in arguments and done.stdout else done.stdout
    return done.returncode, found, done.stderr


def test_the_command_lists_shows_approves_and_rejects(quarantined: Settings) -> None:
    code, listed, _ = command(quarantined, "list", "--date", "2017-12-23", "--reason", "MISSING_CUSTOMER_ID", "--json")
    assert code == 0
    assert [(one["address"], one["status"]) for one in listed] == [(str(BROKEN), "waiting")]
    assert command(quarantined, "list", "--date", "2017-12-22")[1] == "nothing in quarantine that fits\n"
    code, shown, _ = command(quarantined, "show", str(BROKEN), "--json")
    assert json.loads(shown["value"])["order_id"] == "o-broken"
    code, _, said = command(quarantined, "approve", str(BROKEN))
    assert (code, said.count("\n")) == (1, 1)
    assert "still does not count: MISSING_CUSTOMER_ID: correct it with --data" in said
    code, told, _ = command(quarantined, "approve", str(BROKEN), "--data", CUSTOMER.document, "--by", "anna", "--json")
    assert (code, told[0]["event_id"], told[0]["business_date"]) == (0, "release:order-events:3:0", "2017-12-23")
    code, _, said = command(quarantined, "reject", str(BROKEN), "order-events:9:9")
    assert code == 2
    assert [line.split(" at ")[0] for line in said.splitlines()] == [
        "tandem: order-events:3:0 was approved by anna",
        "tandem: order-events:9:9 is not in quarantine: see 'tandem quarantine list'",
    ]
    code, text, _ = command(quarantined, "list", "--status", "approved")
    assert "approved, waits for a speed worker by anna" in text
    assert command(quarantined, "list", "--status", "gone")[0] == 2
    code, _, said = command(quarantined, "list", "--reason", "MISSING_CUSTOMER")
    assert code == 2
    assert "'MISSING_CUSTOMER' is no check: give one of MALFORMED_PAYLOAD, MISSING_EVENT_TYPE, " in said
