"""upkeep: what a worker does between micro-batches for the partitions it holds, a few times a minute."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol

import psycopg

from stream.finals import mark_idle
from stream.idle import IdleState
from stream.memory import Memory
from stream.types import Rules

_LOOK_EVERY_S = 5.0


class Held(Protocol):
    """A partition of ``order-events`` that is held."""

    epoch: int
    next_offset: int
    memory: Memory


class Upkeep:
    """Writes down which partitions are idle."""

    def __init__(self, connection: psycopg.Connection[Any], rules: Rules, idle_after: timedelta) -> None:
        self._connection, self._rules = connection, rules
        self.idle = IdleState(idle_after)
        self._look_every_s = min(_LOOK_EVERY_S, idle_after.total_seconds())
        self._looked_at_s = 0.0

    def forget(self, partition: int) -> None:
        """It is no longer held."""
        self.idle.forget([partition])

    def is_due(self, now_s: float) -> bool:
        """Whether ``run`` would do something."""
        return now_s - self._looked_at_s >= self._look_every_s

    def run(self, held: Mapping[int, Held], now_s: float) -> bool:
        """Whether all of the partitions are still this worker's. ``now_s``: of a clock that only goes forward."""
        if not self.is_due(now_s):
            return True
        self._looked_at_s = now_s
        return self._mark(held, now_s)

    def _mark(self, held: Mapping[int, Held], now_s: float) -> bool:
        idle = self.idle.idle({partition: state.next_offset for partition, state in held.items()}, now_s)
        if not idle:
            return True
        places = {partition: (held[partition].epoch, held[partition].next_offset) for partition in idle}
        moved = mark_idle(self._connection, places, self._rules)
        for partition, up_to_us in (moved or {}).items():
            held[partition].memory.marks.add(held[partition].next_offset, up_to_us)
        return moved is not None
