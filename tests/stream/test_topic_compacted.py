"""Orders in a topic that Kafka compacts: whoever reads it refuses, before anything is booked or archived."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event

import orders
import pytest
import speed_rig as rig
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from shop import archived

from stream.archive import archive
from stream.rebuild import rebuild
from stream.worker import Worker
from tandem.errors import TandemError
from tandem.local import kafka as local_kafka
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS, Topic

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

START = datetime(2017, 12, 21, 20, tzinfo=UTC)


def clean_up_by(settings: Settings, policy: str) -> None:
    setting = ConfigEntry("cleanup.policy", policy, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, settings.topic(ORDER_EVENTS), incremental_configs=[setting])
    admin = AdminClient({"bootstrap.servers": settings.brokers})  # kept until the answer: without it that is lost
    for changed in admin.incremental_alter_configs([resource]).values():
        changed.result(120)


def refusal(settings: Settings, policy: str) -> str:
    return (
        f"topic {settings.topic(ORDER_EVENTS)} has cleanup.policy={policy}: Kafka deletes all orders of a customer but"
        " the last: set its cleanup.policy to delete; see 'A topic that is compacted' in docs/archive.md"
    )


def sell(settings: Settings) -> None:
    made = [orders.order(f"e{n}", START + timedelta(minutes=n), orders.line("p", 100)) for n in range(10)]
    rig.produce(settings, [rig.Outgoing(orders.encode(each), b"c", 2) for each in made])


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_neither_layer_nor_up_takes_it_and_put_right_all_counts(
    topic_prefix: Settings, own_topics: tuple[Topic, ...], policy: str
) -> None:
    own = topic_prefix
    sell(own)
    clean_up_by(own, policy)
    takes: dict[str, Callable[[], object]] = {
        "worker": lambda: Worker(own, Event()).run(until_caught_up=True),
        "archiver": lambda: archive(own, stop=Event(), until_caught_up=True),
        "rebuild": lambda: rebuild(own, date(2017, 12, 21), swap=False, say=lambda _: None),
        "up": lambda: local_kafka.ensure_topics(own, topics=own_topics),
    }
    said = {}
    for who, take in takes.items():
        try:
            take()
        except TandemError as error:
            said[who] = str(error)
    assert said == dict.fromkeys(takes, refusal(own, policy))
    assert rig.query(own, "SELECT count(*) AS n FROM speed.partitions") == [{"n": 0}]
    assert not Path(own.archive).exists() or archived(own) == []

    clean_up_by(own, "delete")
    rig.run_to_end(own)
    archive(own, stop=Event(), until_caught_up=True)
    assert rig.query(own, "SELECT sum(order_count)::bigint AS n FROM speed.order_minutes") == [{"n": 10}]
    assert len(archived(own)) == 10
