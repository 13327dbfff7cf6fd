"""The speed worker and the archiver as local parts."""

from __future__ import annotations

import sys
import time

from tandem.local import process
from tandem.local.service import Service
from tandem.settings import PROJECT_ROOT, Settings

_SETTLED_S = 2.0
"""A worker that still runs this long after its start has found its settings, topics and tables."""


def _worker(name: str, *command: str) -> Service:
    def start(settings: Settings) -> None:
        if process.find(settings, name) is None:
            argv = (sys.executable, "-m", *command)
            process.start(settings, process.Program(name=name, argv=argv, cwd=PROJECT_ROOT))
        process.wait_until_ready(settings, name, lambda: is_ready(settings), timeout_s=60)

    def is_ready(settings: Settings) -> bool:
        found = process.find(settings, name)
        return found is not None and time.time() - found.create_time() >= _SETTLED_S

    def address(settings: Settings) -> str:
        return f"reads {settings.brokers}"

    return Service(name=name, start=start, is_ready=is_ready, address=address, needs=("postgres", "kafka"))


SPEED = _worker("speed", "stream")
ARCHIVER = _worker("archiver", "tandem", "archive")
