"""The speed worker and the archiver as local parts."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tandem.local import kafka, process
from tandem.local.service import Service
from tandem.settings import PROJECT_ROOT, Settings


def _worker(name: str, command: tuple[str, ...], group: Callable[[Settings], str]) -> Service:
    def start(settings: Settings) -> None:
        if process.find(settings, name) is None:
            argv = (sys.executable, "-m", *command)
            process.start(settings, process.Program(name=name, argv=argv, cwd=PROJECT_ROOT))
        process.wait_until_ready(settings, name, lambda: is_ready(settings))

    def is_ready(settings: Settings) -> bool:
        return process.find(settings, name) is not None and kafka.has_members(settings, group(settings))

    def address(settings: Settings) -> str:
        return f"reads {settings.brokers}"

    return Service(name=name, start=start, is_ready=is_ready, address=address, needs=("postgres", "kafka"))


SPEED = _worker("speed", ("stream",), lambda settings: settings.consumer_group)
ARCHIVER = _worker("archiver", ("tandem", "archive"), lambda settings: settings.topic(settings.archive_group))
