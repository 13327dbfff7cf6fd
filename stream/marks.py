"""marks: how far a partition is held to be while it is idle, from which offset on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from stream.types import EPOCH, MICROSECOND
from tandem import database

NO_MARK_US = -(1 << 62)


@dataclass(slots=True)
class MarksState:
    """The marks of a partition, ascending: from ``offsets[n]`` on, ``up_to_us[n]`` (microseconds since 1970)."""

    offsets: list[int] = field(default_factory=list)
    up_to_us: list[int] = field(default_factory=list)

    def add(self, next_offset: int, up_to_us: int) -> None:
        """From ``next_offset`` on, which is no smaller than those before, the partition is held to be that far."""
        self.offsets.append(next_offset)
        self.up_to_us.append(max([up_to_us, *self.up_to_us[-1:]]))
        if self.offsets[-2:-1] == [next_offset]:
            del self.offsets[-2], self.up_to_us[-2]

    def at(self, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The mark that holds at each offset."""
        place = np.searchsorted(np.array(self.offsets, np.int64), offsets, side="right")
        return np.array([NO_MARK_US, *self.up_to_us], np.int64)[place]


def marks(reader: psycopg.Connection[Any], partition: int) -> MarksState:
    """The marks of a partition as they were written down."""
    state = MarksState()
    for next_offset, up_to in reader.execute(database.queries("hours").marks_of, {"partition": partition}):
        state.add(next_offset, (up_to - EPOCH) // MICROSECOND)
    return state
