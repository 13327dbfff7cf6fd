"""A broker whose disk was set back, as to a backup: it gives offsets that were read once more, to other records."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from broker_disk import KEPT, LOST, Disk, disks, send_new
from running import Running, wait_for
from shop import Shop, archived, ends

from stream.archive import archive, next_offsets
from tandem.errors import TandemError
from tandem.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def disk() -> Iterator[Disk]:
    yield from disks()


def catch_up(settings: Settings) -> int:
    return archive(settings, stop=threading.Event(), until_caught_up=True).events


def test_nothing_is_archived_behind_records_that_kafka_no_longer_has(disk: Disk) -> None:
    """With fewer records than it had, as many, and more: then the next offset is there, and is not the next record."""
    own = disk.own
    assert catch_up(own) == KEPT
    disk.back_up()
    assert catch_up(own) == 0, "the same records are still there"
    Shop(own).send([b"{}"] * LOST, partition=0)
    assert catch_up(own) == LOST
    before = archived(own), next_offsets(own)

    disk.set_back()
    for new in (1, LOST - 1, LOST):
        send_new(own, new)
        with pytest.raises(TandemError, match=r"order-events partition 0 .* Kafka was set back|is not in Kafka"):
            catch_up(own)
        assert (archived(own), next_offsets(own)) == before
    assert ends(own)[0] > next_offsets(own)[0]


def test_an_archiver_that_runs_archives_nothing_behind_records_that_kafka_no_longer_has(
    disk: Disk, tmp_path: Path
) -> None:
    """It stays a member of its group, which the backup knows: so nothing is granted anew."""
    patient = {"session_timeout": timedelta(minutes=5), "archive_batch_linger": timedelta(milliseconds=100)}
    own = disk.own.model_copy(update=patient)
    archiver = Running(own, tmp_path / "log")
    wait_for(lambda: next_offsets(own) == ends(own))
    disk.back_up()
    Shop(own).send([b"{}"] * LOST, partition=0)
    wait_for(lambda: next_offsets(own) == ends(own))
    before = archived(own), next_offsets(own)
    disk.set_back(2 * LOST)
    wait_for(lambda: archiver.process.poll() is not None or next_offsets(own) != before[1])
    assert (archived(own), next_offsets(own)) == before
    assert archiver.process.wait(300) == 2
    assert archiver.says("order-events partition 0 no longer has the record that was read at offset") == 1
