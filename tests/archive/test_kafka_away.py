"""An archiver outlives its servers: it waits, says so, and goes on."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from installations import installations
from running import Running, wait_for
from shop import Shop, archived, ends, visible

from stream.archive import next_offsets
from tandem.local import kafka, postgres, process
from tandem.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def own_broker() -> Iterator[Settings]:
    """An installation whose broker the test starts and kills."""
    for own in installations(archive_batch_linger=timedelta(milliseconds=500)):
        postgres.start(own)
        yield own


def test_an_archiver_waits_for_kafka_and_says_so(own_broker: Settings, tmp_path: Path):
    archiver = Running(own_broker, tmp_path / "archiver.log")
    wait_for(lambda: archiver.says("waiting_for_kafka") > 0)

    kafka.start(own_broker)
    Shop(own_broker).sell(500)
    wait_for(lambda: next_offsets(own_broker) == ends(own_broker))

    waited = archiver.says("waiting_for_kafka")
    process.find(own_broker, kafka.NAME).kill()
    wait_for(lambda: archiver.says("waiting_for_kafka") > waited)
    kafka.start(own_broker)
    Shop(own_broker).sell(500)
    wait_for(lambda: next_offsets(own_broker) == ends(own_broker))

    assert archiver.end() == 0
    assert len(visible(own_broker)) == 1_000
    assert archived(own_broker) == visible(own_broker)


def test_an_archiver_that_waits_for_kafka_can_be_stopped(own_broker: Settings, tmp_path: Path):
    archiver = Running(own_broker, tmp_path / "archiver.log")
    wait_for(lambda: archiver.says("waiting_for_kafka") > 0)
    assert archiver.end() == 0


def test_an_archiver_waits_for_a_storage_that_takes_nothing_and_says_so(own_broker: Settings, tmp_path: Path):
    """As a disk that is full. It keeps no other archiver waiting; stopped, it ends; and one that may write goes on."""
    kafka.start(own_broker)
    Shop(own_broker).sell(3_000, days=1)
    stopped, archiver = (waiting_for_storage(own_broker, tmp_path / f"{nth}.log") for nth in ("first", "second"))
    assert stopped.end() == 0
    assert archived(own_broker) == []

    resource.prlimit(archiver.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_for(lambda: next_offsets(own_broker) == ends(own_broker))
    assert archiver.end() == 0
    assert len(visible(own_broker)) == 3_000
    assert archived(own_broker) == visible(own_broker)


def waiting_for_storage(settings: Settings, log: Path) -> Running:
    """An archiver whose files may not grow beyond what its log needs."""
    archiver = Running(settings, log)
    resource.prlimit(archiver.process.pid, resource.RLIMIT_FSIZE, (16_384, resource.RLIM_INFINITY))
    wait_for(lambda: archiver.says("waiting_for_storage") > 0)
    return archiver


def test_an_archiver_waits_for_postgres_to_say_in_which_zone_the_dates_are(own_broker: Settings, tmp_path: Path):
    kafka.start(own_broker)
    Shop(own_broker).sell(500)
    process.stop(own_broker, postgres.NAME)
    archiver = Running(own_broker, tmp_path / "archiver.log")
    wait_for(lambda: archiver.says("waiting_for_postgres") > 0)
    postgres.start(own_broker)
    wait_for(lambda: next_offsets(own_broker) == ends(own_broker))
    assert archiver.end() == 0
    assert archived(own_broker) == visible(own_broker)
