"""idle: which partitions were read to their end and bring nothing, by the clock of the worker that holds them.

This is the one place of the speed layer where a clock decides something, and only about when an hour is final: what it
decides is written down with the offset it holds from (``speed.idle_marks``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(slots=True)
class IdleState:
    """Per partition where it ended and since when, in seconds of a clock that only goes forward."""

    after: timedelta
    ends: dict[int, tuple[int, float]] = field(default_factory=dict)

    def note(self, ends: Mapping[int, int], now_s: float) -> None:
        """These partitions were read to their end."""
        for partition, offset in ends.items():
            if self.ends.get(partition, (-1, 0.0))[0] != offset:
                self.ends[partition] = (offset, now_s)

    def forget(self, partitions: Iterable[int]) -> None:
        """These are no longer held."""
        for partition in partitions:
            self.ends.pop(partition, None)

    def idle(self, next_offsets: Mapping[int, int], now_s: float) -> list[int]:
        """Those of the held partitions that have stood at their end for long enough."""
        return [
            partition
            for partition, (offset, since_s) in self.ends.items()
            if next_offsets.get(partition) == offset and now_s - since_s >= self.after.total_seconds()
        ]
