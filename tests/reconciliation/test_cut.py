"""The aligned cut, on the real broker and database."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from threading import Timer

import datasketches
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from installations import keeping_books_in

from reconciliation import cut as cuts
from tandem import database, topic_ids, topics
from tandem.errors import TandemError
from tandem.local import kafka as local_kafka
from tandem.settings import Settings
from tests.reconciliation.books import DAY, Order, at, execute, insert, write_speed

pytestmark = pytest.mark.integration
NO_WAIT = timedelta(0)

MILK = Order("o1", 1_000, at(9, 5), "alice", "milk", "dairy", 2)
BREAD = Order("o2", 500, at(9, 55), "bob", "bread", "bakery", 1, partition=3)
LATER = Order("o3", 700, at(17), "alice", "milk", "dairy", 1)
NEXT_DAY = Order("o4", 9_999, at(24), "carol", "milk", "dairy", 9)


def produce(settings: Settings, records: dict[int, int], *, commit: bool = True) -> None:
    """So many records per partition, in one transaction; its marker takes an offset of each partition too."""
    producer = Producer({"bootstrap.servers": settings.brokers, "transactional.id": f"{settings.topic_prefix}shop"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for partition, count in records.items():
        for number in range(count):
            producer.produce(settings.topic(topics.ORDER_EVENTS), str(number).encode(), partition=partition)
    producer.flush(30)
    if commit:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)


def twelve(**known: int) -> dict[int, int]:
    return {partition: known.get(f"p{partition}", 0) for partition in range(12)}


def test_end_offsets_count_transaction_markers_and_name_every_partition(shop):
    produce(shop, {0: 3, 3: 1})
    produce(shop, {3: 2}, commit=False)
    assert cuts.end_offsets(shop) == twelve(p0=4, p3=5)


def test_a_topic_that_was_made_anew_gives_no_cut_at_the_offsets_of_the_old_one(shop, own_topics):
    """With fewer records than before, the speed layer would seem to have read them all."""
    write_speed(shop, [MILK], twelve(p0=30))
    admin = AdminClient({"bootstrap.servers": shop.brokers})
    with database.connect(shop, database.SPEED) as connection:
        topic_ids.note(connection, topic_ids.ids(shop, admin, [topics.ORDER_EVENTS]))
    assert cuts.take(shop, DAY, "r1", timeout=NO_WAIT).comparable
    local_kafka.delete_topics(shop, own_topics)
    local_kafka.ensure_topics(shop, topics=own_topics)
    produce(shop, {0: 3})
    with pytest.raises(TandemError, match="order-events is not the one that was read before"):
        cuts.take(shop, DAY, "r2", timeout=NO_WAIT)


def test_a_partition_that_came_since_kafka_was_asked_is_in_the_cut_as_its_orders_are(shop, monkeypatch):
    """The worker finds it within seconds; the batch layer would read none of it, and the stream's side has it."""
    produce(shop, {0: 3, 3: 1})
    ends, wait = cuts._ask_end_offsets, cuts._wait
    monkeypatch.setattr(cuts, "_ask_end_offsets", lambda *args: {p: end for p, end in ends(*args).items() if p != 3})

    def came(*arguments):
        for partition, offset in twelve(p0=4, p3=2).items():
            insert(shop, "speed.partitions", topic=topics.ORDER_EVENTS, partition=partition, next_offset=offset)
        return wait(*arguments)

    monkeypatch.setattr(cuts, "_wait", came)
    taken = cuts.take(shop, DAY, "r1", timeout=NO_WAIT)
    assert (taken.comparable, taken.offsets) == (True, twelve(p0=4, p3=2))


def test_a_log_that_ends_before_what_was_read_of_it_gives_no_cut(shop):
    """Kafka was set back: what comes at these offsets now would be read by neither layer, and missed by none."""
    produce(shop, {0: 3, 3: 1})
    for partition, offset in twelve(p0=4, p3=4).items():
        insert(shop, "speed.partitions", topic=topics.ORDER_EVENTS, partition=partition, next_offset=offset)
    said = "order-events partition 3 ends at offset 2, and was read up to 4: Kafka was set back"
    with pytest.raises(TandemError, match=said):
        cuts.take(shop, DAY, "r1", timeout=NO_WAIT)
    assert execute(shop, "SELECT count(*) FROM reconciliation.cuts") == [(0,)]
    produce(shop, {3: 1})
    assert cuts.take(shop, DAY, "r1", timeout=NO_WAIT).comparable


def test_the_cut_copies_the_dates_cells_by_hour_at_the_speed_layers_offsets(shop):
    produce(shop, {0: 2, 3: 1})
    write_speed(shop, [MILK, BREAD, LATER, NEXT_DAY], twelve(p0=3, p3=7))
    taken = cuts.take(shop, DAY, "r1", timeout=NO_WAIT)
    assert (taken.comparable, taken.reason, taken.lag) == (True, "", 0)
    assert taken.offsets == twelve(p0=3, p3=7)
    hours = execute(shop, "SELECT cell_start, revenue_cents, order_count, units FROM reconciliation.cut_order_hours")
    assert sorted(hours) == [(at(9), 1_500, 2, 3), (at(17), 700, 1, 1)]
    products = execute(shop, "SELECT cell_start, product_id, units FROM reconciliation.cut_product_hours")
    assert sorted(products) == [(at(9), "bread", 1), (at(9), "milk", 2), (at(17), "milk", 1)]
    categories = execute(shop, "SELECT category, sum(revenue_cents) FROM reconciliation.cut_category_hours GROUP BY 1")
    assert dict(categories) == {"dairy": 1_700, "bakery": 500}
    assert execute(shop, "SELECT measure, value FROM reconciliation.cut_distincts") == [("unique_customers", 2)]


def test_the_cut_counts_the_different_values_of_the_hours_of_the_date(shop):
    write_speed(shop, [MILK], twelve())

    def saw(start: datetime, partition: int, *customers: str) -> None:
        sketch = datasketches.update_theta_sketch()
        for customer in customers:
            sketch.update(customer)
        cell = {"cell_start": start, "rollup": "category_minutes", "key": "dairy", "counted": "customers"}
        content = sketch.compact().serialize()
        insert(shop, "speed.sketches", partition=partition, first_offset=partition, sketch=content, **cell)

    saw(at(9), 0, "alice", "bob")
    saw(at(9), 1, "bob", "carol")
    saw(at(23), 0, "alice")
    saw(at(24), 0, "dan")
    cuts.take(shop, DAY, "r1", timeout=NO_WAIT)
    found = execute(shop, "SELECT cell_start, rollup, key, counted, value FROM reconciliation.cut_hourly_distincts")
    cell = ("category_minutes", "dairy", "customers")
    assert sorted(found) == [(at(9), *cell, 3), (at(23), *cell, 1)]


def test_what_was_adjusted_is_not_in_the_cut(shop):
    write_speed(shop, [MILK], twelve())
    insert(
        shop,
        "speed.adjustments",
        correction_id="c1",
        business_date=DAY,
        cube="orders",
        cell_start=at(9),
        key="",
        measure="revenue_cents",
        delta=77,
        stream_value=1_000,
        batch_value=1_077,
        run_id="r0",
        partition=0,
        offset=0,
    )
    cuts.take(shop, DAY, "r1", timeout=NO_WAIT)
    assert execute(shop, "SELECT revenue_cents FROM reconciliation.cut_order_hours") == [(1_000,)]


def test_a_speed_layer_that_lags_gives_kafkas_offsets_and_a_date_that_cannot_be_compared(shop):
    produce(shop, {0: 5, 3: 1})
    write_speed(shop, [MILK], {0: 4, 3: 2})
    taken = cuts.take(shop, DAY, "r1", timeout=timedelta(seconds=0.5))
    assert (taken.comparable, taken.lag) == (False, 2)
    assert taken.reason == "the speed layer was 2 records behind Kafka"
    assert taken.offsets == twelve(p0=6, p3=2)
    assert execute(shop, "SELECT count(*) FROM reconciliation.cut_order_hours") == [(0,)]


def test_the_cut_waits_for_what_kafka_held_when_it_was_asked(shop):
    produce(shop, {0: 1})
    write_speed(shop, [MILK], {0: 0})
    catch_up = Timer(0.7, execute, (shop, "UPDATE speed.partitions SET next_offset = 2"))
    catch_up.start()
    try:
        taken = cuts.take(shop, DAY, "r1", timeout=timedelta(seconds=20))
    finally:
        catch_up.join()
    assert taken.comparable
    assert taken.offsets[0] == 2


def test_the_cuts_of_a_range_wait_once_for_a_speed_layer_that_hangs(shop):
    produce(shop, {0: 2})
    patient = shop.model_copy(update={"cut_timeout": timedelta(seconds=2)})
    began = time.monotonic()
    taken = cuts.take_each(patient, [(DAY + timedelta(days=n), f"r{n}") for n in range(20)])
    assert [(cut.run_id, cut.comparable) for cut in taken] == [(f"r{n}", False) for n in range(20)]
    assert time.monotonic() - began < 20 * 2, "it waited for each"


def test_a_run_has_one_cut_however_often_it_is_taken(shop):
    write_speed(shop, [MILK], twelve())
    first = cuts.take(shop, DAY, "r1", timeout=NO_WAIT)
    write_speed(shop, [LATER.again(customer="bob")])
    assert cuts.take(shop, DAY, "r1", timeout=NO_WAIT) == first
    assert execute(shop, "SELECT sum(revenue_cents) FROM reconciliation.cut_order_hours") == [(1_000,)]


def test_a_run_id_belongs_to_one_date(shop):
    cuts.take(shop, DAY, "r1", timeout=NO_WAIT)
    with pytest.raises(TandemError, match="use another run id"):
        cuts.take(shop, DAY + timedelta(days=1), "r1", timeout=NO_WAIT)


def test_hours_are_those_of_the_business_time_zone(shop):
    kolkata = shop.model_copy(update={"business_timezone": "Asia/Kolkata"})
    write_speed(shop, [MILK], twelve())  # 09:05 UTC is 14:35 there, in the hour that began at 08:30 UTC
    with keeping_books_in(kolkata, "Asia/Kolkata", "USD"):
        cuts.take(kolkata, DAY, "r1", timeout=NO_WAIT)
    assert execute(shop, "SELECT cell_start FROM reconciliation.cut_order_hours") == [(at(8, 30),)]


def test_run_ids_name_date_and_instant_and_never_repeat():
    now = datetime(2017, 12, 24, 2, tzinfo=UTC)
    ids = {cuts.new_run_id(DAY, now) for _ in range(100)}
    assert len(ids) == 100
    assert all(run_id.startswith("2017-12-23.20171224T020000Z.") for run_id in ids)


def test_a_broker_that_is_away_is_one_line_that_says_what_to_do(platform_settings):
    away = platform_settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:1"})
    with pytest.raises(TandemError, match="run 'tandem up'"):
        cuts.end_offsets(away, timeout_s=1)


def test_a_topic_that_does_not_exist_is_an_error_and_not_an_empty_cut(kafka):
    with pytest.raises(TandemError, match="Unknown topic"):
        cuts.end_offsets(kafka.model_copy(update={"topic_prefix": "nobody-made-"}), timeout_s=2)
