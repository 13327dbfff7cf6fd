"""The session's servers and the isolation between tests."""

from __future__ import annotations

import pytest
from installations import processes_of, read_all, send

from tandem import database
from tandem.settings import Settings, settings

pytestmark = pytest.mark.integration


def test_the_session_settings_are_what_settings_returns(postgres: Settings):
    assert settings() == postgres


@pytest.mark.parametrize("_round", [1, 2])
def test_each_test_that_asks_for_it_gets_empty_books(clean_database: Settings, _round: int):
    with database.connect(clean_database, database.SPEED) as speed:
        (rows,) = speed.execute("SELECT count(*) FROM speed.partitions").fetchone()
        speed.execute("INSERT INTO speed.partitions (topic, partition, next_offset) VALUES ('order-events', 0, 7)")
    assert rows == 0


@pytest.mark.parametrize("_round", [1, 2])
def test_each_test_gets_topics_of_its_own(topic_prefix: Settings, _round: int):
    send(topic_prefix, "order-events", b"only mine")
    assert read_all(topic_prefix, "order-events") == [b"only mine"]


def test_the_broker_runs_with_the_options_of_the_settings(kafka: Settings):
    (broker,) = [each for each in processes_of(kafka) if "kafka.Kafka" in each.cmdline()]
    options = kafka.kafka_java_options.split()
    assert [each for each in broker.cmdline() if each in options] == options != []
