"""hashed: what is kept in parts and found by a hash: rows of customers (stream.held), ids (stream.accepted).

What a micro-batch adds is put beside what is there, and parts of like size are merged, so that there are few.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]


def hashes_of(texts: pl.Series) -> Hashes:
    """One number each. Two texts may have the same."""
    return texts.hash().to_numpy()


def find(held: Hashes, wanted: Hashes) -> tuple[Places, Places]:
    """Where ``held`` has one of the hashes that are wanted, and which of them it is there. Both are sorted."""
    first = np.searchsorted(held, wanted)
    met = np.flatnonzero(held.take(first, mode="clip") == wanted)
    first = first[met]
    counts = np.searchsorted(held, wanted[met], "right") - first
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(first, counts) + within, np.repeat(met, counts)


def of_like_size(sizes: Sequence[int], most: int) -> int:
    """How many of the last parts to merge where there are more than ``most``, so that each row is moved a few times."""
    count = most // 2
    together = sum(sizes[-count:])
    while count < len(sizes) and sizes[-count - 1] <= 2 * together:
        together += sizes[-count - 1]
        count += 1
    return count
