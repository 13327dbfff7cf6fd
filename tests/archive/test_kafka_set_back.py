"""A broker whose disk was set back, as to a backup: it gives offsets that were read once more, to other records."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator

import pytest
from installations import installations
from shop import Shop, archived, ends

from stream.archive import archive, next_offsets
from tandem.errors import TandemError
from tandem.local import kafka, postgres, process
from tandem.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.slow]

KEPT, LOST = 20, 30


@pytest.fixture
def own_broker() -> Iterator[Settings]:
    """An installation whose broker the test stops and sets back."""
    for own in installations():
        postgres.start(own)
        yield own


def catch_up(settings: Settings) -> int:
    return archive(settings, stop=threading.Event(), until_caught_up=True).events


def test_nothing_is_archived_behind_records_that_kafka_no_longer_has(own_broker: Settings) -> None:
    """With fewer records than it had, as many, and more: then the next offset is there, and is not the next record."""
    kafka.start(own_broker)
    Shop(own_broker).sell(KEPT)
    assert catch_up(own_broker) == KEPT
    process.stop(own_broker, kafka.NAME)
    disk, backup = own_broker.state_dir / "kafka", own_broker.state_dir / "kafka.backup"
    shutil.copytree(disk, backup)
    kafka.start(own_broker)
    assert catch_up(own_broker) == 0, "the same records are still there"
    Shop(own_broker).send([b"{}"] * LOST, partition=0)
    assert catch_up(own_broker) == LOST
    before = archived(own_broker), next_offsets(own_broker)

    process.stop(own_broker, kafka.NAME)
    shutil.rmtree(disk)
    backup.rename(disk)
    kafka.start(own_broker)
    for new in (1, LOST - 1, LOST):
        Shop(own_broker, f"shop-{new}").send([b"[]"] * new, partition=0)
        with pytest.raises(TandemError, match=r"order-events partition 0 .* Kafka was set back|is not in Kafka"):
            catch_up(own_broker)
        assert (archived(own_broker), next_offsets(own_broker)) == before
    assert ends(own_broker)[0] > next_offsets(own_broker)[0]
