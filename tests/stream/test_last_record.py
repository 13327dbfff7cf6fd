"""What a worker notes of the last record of each partition, and what it makes of it when it takes one over."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import orders
import pytest
import speed_rig as rig
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from hypothesis import given
from hypothesis import strategies as st
from structlog import wrap_logger
from structlog.testing import LogCapture, ReturnLogger

from stream import session
from stream.rebuild import rebuild
from stream.source import Polled
from stream.types import Records
from tandem import database
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.topics import CORRECTIONS, ORDER_EVENTS

START = datetime(2017, 12, 21, 20, tzinfo=UTC)
REFUSED = (
    "{} partition {} no longer has the record that was read at offset {}: Kafka was set back: nothing of it was read;"
    " see 'What was set back' in docs/archive.md"
)
READ = 12


def on_servers(test: Any) -> Any:
    return pytest.mark.integration(pytest.mark.usefixtures("clean_database")(test))


def records(rows: list[tuple[int, int, int]]) -> Records:
    partitions, offsets, times_ms = ([row[at] for row in rows] for at in range(3))
    return Records(partitions, offsets, times_ms, [None] * len(rows), [None] * len(rows))


rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 99), st.integers(-1, 1 << 62)), unique_by=lambda row: row[:2]
).map(sorted)


@given(rows, rows)
def test_the_last_of_each_partition_is_the_one_with_the_greatest_offset(
    orders_rows: list[tuple[int, int, int]], corrections_rows: list[tuple[int, int, int]]
) -> None:
    expected = {}
    for topic, given_rows in ((ORDER_EVENTS, orders_rows), (CORRECTIONS, corrections_rows)):
        for partition in {row[0] for row in given_rows}:
            offset = max(row[1] for row in given_rows if row[0] == partition)
            (time_ms,) = [row[2] for row in given_rows if row[:2] == (partition, offset)]
            expected[topic, partition] = (offset, time_ms)
    assert Polled(records(orders_rows), records(corrections_rows), {}).last() == expected


def sales(first: int, count: int) -> list[rig.Outgoing]:
    """Every fifth is no order."""
    return [
        rig.Outgoing(
            b"{}" if n % 5 == 4 else orders.encode(orders.order(f"e{n}", START, orders.line("p", 100))), b"c", n % 3
        )
        for n in range(first, first + count)
    ]


def noted(settings: Settings) -> dict[tuple[str, int], tuple[int, int]]:
    found = rig.query(settings, "SELECT topic, partition, last_offset, last_time_ms FROM speed.partitions")
    return {
        (row["topic"], row["partition"]): (row["last_offset"], row["last_time_ms"])
        for row in found
        if row["last_offset"] is not None
    }


def note(settings: Settings, change: str, topic: str = ORDER_EVENTS, partition: int = 2) -> None:
    with database.connect(settings, database.SPEED) as speed:
        changed = speed.execute(
            f"UPDATE speed.partitions SET {change} WHERE topic = %s AND partition = %s", (topic, partition)
        )
        assert changed.rowcount == 1


@pytest.fixture
def own(topic_prefix: Settings) -> Settings:
    """Three partitions are read: orders, what is none, an aborted transaction, and a correction that says nothing."""
    rig.produce(topic_prefix, sales(0, READ))
    rig.produce(topic_prefix, sales(100, 3), commit=False)
    rig.produce(topic_prefix, [rig.Outgoing(b"{}", b"c")], topic=CORRECTIONS)
    rig.settle(topic_prefix, ORDER_EVENTS, CORRECTIONS)
    rig.run_to_end(topic_prefix)
    return topic_prefix


@on_servers
def test_the_last_visible_record_is_noted_whatever_it_is_and_whatever_follows(own: Settings) -> None:
    wanted = {
        (topic, record.partition): (record.offset, record.time_ms)
        for topic in (ORDER_EVENTS, CORRECTIONS)
        for record in rig.visible(own, topic)
    }
    assert noted(own) == wanted
    assert all(rig.positions(own)[partition] > wanted[ORDER_EVENTS, partition][0] + 1 for partition in range(3))

    rig.produce(own, sales(200, 3), commit=False)
    rig.settle(own, ORDER_EVENTS)
    assert rig.run_to_end(own).events == 0
    assert rig.is_caught_up(own)
    assert noted(own) == wanted, "nothing of it can be seen"


@on_servers
@pytest.mark.parametrize("more", [0, 5])
@pytest.mark.parametrize(("topic", "partition"), [(ORDER_EVENTS, 2), (CORRECTIONS, 0)])
def test_another_record_in_its_place_is_refused_before_anything_is_claimed(
    own: Settings, topic: str, partition: int, more: int
) -> None:
    note(own, "last_time_ms = last_time_ms - 1", topic, partition)
    rig.produce(own, sales(300, more))
    before = rig.query(own, "SELECT * FROM speed.partitions ORDER BY topic, partition")
    with pytest.raises(TandemError) as refused:
        rig.run_to_end(own)
    assert str(refused.value) == REFUSED.format(topic, partition, noted(own)[topic, partition][0])
    assert rig.query(own, "SELECT * FROM speed.partitions ORDER BY topic, partition") == before


@on_servers
def test_a_rebuild_reads_nothing_where_another_record_is_in_its_place(own: Settings) -> None:
    note(own, "last_time_ms = last_time_ms - 1")
    with pytest.raises(TandemError) as refused:
        rebuild(own, date(2017, 12, 21), swap=True, say=lambda _: None)
    assert str(refused.value) == REFUSED.format(ORDER_EVENTS, 2, noted(own)[ORDER_EVENTS, 2][0])


@on_servers
def test_what_expired_or_was_never_noted_tells_nothing(own: Settings) -> None:
    note(own, "last_offset = NULL, last_time_ms = NULL", partition=1)
    admin = AdminClient({"bootstrap.servers": own.brokers})
    end = TopicPartition(own.topic(ORDER_EVENTS), 2, rig.positions(own)[2])
    for answer in admin.delete_records([end]).values():
        answer.result(120)
    rig.produce(own, sales(300, 5))
    assert rig.run_to_end(own).events == 5
    assert rig.is_caught_up(own)


@on_servers
def test_a_worker_whose_log_has_lost_its_beginning_says_so_once(
    topic_prefix: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = LogCapture()  # not from what is printed: the first test of a process decides how that is written
    monkeypatch.setattr(session, "_log", wrap_logger(ReturnLogger(), processors=[told]))
    rig.produce(topic_prefix, sales(0, READ))
    admin = AdminClient({"bootstrap.servers": topic_prefix.brokers})
    for answer in admin.delete_records([TopicPartition(topic_prefix.topic(ORDER_EVENTS), 1, 2)]).values():
        answer.result(120)
    assert rig.run_to_end(topic_prefix).events == READ - 2
    (said,) = (entry for entry in told.entries if entry["event"] == "begins_after_expired_events")
    assert said["first_offsets"] == {"order-events:1": 2}
    told.entries.clear()
    rig.produce(topic_prefix, sales(READ, 3))
    assert rig.run_to_end(topic_prefix).events == 3
    assert told.entries, "nothing at all was heard, so that the silence below tells nothing"
    assert not [entry for entry in told.entries if entry["event"] == "begins_after_expired_events"]


@on_servers
def test_what_a_topic_that_is_compacted_lacks_tells_nothing(own: Settings) -> None:
    note(own, "last_offset = last_offset + 1", CORRECTIONS, 0)  # the marker of its transaction: no record is there
    with pytest.raises(TandemError, match="Kafka was set back"):
        rig.run_to_end(own)
    policy = ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET)
    topic = ConfigResource(ResourceType.TOPIC, own.topic(CORRECTIONS), incremental_configs=[policy])
    admin = AdminClient({"bootstrap.servers": own.brokers})
    for answer in admin.incremental_alter_configs([topic]).values():
        answer.result(120)
    rig.produce(own, sales(300, 5))
    assert rig.run_to_end(own).events == 5
