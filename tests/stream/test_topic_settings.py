"""Topics that exist: on brokers that are somebody's they stay as they are, and locally nothing is kept less long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from tandem.local import kafka as local_kafka
from tandem.settings import Settings
from tandem.topics import CORRECTIONS, DATA_QUALITY_ALERTS, HIGH_VALUE_CUSTOMERS, ORDER_EVENTS, REVENUE_METRICS, TOPICS

DAY = 24 * 60 * 60 * 1000
OLD = {
    ORDER_EVENTS: {"retention.ms": str(7 * DAY), "min.insync.replicas": "3", "segment.ms": str(DAY)},
    CORRECTIONS: {"retention.ms": str(DAY)},
    DATA_QUALITY_ALERTS: {"retention.ms": str(DAY)},
    REVENUE_METRICS: {"cleanup.policy": "compact", "retention.ms": "-1"},
}
THERE = tuple(topic for topic in TOPICS if topic.name in OLD)
DECLARED = (*THERE, *(topic for topic in TOPICS if topic.name == HIGH_VALUE_CUSTOMERS))


@pytest.fixture
def own(kafka: Settings) -> Iterator[Settings]:
    named = kafka.model_copy(update={"topic_prefix": f"t{uuid4().hex[:8]}-"})
    yield named
    local_kafka.delete_topics(named, DECLARED)


@pytest.fixture
def somebodys(own: Settings) -> Settings:
    """The same broker, as one that Tandem has not started."""
    return own.model_copy(update={"kafka_bootstrap": own.brokers})


def make_old(somebodys: Settings) -> None:
    local_kafka.ensure_topics(somebodys, [replace(topic, replication=1, config=OLD[topic.name]) for topic in THERE])


def described(own: Settings) -> dict[str, dict[str, str]]:
    admin = AdminClient({"bootstrap.servers": own.brokers})
    asked = {ConfigResource(ResourceType.TOPIC, own.topic(name)): name for name in OLD}
    answers = admin.describe_configs(list(asked)).items()
    return {asked[topic]: {key: entry.value for key, entry in said.result().items()} for topic, said in answers}


@pytest.mark.integration
def test_on_somebodys_brokers_topics_stay_as_they_are_and_what_differs_is_said(
    somebodys: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    make_old(somebodys)
    before = described(somebodys)
    local_kafka.ensure_topics(somebodys, THERE)
    said = capsys.readouterr().err
    local_kafka.ensure_topics(somebodys, DECLARED)  # with one that is missing: once it is there, all before it shows
    assert described(somebodys) == before
    assert said.startswith("tandem: topics left as they are: ")
    assert said.count("\n") == 1
    assert f"{somebodys.topic(CORRECTIONS)} retention.ms={DAY} (declared -1)" in said
    assert f"{somebodys.topic(ORDER_EVENTS)} retention.ms" not in said, "kept longer, which harms nobody"


@pytest.mark.integration
def test_on_somebodys_brokers_missing_topics_are_made_as_declared_with_as_many_replicas_as_the_brokers_say(
    somebodys: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    local_kafka.ensure_topics(somebodys, DECLARED)
    now = described(somebodys)
    for topic in THERE:
        # This broker is alone, so that two in-sync replicas would refuse every message.
        declared = topic.config | {"message.timestamp.type": "LogAppendTime", "min.insync.replicas": "1"}
        assert now[topic.name] | declared == now[topic.name]
    local_kafka.ensure_topics(somebodys, DECLARED)
    assert capsys.readouterr().err == ""


@pytest.mark.integration
def test_locally_topics_are_brought_into_line_and_nothing_is_kept_less_long(own: Settings, somebodys: Settings) -> None:
    make_old(somebodys)
    local_kafka.ensure_topics(own, DECLARED)
    wanted = {
        ORDER_EVENTS: ("delete", str(7 * DAY), "1"),
        CORRECTIONS: ("delete", "-1", "1"),
        DATA_QUALITY_ALERTS: ("delete", str(7 * DAY), "1"),
        REVENUE_METRICS: ("compact", "-1", "1"),
    }
    # A broker hears of a change that its quorum has acknowledged a moment later.
    for _ in range(300):
        now = described(own)
        keys = ("cleanup.policy", "retention.ms", "min.insync.replicas")
        found = {name: tuple(now[name][key] for key in keys) for name in OLD}
        if found == wanted and now[ORDER_EVENTS]["segment.ms"] == str(DAY // 24):
            return
        time.sleep(0.1)
    assert found == wanted
    assert now[ORDER_EVENTS]["segment.ms"] == str(DAY // 24)


def test_as_many_brokers_as_in_production_are_asked_for_the_in_sync_replicas_of_production() -> None:
    orders = next(topic for topic in THERE if topic.name == ORDER_EVENTS)
    asked = {brokers: orders.config_of(brokers).get("min.insync.replicas") for brokers in (0, 1, 2, 3, 5)}
    assert asked == {0: None, 1: None, 2: None, 3: "2", 5: "2"}
