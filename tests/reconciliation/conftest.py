from __future__ import annotations

from pathlib import Path

import pytest

from tandem.settings import Settings, settings
from tandem.topics import CORRECTIONS, ORDER_EVENTS, TOPICS, Topic
from tests.reconciliation.scene import Applier


@pytest.fixture(scope="session")
def own_topics() -> tuple[Topic, ...]:
    return tuple(topic for topic in TOPICS if topic.name in {ORDER_EVENTS, CORRECTIONS})


@pytest.fixture
def topic_prefix(topic_prefix: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With order facts in a folder whose name a URL would write in another way."""
    own = topic_prefix.model_copy(update={"order_facts_uri": str(tmp_path / "Bücher und mehr" / "order_facts")})
    monkeypatch.setenv("TANDEM_ORDER_FACTS_URI", own.order_facts)
    settings.cache_clear()
    return own


@pytest.fixture
def shop(topic_prefix: Settings, clean_database: Settings) -> Settings:
    return topic_prefix


@pytest.fixture
def applier(shop: Settings) -> Applier:
    return Applier(shop)
