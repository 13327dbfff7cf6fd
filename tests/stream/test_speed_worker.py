"""A worker on real Kafka and Postgres, left alone: its books are those of the log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import odd_values as odd
import orders
import pytest
import speed_rig as rig
from desk_rig import forget_everything

from stream.corrections import MALFORMED
from tandem import database, journal, kafka_client
from tandem.errors import TandemError
from tandem.local import kafka as local_kafka
from tandem.settings import Settings
from tandem.sources.completejourney import completejourney_orders
from tandem.topics import CORRECTIONS, DATA_QUALITY_ALERTS, ORDER_EVENTS, QUARANTINED_DATA, Topic

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

START = datetime(2017, 12, 21, 8, tzinfo=UTC)


def order_record(number: int, moment: datetime, *, partition: int = -1, customer: str | None = None) -> rig.Outgoing:
    payload = orders.order(
        f"e{number}",
        moment,
        orders.line(f"p{number % 50}", 100 + number % 900, quantity=1 + number % 3, category=f"k{number % 5}"),
        orders.line(f"p{number % 7}", 250),
        customer=customer or f"c{number % 97}",
    )
    return rig.Outgoing(orders.encode(payload), payload["customer_id"].encode(), partition)


def three_real_days(settings: Settings) -> Iterator[rig.Outgoing]:
    found = completejourney_orders(date(2017, 12, 21), date(2017, 12, 23), settings).sort("event_time")
    for row in found.iter_rows(named=True):
        items = [
            {
                **{name: item[name] for name in ("product_id", "category", "quantity")},
                "amount": orders.money(item["amount_cents"]),
            }
            for item in row["items"]
        ]
        payload = orders.order(
            row["event_id"], row["event_time"], *items, customer=row["customer_id"], total=row["total_cents"]
        )
        yield rig.Outgoing(orders.encode(payload), row["customer_id"].encode())


def with_faults(records: Iterator[rig.Outgoing], seed: int) -> Iterator[rig.Outgoing]:
    """Now and then a copy, at once or later, a malformed record, a late one, a cancellation."""
    random, past = Random(seed), []
    for record in records:
        yield record
        past.append(record)
        if random.random() < 0.05:
            yield random.choice(past[-50:])
        if random.random() < 0.02:
            yield rig.Outgoing(random.choice(odd.MALFORMED), record.key)


TABLES = ("order_minutes", "product_hours", "category_hours", "customer_days", "outcomes")


def dump(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    found = {table: rig.query(settings, f"SELECT * FROM speed.{table}") for table in TABLES}
    with database.connect(settings, database.READER) as reader:
        found["journal"] = journal.read(reader, ORDER_EVENTS).to_dicts()
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


def test_three_real_days_replayed_at_once_give_the_books_of_one_event_at_a_time(topic_prefix: Settings) -> None:
    rig.produce(topic_prefix, with_faults(three_real_days(topic_prefix), seed=1))
    stats = rig.run_to_end(topic_prefix)
    wanted = rig.assert_books_are_exact(topic_prefix)
    assert stats.events == len(wanted.decisions)
    assert {decision for decision, _ in wanted.decisions.values()} >= {"counted", "duplicate", "quarantined"}
    at_once = dump(topic_prefix)
    forget_everything(topic_prefix)
    rig.run_to_end(topic_prefix.model_copy(update={"micro_batch_max_events": 61}))
    assert dump(topic_prefix) == at_once


def test_journal_and_panes_are_found_to_agree_and_to_disagree(topic_prefix: Settings) -> None:
    rig.produce(topic_prefix, (order_record(n, START + timedelta(minutes=n)) for n in range(200)))
    rig.run_to_end(topic_prefix)
    with database.connect(topic_prefix, database.SPEED) as speed:
        assert journal.disagreements(speed, ORDER_EVENTS, START.date()) == {}
        speed.execute("UPDATE speed.order_minutes SET revenue_cents = revenue_cents + 1 WHERE pane_start = %s", [START])
        differing = journal.disagreements(speed, ORDER_EVENTS, START.date())
    assert list(differing) == ["revenue_cents"]
    assert differing["revenue_cents"][1] - differing["revenue_cents"][0] == 1


def test_an_idle_partition_neither_holds_back_nor_drops_anything(topic_prefix: Settings) -> None:
    rig.produce(topic_prefix, [order_record(n, START + timedelta(days=3, minutes=n), partition=3) for n in range(50)])
    rig.run_to_end(topic_prefix)
    rig.produce(topic_prefix, [order_record(n, START + timedelta(minutes=n), partition=5) for n in range(50, 100)])
    rig.run_to_end(topic_prefix)
    wanted = rig.assert_books_are_exact(topic_prefix)
    assert {decision for decision, _ in wanted.decisions.values()} == {"counted"}


def test_what_a_transaction_took_back_is_never_seen_but_its_offsets_are_passed(topic_prefix: Settings) -> None:
    rig.produce(topic_prefix, [order_record(n, START, partition=0) for n in range(10)])
    rig.produce(topic_prefix, [order_record(n, START, partition=0) for n in range(10, 30)], commit=False)
    rig.produce(topic_prefix, [order_record(n, START, partition=1) for n in range(30, 50)], commit=False)
    rig.run_to_end(topic_prefix)
    wanted = rig.assert_books_are_exact(topic_prefix)
    assert len(wanted.decisions) == 10
    assert rig.positions(topic_prefix)[0] == 32  # 30 records and two markers
    assert rig.positions(topic_prefix)[1] == 21


def test_copies_that_come_after_a_restart_are_duplicates(topic_prefix: Settings) -> None:
    first = [order_record(n, START + timedelta(minutes=n)) for n in range(500)]
    rig.produce(topic_prefix, first)
    rig.run_to_end(topic_prefix)
    rig.produce(topic_prefix, first)
    stats = rig.run_to_end(topic_prefix)
    assert stats.decisions == {"duplicate": 500}
    rig.assert_books_are_exact(topic_prefix)


def test_poison_of_every_kind_goes_to_quarantine_whole_and_stops_nothing(topic_prefix: Settings) -> None:
    sound = orders.order("sound", START, orders.line("p", 100))
    poison = [
        *odd.MALFORMED,
        odd.nested(100_000),
        b"{" * 500_000,
        orders.encode(sound | {"customer_id": "x" * 900_000}),
        orders.encode(sound | {"event_id": "nul\0", "order_id": None}),
        orders.encode(sound | {"event_id": "a", "total_amount": "1e400"}),
        orders.encode(sound | {"event_id": "b", "event_time": "2017-02-30T00:00:00Z"}),
        orders.encode(sound | {"event_id": "c", "event_time": "9999-12-31T23:59:59Z"}),
        orders.encode(sound | {"event_id": "d", "currency": "XXX"}),
        orders.encode(sound | {"event_id": "e", "items": [None, 1, "x", {}]}),
        orders.encode(sound | {"event_id": "f", "event_type": None}),
        b'{"event_id":1,"event_id":2}',
    ]
    hard_to_copy = {"customer_id": "\\N\t,", "items": [orders.line('\n\\.\n"', 100)]}
    counted = [orders.encode(sound | hard_to_copy | {"event_id": f"\u2028{n} '\"\\.\n"}) for n in range(3)]
    ignored = orders.encode({"event_type": "order_shipped\n\\."})
    values = [counted[0], *poison, counted[1], ignored, counted[2]]
    rig.produce(topic_prefix, [rig.Outgoing(value, b"\xff\x00", 4) for value in values], at_once=3)
    stats = rig.run_to_end(topic_prefix)
    assert stats.decisions == {"counted": 3, "ignored": 1, "quarantined": len(poison)}
    rig.assert_books_are_exact(topic_prefix)
    announced = rig.visible(topic_prefix, QUARANTINED_DATA)
    assert len({record.headers["message_id"] for record in announced}) == len(announced) == len(poison)
    alerts = rig.visible(topic_prefix, DATA_QUALITY_ALERTS)
    assert b"MALFORMED_PAYLOAD" in {record.key for record in alerts}
    assert rig.query(topic_prefix, "SELECT count(*) AS n FROM speed.outbox") == [{"n": 0}]


@pytest.mark.slow
def test_ten_thousand_poisoned_records_among_as_many_orders_cost_no_order(topic_prefix: Settings) -> None:
    random = Random(3)
    sound = [order_record(n, START + timedelta(seconds=n)) for n in range(10_000)]
    poison = [rig.Outgoing(odd.MALFORMED[n % len(odd.MALFORMED)], b"k%d" % (n % 97)) for n in range(9_990)]
    poison += [rig.Outgoing(odd.nested(100_000) if n % 2 else b"{" * 900_000, b"k") for n in range(10)]
    mixed = [*sound, *poison]
    random.shuffle(mixed)
    rig.produce(topic_prefix, mixed)
    stats = rig.run_to_end(topic_prefix)
    wanted = rig.assert_books_are_exact(topic_prefix)
    assert stats.decisions["quarantined"] == 10_000
    assert len(wanted.decisions) == 20_000


def test_messages_that_a_dead_worker_left_behind_are_sent_by_the_next(topic_prefix: Settings) -> None:
    with database.connect(topic_prefix, database.SPEED) as speed:
        for number in range(3):
            speed.execute(
                "INSERT INTO speed.outbox (dedupe_id, topic, key, value) VALUES (%s, %s, %s, %s)",
                (f"left:{number}", QUARANTINED_DATA, b"k", b"v"),
            )
    rig.run_to_end(topic_prefix)
    sent = rig.visible(topic_prefix, QUARANTINED_DATA)
    assert sorted(record.headers["message_id"] for record in sent) == [b"left:0", b"left:1", b"left:2"]
    assert rig.query(topic_prefix, "SELECT count(*) AS n FROM speed.outbox") == [{"n": 0}]


def test_a_message_that_kafka_does_not_take_holds_none_back(topic_prefix: Settings) -> None:
    with database.connect(topic_prefix, database.SPEED) as speed:
        for name, size in (("before", 9), ("large", 1_000_000), ("largest", kafka_client.LARGEST_MESSAGE - 1)):
            speed.execute(
                "INSERT INTO speed.outbox (dedupe_id, topic, key, value) VALUES (%s, %s, %s, %s)",
                (name, QUARANTINED_DATA, b"k", b"v" * size),
            )
    for _ in range(2):
        rig.run_to_end(topic_prefix)
    sent = rig.visible(topic_prefix, QUARANTINED_DATA)
    assert sorted(record.headers["message_id"] for record in sent) == [b"before", b"largest"]
    assert rig.query(topic_prefix, "SELECT dedupe_id FROM speed.outbox") == [{"dedupe_id": "large"}]


def correction(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "correction_id": f"corr-{number}",
        "business_date": "2017-12-21",
        "cube": "orders",
        "cell_start": "2017-12-21T08:00:00Z",
        "key": "",
        "measure": "revenue_cents",
        "stream_value": 100,
        "batch_value": 150,
        "delta": 50,
        "run_id": "2017-12-21.r",
        "reverses": None,
        "emitted_at": "2017-12-22T02:00:00Z",
        **changes,
    }


def send_corrections(settings: Settings, *payloads: dict[str, Any] | bytes) -> None:
    values = [payload if isinstance(payload, bytes) else orders.encode(payload) for payload in payloads]
    rig.produce(settings, [rig.Outgoing(value, b"key") for value in values], topic=CORRECTIONS)


def test_a_correction_is_applied_once_however_often_it_is_delivered(topic_prefix: Settings) -> None:
    rig.produce(topic_prefix, [order_record(n, START) for n in range(4)])
    send_corrections(topic_prefix, correction(1), correction(1), correction(2, delta=-7))
    rig.run_to_end(topic_prefix)
    before = rig.query(topic_prefix, "SELECT sum(revenue_cents)::bigint AS n FROM speed.order_minutes")[0]["n"]
    send_corrections(topic_prefix, correction(2, delta=-7), correction(1))
    rig.run_to_end(topic_prefix)
    hour = rig.query(topic_prefix, "SELECT * FROM serving.speed_order_hours")[0]
    assert (hour["revenue_cents"], hour["revenue_cents_adjusted"]) == (before + 43, 43)
    assert rig.query(topic_prefix, "SELECT count(*) AS n FROM speed.adjustments") == [{"n": 2}]
    assert rig.positions(topic_prefix, CORRECTIONS) == rig.ends(topic_prefix, CORRECTIONS)


def test_a_reversal_behind_many_corrections_is_applied_with_them(topic_prefix: Settings) -> None:
    many = [correction(number, delta=1) for number in range(150)]
    send_corrections(topic_prefix, *many, correction(150, delta=-1, reverses="corr-0"))
    rig.run_to_end(topic_prefix)
    booked = "SELECT count(*) AS n, sum(delta)::bigint AS cents, max(reverses) AS reverses FROM speed.adjustments"
    assert rig.query(topic_prefix, booked) == [{"n": 151, "cents": 149, "reverses": "corr-0"}]


def test_what_is_no_correction_goes_to_quarantine_and_the_others_are_applied(topic_prefix: Settings) -> None:
    bad = [
        b"not json",
        orders.encode(correction(3, measure="no_such_measure")),
        orders.encode(correction(4, cube="products", key="")),
        orders.encode(correction(5, delta=2**63)),
        orders.encode(correction(6, cell_start="2017-12-21T08:00:00")),
        orders.encode(correction(7, run_id="a\0b")),
        orders.encode(correction(9, cell_start="0001-01-01T00:00:00+14:00")),
        orders.encode(correction(10, business_date="0001-01-01")),
        orders.encode(correction(11, delta=2**61)),
    ]
    distinct = correction(8, cube="distinct", measure="unique_customers", cell_start="2017-12-21T00:00:00Z")
    send_corrections(topic_prefix, *bad, correction(1), distinct)
    rig.run_to_end(topic_prefix)
    kept = rig.query(topic_prefix, "SELECT value, reasons FROM speed.quarantine WHERE topic = %(t)s", t=CORRECTIONS)
    assert sorted(row["value"] for row in kept) == sorted(bad)
    assert all(row["reasons"] == [MALFORMED] for row in kept)
    applied = rig.query(topic_prefix, "SELECT correction_id FROM speed.adjustments ORDER BY 1")
    assert [row["correction_id"] for row in applied] == ["corr-1", "corr-8"]


def test_a_topic_that_was_made_anew_does_not_pass_for_the_one_that_was_read(
    topic_prefix: Settings, own_topics: tuple[Topic, ...]
) -> None:
    """With more records than before, all offsets are there: what stands below them would never be read."""
    rig.produce(topic_prefix, [order_record(n, START, partition=2) for n in range(10)])
    rig.run_to_end(topic_prefix)
    local_kafka.delete_topics(topic_prefix, own_topics)
    local_kafka.ensure_topics(topic_prefix, topics=own_topics)
    rig.produce(topic_prefix, [order_record(n, START, partition=2) for n in range(100, 130)])
    with pytest.raises(TandemError, match="order-events is not the one that was read before"):
        rig.run_to_end(topic_prefix)
    assert rig.positions(topic_prefix)[2] == 11
