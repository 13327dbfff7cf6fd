"""Hours become final once, on real Kafka and Postgres: by the watermarks, and where partitions are idle."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Event, Thread
from typing import Any

import orders
import payload_oracle as oracle
import pytest
import speed_rig as rig
from installations import keeping_books_under, tandem
from topic_books import last_values, table

from stream.rebuild import rebuild
from stream.session import Session
from stream.stats import StatsState
from stream.worker import Worker
from tandem import database
from tandem.local import postgres as local_postgres
from tandem.settings import Settings
from tandem.topics import HOURLY_TRENDS, ORDER_EVENTS

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

START = datetime(2017, 12, 22, 9, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
PARTITIONS = range(12)


def sale(number: int, moment: datetime, partition: int) -> rig.Outgoing:
    item = orders.line(f"p{number % 9}", 100 + number, category=("DELI", "GROCERY")[number % 2])
    return rig.Outgoing(orders.encode(orders.order(f"e{partition}-{number}", moment, item)), None, partition)


def disorderly(hours: int, seed: int) -> list[rig.Outgoing]:
    """Sales on every partition, most of them in order, some within the lateness and some beyond it."""
    random = Random(seed)
    minutes = sorted(random.uniform(0, 60 * hours) for _ in range(40 * hours))
    return [
        sale(number, START + timedelta(minutes=max(0, at - random.choice([0, 0, 0, 20, 55, 90]))), partition)
        for partition in PARTITIONS
        for number, at in enumerate(minutes)
    ]


def on_time(settings: Settings) -> tuple[dict[tuple[datetime, str], Counter[str]], datetime]:
    """What every hour had when its partition passed it, summed; and when the last of them is."""
    clerks = {partition: rig.Clerk() for partition in PARTITIONS}
    found: dict[tuple[datetime, str], Counter[str]] = {}
    for record in rig.visible(settings):
        event = oracle.read(record.value)
        clerk = clerks[record.partition]
        before = clerk.watermark
        assert event.event_time is not None
        hour = event.event_time.replace(minute=0, second=0, microsecond=0)
        passed = before is not None and before >= hour + HOUR + timedelta(seconds=5)
        if clerk.decide(str(event.texts["event_id"]), event.event_time) == "counted" and not passed:
            for category in ("", event.items[0].category):
                cell = found.setdefault((hour, category), Counter())
                cell.update(revenue_cents=event.total_cents, order_count=1, units=1)
    marks = [clerk.watermark for clerk in clerks.values() if clerk.watermark]
    assert len(marks) == len(PARTITIONS)
    last = min(marks) - timedelta(seconds=5)
    return found, last.replace(minute=0, second=0, microsecond=0)


def finals(settings: Settings) -> dict[tuple[datetime, str], dict[str, Any]]:
    rows = rig.query(settings, "SELECT '' AS category, * FROM speed.orders_finals")
    rows += rig.query(settings, "SELECT * FROM speed.categories_finals")
    return {(row.pop("cell_start"), row.pop("category")): row for row in rows}


def trend(settings: Settings) -> dict[tuple[datetime, str], dict[str, Any]]:
    found = rig.query(settings, "SELECT * FROM serving.hourly_trend")
    return {(row["cell_start"], row["category"]): row for row in found}


def test_a_fast_replay_makes_past_hours_final_once_and_they_never_change(topic_prefix: Settings) -> None:
    records = disorderly(hours=8, seed=7)
    half = [records[n] for n in range(len(records)) if n % 320 < 150]
    rest = [records[n] for n in range(len(records)) if n % 320 >= 150]
    rig.produce(topic_prefix, half)
    small = topic_prefix.model_copy(update={"micro_batch_max_events": 37})
    rig.run_to_end(small)
    first = finals(topic_prefix)
    assert first
    rig.produce(topic_prefix, rest)
    rig.run_to_end(topic_prefix)
    found = finals(topic_prefix)
    assert {cell: found[cell] for cell in first} == first, "not even the time of writing changes"
    wanted, closed = on_time(topic_prefix)
    plain = {
        cell: {name: row[name] for name in ("revenue_cents", "order_count", "units")} for cell, row in found.items()
    }
    assert plain == {cell: dict(row) for cell, row in wanted.items() if cell[0] < closed}
    shown = trend(topic_prefix)
    assert {cell for cell, row in shown.items() if row["status"] == "final"} == {c for c in shown if c[0] < closed}
    books = rig.cells(topic_prefix, "order_minutes")
    for hour in {cell[0] for cell in found}:
        row = shown[hour, ""]
        counted = sum(cell["revenue_cents"] for (_, at), cell in books.items() if hour <= at < hour + HOUR)
        assert row["revenue_cents"] + row["revenue_cents_after_final"] == counted
    assert sum(row["order_count_after_final"] for row in shown.values()) > 0
    assert sum(row["order_count_late"] for row in shown.values()) > 0


def test_what_came_after_final_alone_has_no_final_row_however_the_log_is_cut(topic_prefix: Settings) -> None:
    on_each = [sale(2 * n, START + timedelta(minutes=61 * n), at) for at in PARTITIONS for n in range(3)]  # until 11:02
    after = sale(1, START + timedelta(minutes=90), 0)  # the first GROCERY of ten o'clock, which is over
    rig.produce(topic_prefix, [*on_each, after])
    rig.run_to_end(topic_prefix.model_copy(update={"micro_batch_max_events": 1}))
    cells = {(START, "DELI"), (START + HOUR, "DELI"), (START, ""), (START + HOUR, "")}
    assert finals(topic_prefix).keys() == cells
    row = trend(topic_prefix)[START + HOUR, "GROCERY"]
    assert (row["status"], row["order_count"], row["order_count_after_final"]) == ("final", 0, 1)
    # In one micro-batch the cell is there when its hour becomes final.
    again = tandem(topic_prefix, "stream", "rebuild", "--from", "2017-12-22", "--json")
    assert json.loads(again.stdout)["tables"] == {}


@pytest.fixture
def lord_howe(topic_prefix: Settings) -> Iterator[Settings]:
    """Clocks shift by half an hour there: from 2:00 to 2:30 on 4 October 2026, back to 1:30 on 5 April."""
    changes = {"postgres_database": "lord_howe", "business_timezone": "Australia/Lord_Howe"}
    own = topic_prefix.model_copy(update=changes)
    local_postgres.start(own)
    yield own
    with local_postgres.connect_admin(own) as admin:
        admin.execute("DROP DATABASE lord_howe WITH (FORCE)")


SPRING = {datetime(2026, 10, 3, 14, 30, tzinfo=UTC): 2, datetime(2026, 10, 3, 15, tzinfo=UTC): 1}
AUTUMN = {datetime(2026, 4, 4, 14, tzinfo=UTC): 2, datetime(2026, 4, 4, 14, 30, tzinfo=UTC): 1}


@pytest.mark.parametrize("hours", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_hours_are_whole_where_clocks_shift_by_half_an_hour(lord_howe: Settings, hours: dict[datetime, int]) -> None:
    """The last hour before and the one that the shift falls into: the latter begins at half past, by its own clock."""
    one_o_clock = min(hours)
    minutes = (5, 50, 70, 100, 130, 200)
    rig.produce(lord_howe, [sale(n, one_o_clock + n * MINUTE, at) for at in PARTITIONS for n in minutes])
    rig.run_to_end(lord_howe.model_copy(update={"micro_batch_max_events": 1}))
    wanted = {hour: on_each * len(PARTITIONS) for hour, on_each in hours.items()}
    for cells in (
        "SELECT cell_start, order_count AS orders FROM speed.orders_finals",
        "SELECT cell_start, order_count AS orders FROM speed.categories_finals",
        "SELECT cell_start, order_count AS orders FROM serving.hourly_trend WHERE category = ''",
        "SELECT cell_start, order_count AS orders FROM serving.hourly_trend WHERE category <> ''",
        "SELECT cell_start, order_count AS orders FROM serving.speed_order_hours",
        "SELECT cell_start, order_count AS orders FROM serving.speed_category_hours",
        "SELECT cell_start, order_count AS orders FROM serving.speed_product_hours",
        "SELECT cell_start, order_count AS orders FROM serving.top_categories('-infinity', 'infinity')",
        "SELECT cell_start, order_count AS orders FROM serving.top_products('-infinity', 'infinity')",
    ):
        found: Counter[datetime] = Counter()
        for row in rig.query(lord_howe, cells):
            found[row["cell_start"]] += row["orders"]
        assert {hour: found[hour] for hour in wanted} == wanted, cells
    rig.settle(lord_howe, HOURLY_TRENDS)
    trends = table(lord_howe, "SELECT * FROM serving.hourly_trend")
    assert last_values(lord_howe, HOURLY_TRENDS) == {f"{row['cell_start']}/{row['category']}": row for row in trends}


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    stop = Event()
    worker = Thread(target=Worker(settings, stop).run)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join(300)
    assert not worker.is_alive()


def test_an_idle_partition_holds_no_hour_back_and_loses_nothing_when_it_wakes(topic_prefix: Settings) -> None:
    impatient = topic_prefix.model_copy(update={"idle_after": timedelta(seconds=1)})
    rig.produce(topic_prefix, [sale(n, START + timedelta(minutes=20 * n), 0) for n in range(7)])  # until 11:00
    with running(impatient):
        rig.wait_for(lambda: (START, "") in finals(topic_prefix), "nine o'clock to be final")
    before = finals(topic_prefix)
    assert {hour.hour for hour, _ in before} == {9}, "at 11:00 sharp ten is not past by the delay"
    # The fourth partition speaks for the first time: by its own watermark nothing of it is late.
    rig.produce(topic_prefix, [sale(90, START + timedelta(minutes=1), 4), sale(91, START + timedelta(minutes=100), 4)])
    rig.run_to_end(topic_prefix)
    assert finals(topic_prefix) == before
    row = trend(topic_prefix)[START, ""]
    assert (row["status"], row["order_count"], row["order_count_after_final"]) == ("final", 3, 1)
    assert row["revenue_cents_after_final"] == 190
    assert trend(topic_prefix)[START + HOUR, ""]["order_count"] == 4
    rig.assert_books_are_exact(topic_prefix)
    # No clock tells the rebuild what was idle: it reads what was written down.
    again = tandem(topic_prefix, "stream", "rebuild", "--from", "2017-12-22", "--json")
    assert json.loads(again.stdout)["equal"] is True


def test_what_a_clock_made_final_during_a_rebuild_is_final_after_its_swap(topic_prefix: Settings) -> None:
    rig.produce(topic_prefix, [sale(n, START + timedelta(minutes=20 * n), 0) for n in range(7)])
    rig.run_to_end(topic_prefix)
    with database.connect(topic_prefix, database.SPEED) as connection:
        # So that finals are among the tables that differ.
        connection.execute("INSERT INTO speed.orders_finals (cell_start) VALUES ('2017-12-22T08:00:00Z')")
    impatient = topic_prefix.model_copy(update={"idle_after": timedelta(seconds=1)})

    def meanwhile(line: str) -> None:
        if line == "comparing":
            with running(impatient):
                rig.wait_for(lambda: (START, "") in finals(topic_prefix), "nine o'clock to be final")

    assert rebuild(topic_prefix, START.date(), swap=True, say=meanwhile).swapped
    assert {hour.hour for hour, _ in finals(topic_prefix)} == {9}
    row = trend(topic_prefix)[START, ""]
    assert (row["status"], row["order_count"]) == ("final", 3)


def test_hours_that_a_longer_delay_leaves_open_are_open_after_the_swap_and_become_final_later(
    topic_prefix: Settings,
) -> None:
    def read(settings: Settings, *minutes: int) -> None:
        rig.produce(settings, [sale(n, START + n * MINUTE, partition) for partition in PARTITIONS for n in minutes])
        rig.settle(settings, ORDER_EVENTS)
        rig.run_to_end(settings)

    read(topic_prefix, 30, 90, 125)
    assert {hour.hour for hour, _ in finals(topic_prefix)} == {9, 10}
    longer = topic_prefix.model_copy(update={"watermark_delay": timedelta(minutes=10)})
    with keeping_books_under(longer):
        # From the day after: that ten o'clock is open is so whatever the dates that are swapped.
        assert rebuild(longer, START.date() + timedelta(days=1), swap=True, say=lambda _: None).reopened == START + HOUR
        assert {hour.hour for hour, _ in finals(longer)} == {9}
        row = trend(longer)[START + HOUR, ""]
        assert (row["status"], row["order_count"]) == ("early", 12)
        read(longer, 100, 131)
        row = trend(longer)[START + HOUR, ""]
        assert (row["status"], row["order_count"], row["order_count_after_final"]) == ("final", 24, 0)
        rig.settle(longer, HOURLY_TRENDS)
        trends = table(longer, "SELECT * FROM serving.hourly_trend")
        assert last_values(longer, HOURLY_TRENDS) == {f"{row['cell_start']}/{row['category']}": row for row in trends}
        again = rebuild(longer, START.date(), swap=True, say=lambda _: None)
        assert (again.counts, again.swapped) == ({}, False)


def test_a_partition_that_is_behind_is_not_idle(topic_prefix: Settings) -> None:
    impatient = topic_prefix.model_copy(update={"idle_after": timedelta(seconds=1), "micro_batch_max_events": 3})
    records = [sale(n, START + timedelta(minutes=5 * n), partition) for partition in PARTITIONS for n in range(26)]
    rig.produce(topic_prefix, records)
    with running(impatient):
        rig.wait_for(lambda: rig.is_caught_up(topic_prefix), "everything to be counted")
        rig.wait_for(lambda: (START + HOUR, "") in finals(topic_prefix), "ten o'clock to be final")
    assert {row["order_count"] for (_, category), row in finals(topic_prefix).items() if not category} == {12 * 12}
    assert rig.query(topic_prefix, "SELECT * FROM speed.orders_entries") == []


def test_what_came_while_a_step_took_long_is_no_idle_partitions(topic_prefix: Settings) -> None:
    """As where Postgres was away: the partition was read to its end long ago, and its next records are in hand."""
    impatient = topic_prefix.model_copy(update={"idle_after": timedelta(seconds=1)})
    rig.produce(topic_prefix, [sale(0, START + timedelta(minutes=10), 1), sale(1, START + timedelta(minutes=121), 0)])
    session = Session(impatient, "slow", StatsState())
    try:
        ended = session._upkeep.idle.ends
        rig.wait_for(lambda: session.step() >= 0 and ended.keys() == set(PARTITIONS), "all partitions to be read")
        later = [sale(2 + n, START + timedelta(minutes=20 + 10 * n), 1) for n in range(9)]
        rig.produce(topic_prefix, [*later, sale(20, START + timedelta(minutes=122), 0)])
        time.sleep(2)
        rig.wait_for(lambda: session.step() >= 0 and rig.is_caught_up(topic_prefix), "the rest")
    finally:
        session.close()
    assert rig.query(topic_prefix, "SELECT * FROM speed.orders_entries") == []


def test_a_partition_that_is_added_later_cannot_change_what_is_final(topic_prefix: Settings) -> None:
    from confluent_kafka.admin import AdminClient, NewPartitions

    rig.produce(topic_prefix, [sale(n, START + timedelta(hours=n), p) for p in PARTITIONS for n in range(3)])
    rig.run_to_end(topic_prefix)
    before = finals(topic_prefix)
    assert {hour.hour for hour, _ in before} == {9}
    admin = AdminClient({"bootstrap.servers": topic_prefix.brokers})
    name = topic_prefix.topic("order-events")
    for answer in admin.create_partitions([NewPartitions(name, 13)]).values():
        answer.result(120)
    rig.wait_for(lambda: len(admin.list_topics(name, timeout=10).topics[name].partitions) == 13, "the partition")
    rig.produce(topic_prefix, [sale(50, START + timedelta(minutes=5), 12)])
    rig.run_to_end(topic_prefix)
    assert finals(topic_prefix) == before
    assert trend(topic_prefix)[START, ""]["order_count_after_final"] == 1
