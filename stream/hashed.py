"""hashed: what is kept in parts and found by a hash: rows of customers (stream.held), ids (stream.accepted).

What a micro-batch adds is put beside what is there, and parts of like size are merged, so that there are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from stream.places import NO_PLACES, Places, gather

Hashes = npt.NDArray[np.uint64]


def hashes_of(texts: pl.Series) -> Hashes:
    """One number each. Two texts may have the same."""
    return texts.hash().to_numpy()


@dataclass(frozen=True)  # no slots: the order is kept where it was asked for
class Texts:
    """Texts and the hash of each: worked out once for a micro-batch, as most of what few rows cost are the calls."""

    texts: pl.Series
    hashes: Hashes

    @classmethod
    def of(cls, texts: pl.Series) -> Texts:
        """Hash them."""
        return cls(texts, hashes_of(texts))

    def __len__(self) -> int:
        """How many."""
        return len(self.hashes)

    @cached_property
    def order(self) -> Places:
        """Where they stand, by their hashes."""
        return np.argsort(self.hashes)

    @cached_property
    def ordered(self) -> Hashes:
        """The hashes, ascending."""
        return self.hashes[self.order]

    @property
    def may_repeat(self) -> bool:
        """Whether two have one hash, as two that are equal have."""
        return bool((self.ordered[1:] == self.ordered[:-1]).any())

    def take(self, rows: Places) -> Texts:
        """Those at these places."""
        return Texts(gather(self.texts, rows), self.hashes[rows])


def find(held: Hashes, wanted: Hashes) -> tuple[Places, Places]:
    """Where ``held`` has one of the hashes that are wanted, and which of them it is there. Both are sorted."""
    if not len(held):
        return NO_PLACES, NO_PLACES
    first = np.searchsorted(held, wanted)
    met = np.flatnonzero(held.take(first, mode="clip") == wanted)
    if not len(met):
        return NO_PLACES, NO_PLACES
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
