"""An installation of its own for tests that stop or kill servers, which the session's must not suffer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from installations import installations

from tandem.local import process
from tandem.settings import Settings


@pytest.fixture(scope="module")
def installation() -> Iterator[Settings]:
    yield from installations()


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Settings]:
    """Settings for processes that are no servers."""
    own = Settings(state_dir=tmp_path / "state")
    yield own
    for record in (own.state_dir / "run").glob("*.json"):
        process.stop(own, record.stem)
