from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from running import Running


@pytest.fixture(autouse=True)
def _no_archiver_outlives_its_test() -> Iterator[None]:
    yield
    while Running.every:
        archiver = Running.every.pop()
        archiver.kill(signal.SIGKILL)
        archiver.process.wait(10)
        if archiver.process.stdout:
            archiver.process.stdout.close()
