"""A broker whose disk was set back, as to a backup: a worker counts nothing behind records that Kafka no longer has."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import speed_rig as rig
from broker_disk import KEPT, LOST, Disk, disks, send_new
from shop import Shop, ends

from tandem.errors import TandemError
from tandem.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

REFUSED = "order-events partition 0 no longer has the record that was read at offset"
EPOCHS = "SELECT topic, partition, epoch FROM speed.partitions ORDER BY 1, 2"


@pytest.fixture
def disk() -> Iterator[Disk]:
    yield from disks()


def read(own: Settings) -> list[dict[str, int]]:
    """How far the stream is, and what it has decided."""
    return [
        *rig.query(own, "SELECT topic, partition, next_offset FROM speed.partitions ORDER BY 1, 2"),
        *rig.query(own, "SELECT sum(events)::bigint AS events FROM speed.outcomes"),
    ]


def test_a_worker_that_starts_counts_nothing_behind_records_that_kafka_no_longer_has(disk: Disk) -> None:
    """With fewer records than it had, as many, and more: then the next offset is there, and is not the next record."""
    own = disk.own
    assert rig.run_to_end(own).events == KEPT
    disk.back_up()
    assert rig.run_to_end(own).events == 0, "the same records are still there"
    Shop(own).send([b"{}"] * LOST, partition=0)
    assert rig.run_to_end(own).events == LOST
    before = read(own)

    disk.set_back()
    for new in (1, LOST - 1, LOST):
        send_new(own, new)
        with pytest.raises(TandemError, match=f"{REFUSED}|is not in Kafka"):
            rig.run_to_end(own)
        assert read(own) == before
    assert ends(own)[0] > rig.positions(own)[0]


@contextmanager
def running(own: Settings) -> Iterator[subprocess.Popen[str]]:
    worker = rig.start_worker(own)
    try:
        yield worker
    finally:
        worker.kill()
        worker.communicate()


def test_a_worker_that_runs_counts_nothing_behind_records_that_kafka_no_longer_has(disk: Disk) -> None:
    """It stays a member of its group, which the backup knows: so nothing is granted anew."""
    own = disk.own.model_copy(update={"session_timeout": timedelta(minutes=5)})
    with running(own) as worker:
        rig.wait_for(lambda: rig.is_caught_up(own), "the first orders to be counted")
        disk.back_up()
        Shop(own).send([b"{}"] * LOST, partition=0)
        rig.wait_for(lambda: rig.is_caught_up(own), "the orders that will be lost")
        before, epochs = read(own), rig.query(own, EPOCHS)

        disk.set_back(2 * LOST)
        rig.wait_for(lambda: worker.poll() is not None or read(own) != before, "the worker to end")
        assert (read(own), rig.query(own, EPOCHS)) == (before, epochs)
        said = "".join(worker.communicate(timeout=300))
    assert REFUSED in said
    assert worker.returncode == 2
