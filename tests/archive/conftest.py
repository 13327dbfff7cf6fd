from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from running import Running

from tandem.topics import ORDER_EVENTS, TOPICS, Topic


@pytest.fixture(scope="session")
def own_topics() -> tuple[Topic, ...]:
    return tuple(topic for topic in TOPICS if topic.name == ORDER_EVENTS)


@pytest.fixture(autouse=True)
def _installation(request: pytest.FixtureRequest) -> None:
    """An archiver asks Postgres in which time zone the business's dates are."""
    if request.node.get_closest_marker("integration"):
        request.getfixturevalue("postgres")


@pytest.fixture(autouse=True)
def _no_archiver_outlives_its_test() -> Iterator[None]:
    yield
    while Running.every:
        archiver = Running.every.pop()
        archiver.kill(signal.SIGKILL)
        archiver.process.wait(300)
        if archiver.process.stdout:
            archiver.process.stdout.close()
