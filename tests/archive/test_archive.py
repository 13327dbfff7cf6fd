"""The archiver on a real broker: every visible record, as it came, once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from deltalake import DeltaTable
from installations import keeping_books_in
from shop import NOON, Shop, archived, ends, order, visible

from spark_jobs.archive import look
from stream.archive import Archiver, Totals, archive, next_offsets, wait_until
from stream.archive_source import Ending
from stream.archive_table import SCHEMA, MasterDataset, Move
from stream.archive_verify import verify
from tandem.errors import TandemError
from tandem.local import kafka as local_kafka
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS, Topic

pytestmark = pytest.mark.integration


def catch_up(settings: Settings) -> Totals:
    return archive(settings, stop=threading.Event(), until_caught_up=True)


@pytest.fixture
def shop(topic_prefix: Settings) -> Shop:
    return Shop(topic_prefix)


def test_every_record_is_archived_as_it_came(topic_prefix: Settings, shop: Shop):
    shop.sell(2_000)
    assert catch_up(topic_prefix).events == 2_000
    assert archived(topic_prefix) == visible(topic_prefix)


def test_what_cannot_be_read_is_archived_byte_for_byte(topic_prefix: Settings, shop: Shop):
    odd = [b"\xff\xfe\x00", b"", None, b'{"event_time":', b"[1, 2]", b"\x00" * 1_000, bytes(range(256))]
    shop.send(odd, keys=[b"\xff", b"", None, b"k", None, b"\x00", b"k"], partition=3)
    catch_up(topic_prefix)
    assert [record.value for record in archived(topic_prefix)] == odd
    assert [record.key for record in archived(topic_prefix)] == [b"\xff", b"", None, b"k", None, b"\x00", b"k"]
    dates = pl.scan_delta(topic_prefix.archive).select("business_date").unique().collect()
    assert dates["business_date"].to_list() == ["unknown"]


def test_aborted_records_are_never_archived(topic_prefix: Settings, shop: Shop):
    shop.sell(100)
    shop.sell(100, commit=False)
    shop.sell(100)
    catch_up(topic_prefix)
    assert archived(topic_prefix) == visible(topic_prefix)
    assert len(visible(topic_prefix)) == 200


def test_the_archive_reaches_the_end_of_the_log_though_the_last_offsets_are_markers(topic_prefix: Settings, shop: Shop):
    shop.sell(50)
    shop.sell(50, commit=False)
    catch_up(topic_prefix)
    assert next_offsets(topic_prefix) == ends(topic_prefix)
    assert sum(next_offsets(topic_prefix).values()) > 100


def test_a_marker_alone_moves_the_archive(topic_prefix: Settings, shop: Shop):
    shop.sell(50)
    catch_up(topic_prefix)
    shop.send([order(1)], partition=5, commit=False)
    catch_up(topic_prefix)
    assert next_offsets(topic_prefix) == ends(topic_prefix)


def test_nothing_is_committed_while_nothing_comes(topic_prefix: Settings, shop: Shop):
    shop.sell(50)
    catch_up(topic_prefix)
    before = verify(topic_prefix).version
    assert catch_up(topic_prefix).commits == 0
    quick = topic_prefix.model_copy(update={"archive_batch_linger": timedelta(milliseconds=50)})
    stop = threading.Event()
    threading.Timer(2, stop.set).start()
    assert archive(quick, stop=stop).commits == 0
    assert verify(topic_prefix).version == before


def test_nothing_behind_an_open_transaction_is_archived(topic_prefix: Settings, shop: Shop):
    shop.begin(order(1), partition=0)
    Shop(topic_prefix, "other").send([order(2)], partition=0, wait=False)
    stop = threading.Event()
    threading.Timer(3, stop.set).start()
    archive(topic_prefix, stop=stop)
    assert archived(topic_prefix) == []
    shop.abort()


def test_catching_up_waits_until_open_transactions_are_decided(topic_prefix: Settings, shop: Shop):
    shop.begin(order(1), partition=0)
    Shop(topic_prefix, "other").send([order(2)], partition=0, wait=False)
    decided = threading.Timer(3, shop.abort)
    decided.start()
    catch_up(topic_prefix)
    decided.join()
    assert [record.value for record in archived(topic_prefix)] == [order(2)]


def test_an_event_lies_under_its_date_in_the_business_time_zone(topic_prefix: Settings, shop: Shop):
    berlin = topic_prefix.model_copy(update={"business_timezone": "Europe/Berlin"})
    shop.send(
        [order(1, datetime(2017, 12, 23, 22, 59, 59, tzinfo=UTC)), order(2, datetime(2017, 12, 23, 23, tzinfo=UTC))]
    )
    with keeping_books_in(berlin, "Europe/Berlin", "USD"):
        catch_up(berlin)
    held = pl.scan_delta(berlin.archive).sort("value").select("value", "business_date").collect()
    assert held["business_date"].to_list() == ["2017-12-23", "2017-12-24"]


def test_an_event_from_the_future_is_archived_under_an_unknown_date(topic_prefix: Settings, shop: Shop):
    now = datetime.now(UTC)
    shop.send([order(1, now + timedelta(hours=26)), order(2, NOON)])
    catch_up(topic_prefix)
    held = pl.scan_delta(topic_prefix.archive).sort("value").select("business_date").collect()
    assert held["business_date"].to_list() == ["unknown", "2017-12-23"]


def test_a_batch_holds_no_more_events_than_the_limit(topic_prefix: Settings, shop: Shop):
    shop.sell(3_500, days=1)
    catch_up(topic_prefix.model_copy(update={"archive_batch_max_events": 1_000}))
    rows = DeltaTable(topic_prefix.archive).get_add_actions(flatten=True)["num_records"].to_pylist()
    assert sum(rows) == 3_500
    assert max(rows) == 1_000
    assert archived(topic_prefix) == visible(topic_prefix)


def test_a_batch_is_committed_when_it_is_large_in_bytes(topic_prefix: Settings, shop: Shop):
    shop.sell(15_000, days=1)
    assert catch_up(topic_prefix.model_copy(update={"archive_batch_max_bytes": 100_000})).commits >= 3
    assert archived(topic_prefix) == visible(topic_prefix)


def test_wait_until_archives_where_nobody_else_does(topic_prefix: Settings, shop: Shop):
    shop.sell(500)
    wait_until(topic_prefix, ends(topic_prefix), timedelta(seconds=60))
    assert archived(topic_prefix) == visible(topic_prefix)


def test_wait_until_returns_at_once_where_the_archive_holds_it(topic_prefix: Settings, shop: Shop):
    shop.sell(10)
    catch_up(topic_prefix)
    assert wait_until(topic_prefix, ends(topic_prefix), timedelta(0)).commits == 0


def test_wait_until_says_how_far_the_archive_is_behind(topic_prefix: Settings, shop: Shop):
    shop.sell(10)
    beyond = {partition: end + 7 for partition, end in ends(topic_prefix).items() if partition == 0}
    with pytest.raises(TandemError, match=r"\d+ offsets behind after 1 s"):
        wait_until(topic_prefix, beyond, timedelta(seconds=1))


def test_the_schema_is_the_published_one(topic_prefix: Settings, shop: Shop):
    catch_up(topic_prefix)
    assert pl.scan_delta(topic_prefix.archive).collect_schema().names() == SCHEMA.names


def delete_from_kafka(settings: Settings, below: dict[int, int]) -> None:
    """What retention does to old records."""
    topic = settings.topic(ORDER_EVENTS)
    admin = AdminClient({"bootstrap.servers": settings.brokers})
    deleted = admin.delete_records([TopicPartition(topic, p, offset) for p, offset in below.items()])
    for low in deleted.values():
        low.result()


def test_records_that_expired_unread_are_an_error_and_never_skipped(topic_prefix: Settings, shop: Shop):
    shop.sell(300)
    catch_up(topic_prefix)
    before = verify(topic_prefix)
    shop.sell(300)
    delete_from_kafka(topic_prefix, ends(topic_prefix))
    shop.sell(300)
    with pytest.raises(TandemError, match=r"next offset of partition \d+ is not in Kafka"):
        catch_up(topic_prefix)
    assert verify(topic_prefix).events == before.events


def test_a_topic_that_was_made_anew_is_not_archived_behind_the_old_one(
    topic_prefix: Settings, own_topics: tuple[Topic, ...], shop: Shop
):
    shop.sell(300)
    catch_up(topic_prefix)
    before = verify(topic_prefix)
    local_kafka.delete_topics(topic_prefix, own_topics)
    local_kafka.ensure_topics(topic_prefix, topics=own_topics)
    Shop(topic_prefix).sell(900)
    with pytest.raises(TandemError, match="order-events is not the one that was read before"):
        catch_up(topic_prefix)
    assert verify(topic_prefix).events == before.events


def test_a_partition_that_was_empty_at_first_cannot_expire_unnoticed(topic_prefix: Settings, shop: Shop):
    catch_up(topic_prefix)
    shop.send([order(1)], partition=4)
    delete_from_kafka(topic_prefix, {4: ends(topic_prefix)[4]})
    with pytest.raises(TandemError, match="next offset of partition 4 is not in Kafka"):
        catch_up(topic_prefix)


def test_an_archive_that_begins_late_begins_at_the_first_record_there_is(topic_prefix: Settings, shop: Shop):
    shop.sell(300)
    delete_from_kafka(topic_prefix, ends(topic_prefix))
    shop.sell(300)
    assert catch_up(topic_prefix).events == 300
    assert archived(topic_prefix) == visible(topic_prefix)
    whole_from = look(topic_prefix).whole_from
    assert whole_from is not None
    assert whole_from > datetime.now(UTC).date()


def test_an_archiver_that_loses_a_commit_goes_on_where_the_winner_ended(
    topic_prefix: Settings, shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    """The winner commits the same records just after the loser has looked and just before it commits."""
    shop.sell(1_000)
    archiver = Archiver(topic_prefix, Ending())
    loser = archiver._dataset

    def be_overtaken(events: pa.Table, moves: dict[int, Move]) -> None:
        monkeypatch.undo()
        winner = MasterDataset.find_or_create(topic_prefix.archive, ORDER_EVENTS)
        winner.append(events, moves)
        with monkeypatch.context() as blind:
            blind.setattr(loser, "refresh", lambda: None)
            loser.append(events, moves)

    monkeypatch.setattr(loser, "append", be_overtaken)
    totals = archiver.run_until_caught_up()
    assert totals.events < 1_000
    assert archived(topic_prefix) == visible(topic_prefix)
    assert next_offsets(topic_prefix) == ends(topic_prefix)
