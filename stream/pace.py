"""pace: long work in small pieces, with rests in between, so that a micro-batch does not wait for all of it."""

from __future__ import annotations

import time

LEAST_S = 0.001
"""A thread that calls C without a pause lets go of the interpreter only when its time is over, and a micro-batch asks
for it hundreds of times. Without a rest it takes 15 times as long."""
_REST = 3
"""So many times as long as a piece took: it is to take a quarter of a core, where there is time."""
_LONGEST_S = 0.1
"""Postgres ends a transaction in which nothing happens for too long (stream.sink)."""


def rest_s(piece_s: float, elapsed_s: float, leisure_s: float) -> float:
    """How long to rest after a piece that took ``piece_s``, where the work began ``elapsed_s`` ago.

    ``leisure_s``: for so long there is time; after that the rests are as short as can be.
    """
    return max(LEAST_S, min(_REST * piece_s, leisure_s - elapsed_s, _LONGEST_S))


class Pace:
    """The rests of one work, by a clock. ``leisure_s``: as in ``rest_s``."""

    def __init__(self, leisure_s: float) -> None:
        self._leisure_s = leisure_s
        self._began_s = self._rested_s = time.monotonic()

    def rest(self, *, hurried: bool) -> None:
        """After each piece. ``hurried``: there is no time any more."""
        now_s = time.monotonic()
        leisure_s = 0.0 if hurried else self._leisure_s
        time.sleep(rest_s(now_s - self._rested_s, now_s - self._began_s, leisure_s))
        self._rested_s = time.monotonic()
