from __future__ import annotations

import pytest

from tandem.settings import Settings
from tandem.topics import CORRECTIONS, ORDER_EVENTS, TOPICS, Topic
from tests.reconciliation.scene import Applier


@pytest.fixture(scope="session")
def own_topics() -> tuple[Topic, ...]:
    return tuple(topic for topic in TOPICS if topic.name in {ORDER_EVENTS, CORRECTIONS})


@pytest.fixture
def shop(topic_prefix: Settings, clean_database: Settings) -> Settings:
    return topic_prefix


@pytest.fixture
def applier(shop: Settings) -> Applier:
    return Applier(shop)
