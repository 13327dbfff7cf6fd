"""What an archiver hears of when it leaves its group."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient
from running import wait_for

from stream import archive_source
from tandem import kafka_client
from tandem.settings import Settings

pytestmark = pytest.mark.integration


def has_grant(settings: Settings) -> bool:
    group = archive_source.group_id(settings)
    admin = AdminClient({"bootstrap.servers": settings.brokers})
    try:
        members = admin.describe_consumer_groups([group])[group].result().members
    except KafkaException:  # a broker that has just started does not know its groups yet
        return False
    return any(member.assignment.topic_partitions for member in members)


def test_an_archiver_hears_of_what_it_was_granted_before_it_closes_its_consumer(
    topic_prefix: Settings, monkeypatch: pytest.MonkeyPatch
):
    """librdkafka may wait for itself for ever where it is heard of while the consumer closes."""
    happened = []

    class Closing(Consumer):
        def close(self) -> None:
            happened.append("closed")
            super().close()

    class Hearing(archive_source.Source):
        def _on_assign(self, *arguments) -> None:
            happened.append("heard")
            super()._on_assign(*arguments)

    monkeypatch.setattr(kafka_client, "Consumer", Closing)
    source = Hearing(topic_prefix)
    source.subscribe()
    wait_for(lambda: has_grant(topic_prefix))
    time.sleep(1)  # from the group's answer to the consumer
    source.close()
    assert happened == ["heard", "closed"]
