"""places: rows by where they stand. Of a micro-batch of few rows most of what it costs are the calls, and a method of a
column that polars plans as a query costs ten times what these do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

Places = npt.NDArray[np.int64]
NO_PLACES: Places = np.empty(0, np.int64)

Rows = TypeVar("Rows", pl.Series, pl.DataFrame)


def gather(of: Rows, places: Places) -> Rows:
    """The values or rows at these places. By an index of polars' own kind: one of numpy's is copied first."""
    return of[pl.Series(places, dtype=pl.UInt32)]


def gather_from(frames: Sequence[pl.DataFrame], places: Sequence[Places]) -> pl.DataFrame:
    """The rows at these places of each of the frames, one at least: by one gather, which costs less than many."""
    starts = np.cumsum([0, *(frame.height for frame in frames[:-1])])
    return gather(pl.concat(frames), np.concatenate([start + own for start, own in zip(starts, places, strict=True)]))


def runs(partitions: pl.Series) -> list[tuple[int, int, int]]:
    """``(partition, start, end)`` of the rows of each partition; the rows are sorted by it."""
    numbers = partitions.to_numpy()
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    ends = np.append(starts[1:], len(numbers))[: len(starts)]
    return list(zip(numbers[starts].tolist(), starts.tolist(), ends.tolist(), strict=True))
