"""The disk of a broker of one's own, which can be set back as to a backup."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from installations import free_ports, installations
from shop import Shop

from tandem.local import kafka, postgres, process
from tandem.settings import Settings

KEPT, LOST = 20, 30
"""Orders that the backup has, and records that came after it."""


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
        """With so many records sent to it where nobody hears of it."""
        process.stop(self.own, kafka.NAME)
        shutil.rmtree(self._data)
        self._backup.rename(self._data)
        if new:
            aside = self.own.model_copy(update={"kafka_port": free_ports(1)[0]})
            kafka.start(aside)
            for count in new:
                send_new(aside, count)
            process.stop(aside, kafka.NAME)
        kafka.start(self.own)


def send_new(own: Settings, count: int) -> None:
    """Records that are none of those that were lost."""
    Shop(own, f"shop-{count}").send([b"[]"] * count, partition=0)


def disks() -> Iterator[Disk]:
    """One of a broker that has KEPT orders, for as long as the fixture that yields it."""
    for own in installations():
        postgres.start(own)
        kafka.start(own)
        Shop(own).sell(KEPT)
        yield Disk(own)
