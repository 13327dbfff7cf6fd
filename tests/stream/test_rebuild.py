"""The state once more from the log: equal where nothing was wrong, exact about what was, and mended by the swap."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any

import odd_values as odd
import orders
import pytest
import speed_rig as rig
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from done_dates import settled
from installations import tandem
from psycopg.rows import dict_row

from stream import journal_upkeep
from stream.archive import archive
from stream.rebuild_tables import REBUILT, UNCUT
from stream.worker import Worker
from tandem import database, journal
from tandem.settings import PROJECT_ROOT, Settings
from tandem.topics import CORRECTIONS, ORDER_EVENTS

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

START = datetime(2017, 12, 21, 20, tzinfo=UTC)
DAY = "2017-12-22"
FIRST = "2017-12-21"


def records(count: int, seed: int) -> list[rig.Outgoing]:
    """Two evenings of sales with copies, late ones, cancellations, and what is no event at all."""
    random, sent = Random(seed), []
    for number in range(count):
        moment = START + timedelta(minutes=number * 1_500 / count - random.choice([0, 0, 0, 40, 90]))
        lines = [orders.line(f"p{random.randrange(9)}", random.randrange(1, 900), category=f"k{number % 4}")]
        kind = "order_cancelled" if random.random() < 0.1 else "order_created"
        more = {"payment_method": random.choice(["card", "cash"]), "region": f"r{number % 3}"}
        customer = f"c{number % 17}"
        payload = orders.order(f"e{seed}-{number}", moment, *lines, kind=kind, customer=customer, **more)
        sent.append(rig.Outgoing(orders.encode(payload), customer.encode()))
        if random.random() < 0.05:
            sent.append(random.choice(sent[-9:]))
        if random.random() < 0.03:
            sent.append(rig.Outgoing(random.choice(odd.MALFORMED), customer.encode()))
    return sent


def correction(number: int) -> rig.Outgoing:
    document = {
        "correction_id": f"correction-{number}",
        "business_date": DAY,
        "cube": "orders",
        "cell_start": f"{DAY}T10:00:00Z",
        "key": "",
        "measure": "revenue_cents",
        "stream_value": 1,
        "batch_value": 3,
        "delta": 2,
        "run_id": "r1",
    }
    return rig.Outgoing(json.dumps(document).encode(), f"correction-{number}".encode())


@pytest.fixture
def sold(topic_prefix: Settings) -> Settings:
    rig.produce(topic_prefix, records(600, 1))
    rig.produce(topic_prefix, records(20, 2), commit=False)  # aborted: nobody sees them, but their offsets are taken
    rig.produce(topic_prefix, [correction(1), correction(2), correction(1)], topic=CORRECTIONS)
    rig.run_to_end(topic_prefix.model_copy(update={"micro_batch_max_events": 83}))
    return topic_prefix


def rebuild(settings: Settings, *arguments: str, since: str = FIRST) -> tuple[int, dict[str, Any]]:
    done = tandem(settings, "stream", "rebuild", "--from", since, "--json", *arguments)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def damage(settings: Settings, statement: str) -> dict[str, Any]:
    with database.connect(settings, database.SPEED, row_factory=dict_row, options="-c TimeZone=UTC") as speed:
        row = speed.execute(statement).fetchone()
    assert row is not None
    return row


ONE_MINUTE = """
UPDATE speed.order_minutes SET revenue_cents = revenue_cents + 7
WHERE (pane_start, partition) = (SELECT pane_start, partition FROM speed.order_minutes
                                 WHERE business_date = '2017-12-22' AND order_count > 0 ORDER BY 1, 2 LIMIT 1)
RETURNING *
"""
ONE_CUSTOMER = """
DELETE FROM speed.customer_days WHERE customer_id = 'c3' AND business_date = '2017-12-22' RETURNING *
"""


def test_a_state_in_which_nothing_was_wrong_equals_its_rebuild_row_by_row(sold: Settings) -> None:
    code, found = rebuild(sold)
    assert (code, found["equal"], found["tables"], found["swapped"]) == (0, True, {}, False)
    assert found["events"] == len(rig.visible(sold))
    assert rig.query(sold, "SELECT count(*) AS n FROM pg_database WHERE datname LIKE '%%rebuild'") == [{"n": 0}]


def test_a_damaged_row_is_reported_exactly_and_only_the_swap_mends_it(sold: Settings) -> None:
    minute, customer = damage(sold, ONE_MINUTE), damage(sold, ONE_CUSTOMER)
    code, found = rebuild(sold, since=DAY)
    assert (code, found["tables"]) == (1, {"customer_days": 1, "order_minutes": 1})
    of_customers, of_minutes = sorted(found["differences"], key=lambda difference: difference["table"])
    assert of_customers["key"] == {"business_date": DAY, "customer_id": "c3"}
    assert (of_customers["live"], of_customers["rebuilt"], customer["customer_id"]) == (None, {}, "c3")
    assert of_minutes["live"]["revenue_cents"] == of_minutes["rebuilt"]["revenue_cents"] + 7
    assert of_minutes["key"]["partition"] == minute["partition"]
    code, again = rebuild(sold, since=DAY)
    assert (code, again["tables"]) == (1, found["tables"]), "nothing live was touched"
    code, swapped = rebuild(sold, "--swap", since=DAY)
    assert (code, swapped["swapped"]) == (0, True)
    assert rebuild(sold)[0] == 0
    assert rig.query(sold, "SELECT correction_id, delta FROM speed.adjustments ORDER BY 1") == [
        {"correction_id": f"correction-{number}", "delta": 2} for number in (1, 2)
    ]
    rig.produce(sold, records(100, 3))
    rig.run_to_end(sold)
    rig.assert_books_are_exact(sold)


def journal_of(settings: Settings) -> list[tuple[Any, ...]]:
    with database.connect(settings, database.READER) as reader:
        return journal.read(reader, ORDER_EVENTS).rows()


def test_what_retention_took_of_the_journal_is_no_difference_and_the_swap_brings_it_back(sold: Settings) -> None:
    whole = journal_of(sold)
    settled(sold, date(2017, 12, 21), date(2017, 12, 22))
    short = sold.model_copy(update={"journal_retention": timedelta(hours=2)})
    done = journal_upkeep.retain(short, datetime.now(UTC) + timedelta(days=1), lambda _: None)
    left = journal_of(sold)
    assert 0 < len(left) == len(whole) - done.records < len(whole)
    code, found = rebuild(sold)
    assert (code, found["equal"], found["tables"], found["swapped"]) == (0, True, {}, False)
    assert found["journal_expired"] == [str(day) for day in done.dates] != []
    assert journal_of(sold) == left
    code, found = rebuild(sold, "--swap")
    assert (code, found["tables"], found["swapped"]) == (0, {}, True)
    assert journal_of(sold) == whole
    for table in ("journal_kept", "journal_expired", "rebuilds"):
        assert rig.query(sold, f"SELECT count(*) AS n FROM speed.{table}") == [{"n": 0}]
    assert rebuild(sold)[1]["journal_expired"] == []
    rig.assert_books_are_exact(sold)


COUNTS = (
    "UPDATE speed.date_customers SET customers = customers + 3 WHERE business_date = '2017-12-22' RETURNING *",
    "UPDATE speed.month_customers SET customers = customers - 1 RETURNING *",
    "DELETE FROM speed.customer_months WHERE customer_id = 'c3' RETURNING *",
    "INSERT INTO speed.customer_months VALUES ('2017-12-01', 'nobody') RETURNING *",
)


def test_a_count_of_customers_that_is_not_that_of_their_rows_is_reported_and_mended(sold: Settings) -> None:
    (date_count, month_count, *_) = [damage(sold, statement)["customers"] for statement in COUNTS[:2]]
    for statement in COUNTS[2:]:
        damage(sold, statement)
    code, found = rebuild(sold)
    assert (code, found["tables"]) == (1, {"customer_months": 2, "date_customers": 1, "month_customers": 1})
    lacking, surplus, of_date, of_month = (d | {"table": None} for d in found["differences"])
    assert of_date == told({"business_date": DAY}, date_count, date_count - 3)
    assert of_month == told({"month": "2017-12-01"}, month_count, month_count + 1)
    assert lacking == told({"month": "2017-12-01", "customer_id": "c3"}, 0, 1)
    assert surplus == told({"month": "2017-12-01", "customer_id": "nobody"}, 1, 0)
    assert rebuild(sold, "--swap")[1]["swapped"] is True
    assert rebuild(sold)[0] == 0
    rig.produce(sold, records(100, 3))
    rig.run_to_end(sold)
    rig.assert_books_are_exact(sold)


def told(key: dict[str, str], live: int, rebuilt: int) -> dict[str, Any]:
    return {"table": None, "key": key, "live": {"customers": live}, "rebuilt": {"customers": rebuilt}}


def shown_revenue(settings: Settings) -> dict[str, int]:
    """What the state topic ends on, by window."""
    rig.settle(settings, "revenue-metrics")
    values = sorted(rig.visible(settings, "revenue-metrics"), key=lambda record: record.offset)
    return {value["window_start"]: value["revenue_cents"] for value in (json.loads(record.value) for record in values)}


def booked_revenue(settings: Settings) -> dict[str, int]:
    rows = rig.query(settings, "SELECT to_json(held) AS row FROM serving.revenue_windows AS held")
    return {row["row"]["window_start"]: row["row"]["revenue_cents"] for row in rows}


def test_state_topics_show_what_was_swapped_in(sold: Settings) -> None:
    damage(sold, ONE_MINUTE)
    damage(sold, "DELETE FROM speed.published RETURNING *")
    rig.run_to_end(sold)
    wrong = shown_revenue(sold)
    assert wrong == booked_revenue(sold)
    assert rebuild(sold, "--swap")[0] == 0
    rig.run_to_end(sold)
    assert shown_revenue(sold) == booked_revenue(sold) != wrong


def test_what_lies_before_the_date_is_neither_compared_nor_swapped(sold: Settings) -> None:
    row = damage(
        sold,
        "UPDATE speed.outcomes SET events = events + 1 WHERE decision = 'counted' AND (pane_start, partition) ="
        " (SELECT pane_start, partition FROM speed.outcomes WHERE decision = 'counted' ORDER BY 1, 2 LIMIT 1)"
        " RETURNING *",
    )
    assert row["pane_start"] < datetime(2017, 12, 22, tzinfo=UTC)
    assert rebuild(sold, since=DAY)[0] == 0
    assert rebuild(sold)[1]["tables"] == {"outcomes": 1}


def test_damaged_journal_and_sketches_are_told_by_record_and_cell(sold: Settings) -> None:
    damage(sold, "DELETE FROM speed.journal WHERE events > 0 AND partition = 3 RETURNING 1")
    damage(
        sold,
        "DELETE FROM speed.sketches WHERE (partition, cell_start, rollup, key, counted) IN (SELECT partition,"
        " cell_start, rollup, key, counted FROM speed.sketches ORDER BY 1, 2, 3, 4, 5 LIMIT 1) RETURNING 1",
    )
    code, found = rebuild(sold)
    assert (code, found["tables"]["sketches"]) == (1, 1)
    offsets = {d["key"]["offset"] for d in found["differences"] if d["table"] == "journal"}
    assert offsets == {record.offset for record in rig.visible(sold) if record.partition == 3}
    assert rebuild(sold, "--swap")[0] == 0
    assert rebuild(sold)[0] == 0
    rig.assert_books_are_exact(sold)


def expire(settings: Settings, share: float) -> None:
    admin = AdminClient({"bootstrap.servers": settings.brokers})
    name = settings.topic("order-events")
    parts = [TopicPartition(name, part, int(end * share)) for part, end in rig.ends(settings).items()]
    for answer in admin.delete_records([part for part in parts if part.offset > 0]).values():
        answer.result(120)


def test_what_kafka_no_longer_has_is_read_from_the_archive(sold: Settings, tmp_path: Path) -> None:
    sold = sold.model_copy(update={"archive_uri": str(tmp_path / "Bücher und mehr")})
    archive(sold, stop=Event(), until_caught_up=True)
    expire(sold, 0.6)
    damage(sold, ONE_MINUTE)
    assert rebuild(sold)[1]["tables"] == {"order_minutes": 1}
    assert rebuild(sold, "--swap")[0] == 0
    assert rebuild(sold)[0] == 0


@pytest.mark.parametrize("archived", [None, 0.3])
def test_a_log_that_is_not_whole_is_refused_in_one_line(sold: Settings, archived: float | None) -> None:
    """There is no archive, or one that began when part of the log had expired already."""
    if archived:
        expire(sold, archived)
        archive(sold, stop=Event(), until_caught_up=True)
    expire(sold, 0.5)
    done = tandem(sold, "stream", "rebuild", "--from", DAY)
    assert done.returncode == 2
    assert "neither in Kafka nor in the archive" in done.stderr.splitlines()[-1]


def test_a_correction_that_is_booked_and_that_kafka_has_no_more_is_not_taken_back(sold: Settings) -> None:
    booked = rig.query(sold, "SELECT * FROM speed.adjustments ORDER BY correction_id")
    admin = AdminClient({"bootstrap.servers": sold.brokers})
    first = TopicPartition(sold.topic(CORRECTIONS), booked[0]["partition"], booked[0]["offset"] + 1)
    for answer in admin.delete_records([first]).values():
        answer.result(120)
    done = tandem(sold, "stream", "rebuild", "--from", DAY, "--swap")
    assert done.returncode == 2
    said = (
        f"Kafka no longer has the correction at offset {booked[0]['offset']} of corrections partition {first.partition}"
    )
    assert said in done.stderr.splitlines()[-1]
    assert rig.query(sold, "SELECT * FROM speed.adjustments ORDER BY correction_id") == booked


def everything(settings: Settings) -> dict[str, Any]:
    names = rig.query(settings, "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'speed' ORDER BY 1")
    # As text: Python has no date that is -infinity.
    rows = {n["name"]: rig.query(settings, f"SELECT t::text AS row FROM speed.{n['name']} AS t") for n in names}
    return {name: sorted(found, key=repr) for name, found in rows.items()}


def test_a_rebuild_that_is_killed_leaves_the_live_state_as_it_was_and_the_next_one_goes_through(sold: Settings) -> None:
    damage(sold, ONE_MINUTE)
    before = everything(sold)
    slow = sold.model_copy(update={"micro_batch_max_events": 1})
    from tandem.local import process

    killed = subprocess.Popen(
        [sys.executable, "-m", "tandem", "stream", "rebuild", "--from", FIRST, "--swap"],
        env={**process.environment(slow), "PATH": "/usr/bin:/bin"},
        cwd=PROJECT_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    shadow = sold.model_copy(update={"postgres_database": f"{sold.postgres_database}_rebuild"})

    def is_at_work() -> bool:
        try:
            return bool(rig.query(shadow, "SELECT FROM speed.order_minutes LIMIT 1"))
        except Exception:  # noqa: BLE001 - the database or its tables are not there yet
            return False

    rig.wait_for(is_at_work, "the rebuild to have counted something")
    killed.kill()
    assert killed.wait() == -9
    assert everything(sold) == before
    rig.wait_for(lambda: rebuild(sold, "--swap")[0] == 0, "Postgres to notice")
    rig.assert_books_are_exact(sold)


def test_a_worker_goes_on_while_the_state_is_swapped_beneath_it(sold: Settings) -> None:
    stop = Event()
    worker = Thread(target=Worker(sold, stop).run)
    worker.start()
    try:
        damage(sold, ONE_MINUTE)
        more = records(400, 5)
        for part in range(0, len(more), 40):
            rig.produce(sold, more[part : part + 40])
            if part == 160:
                code, found = rebuild(sold, "--swap")
                assert (code, found["tables"]) == (0, {"order_minutes": 1})
        rig.wait_for(lambda: rig.is_caught_up(sold), "everything to be counted")
    finally:
        stop.set()
        worker.join(300)
    assert rebuild(sold)[0] == 0
    rig.assert_books_are_exact(sold)


NOT_RESULTS = {
    "partitions": "where the workers are",
    "topics": "which topics they read",
    "idle_marks": "what a clock decided, which a rebuild reads",
    "finality": "how far hours are final, which a swap sets back alone",
    "quarantine": "reviews take rows away",
    "reviews": "what people decided",
    "outbox": "sending takes rows away",
    "published": "what was sent",
    "publisher": "who sends",
    "rebuilds": "when figures were swapped",
    "measures_since": "what was declared when",
    "compacted": "how far sketches are merged",
    "journal_kept": "what retention took, which a swap brings back",
    "journal_expired": "as journal_kept",
    "customer_months": "counted anew from customer_days (stream.recount)",
    "date_customers": "as customer_months",
    "month_customers": "as customer_months",
}


def test_every_table_of_the_speed_layer_is_rebuilt_or_is_no_result_of_the_log(postgres: Settings) -> None:
    tables = rig.query(postgres, "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'speed'")
    rebuilt = {table.name: table for table in REBUILT}
    pending = {f"{name}_pending" for name, table in rebuilt.items() if table.is_packed}
    assert {table["name"] for table in tables} - pending - set(NOT_RESULTS) <= {*rebuilt, *UNCUT}
