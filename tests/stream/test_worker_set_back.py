"""A broker whose disk was set back, as to a backup: a worker counts nothing behind records that Kafka no longer has."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
import speed_rig as rig
from installations import free_ports, installations
from shop import Shop, ends

from tandem.errors import TandemError
from tandem.local import kafka, postgres, process
from tandem.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

KEPT, LOST = 20, 30
REFUSED = "order-events partition 0 no longer has the record that was read at offset"
EPOCHS = "SELECT topic, partition, epoch FROM speed.partitions ORDER BY 1, 2"


@dataclass
class Disk:
    """That of the broker, and the backup of it."""

    own: Settings

    def __post_init__(self) -> None:
        self._data, self._backup = self.own.state_dir / "kafka", self.own.state_dir / "kafka.backup"

    def back_up(self) -> None:
        process.stop(self.own, kafka.NAME)
        shutil.copytree(self._data, self._backup)
        kafka.start(self.own)

    def set_back(self, *new: int) -> None:
        """Where nobody hears of it, until as many new records are there; leaves the broker stopped."""
        process.stop(self.own, kafka.NAME)
        shutil.rmtree(self._data)
        self._backup.rename(self._data)
        aside = self.own.model_copy(update={"kafka_port": free_ports(1)[0]})
        kafka.start(aside)
        for count in new:
            send_new(aside, count)
        process.stop(aside, kafka.NAME)


def send_new(own: Settings, count: int) -> None:
    Shop(own, f"shop-{count}").send([b"[]"] * count, partition=0)


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Of a broker of one's own that has KEPT orders."""
    for own in installations():
        postgres.start(own)
        kafka.start(own)
        Shop(own).sell(KEPT)
        yield Disk(own)


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
    kafka.start(own)
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
        kafka.start(own)
        rig.wait_for(lambda: worker.poll() is not None or read(own) != before, "the worker to end", 120)
        assert (read(own), rig.query(own, EPOCHS)) == (before, epochs)
        said = "".join(worker.communicate(timeout=60))
    assert REFUSED in said
    assert worker.returncode == 2
