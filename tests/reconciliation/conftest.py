from __future__ import annotations

import pytest

from tandem.settings import Settings
from tests.reconciliation.scene import Applier


@pytest.fixture
def shop(topic_prefix: Settings, clean_database: Settings) -> Settings:
    return topic_prefix


@pytest.fixture
def applier(shop: Settings) -> Applier:
    return Applier(shop)
