from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from reconciliation import cli as commands
from tandem.settings import Settings, settings
from tandem.topics import CORRECTIONS, ORDER_EVENTS, TOPICS, Topic
from tests.installations import free_ports
from tests.reconciliation.mailbox import Mailbox, Post
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


@pytest.fixture
def post(topic_prefix: Settings, clean_database: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    (port,) = free_ports(1)
    box = Mailbox()
    made = Post(
        topic_prefix.model_copy(update={"smtp_port": port, "mail_to": "ann@example.org, bob@example.org"}),
        box,
        Controller(box, hostname="127.0.0.1", port=port),
    )
    monkeypatch.setattr(commands, "settings", lambda: made.settings)
    yield made
    if made.server.server is not None:
        made.server.stop()
