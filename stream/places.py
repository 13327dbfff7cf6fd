"""places: rows by where they stand. Of a micro-batch of few rows most of what it costs are the calls, and a method of a
column that polars plans as a query costs ten times what these do.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

Places = npt.NDArray[np.int64]


def gather(column: pl.Series, rows: Places) -> pl.Series:
    """The values at these places."""
    return column[pl.Series(rows, dtype=pl.UInt32)]


def runs(partitions: pl.Series) -> list[tuple[int, int, int]]:
    """``(partition, start, end)`` of the rows of each partition; the rows are sorted by it."""
    numbers = partitions.to_numpy()
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    return list(zip(numbers[starts].tolist(), starts.tolist(), [*starts[1:].tolist(), len(numbers)], strict=True))
