"""An archiver as a process, and what it logs."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from shop import start_archiver

from tandem.settings import Settings


def wait_for(condition: Callable[[], bool], timeout_s: float = 400) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


class Running:
    """``tandem archive`` with these settings, its log in a file. Ended with the test, whatever becomes of that."""

    every: ClassVar[list[Running]] = []

    def __init__(self, settings: Settings, log: Path, *options: str) -> None:
        self._log = log
        with log.open("ab") as output:
            self.process = start_archiver(settings, *options, log=output)
        self.every.append(self)

    def says(self, event: str) -> int:
        """How often the log names the event."""
        return self._log.read_text().count(event)

    def kill(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Its exit status after SIGTERM, or as it ended by itself."""
        self.process.terminate()
        return self.process.wait(300)
