"""How often chance gets its turn: enough for every change, or by ``TEST_DEPTH=full`` as often as is claimed."""

from __future__ import annotations

import os

IS_FULL = os.environ.get("TEST_DEPTH", "") == "full"


def tries(usual: int, *, full: int) -> int:
    """How many of something a test draws or kills."""
    return full if IS_FULL else usual
