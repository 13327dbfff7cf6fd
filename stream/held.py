"""Keyed rows of a partition: the recently used ones in memory, all of them in Postgres.

An operator with a row per customer asks here for those that a micro-batch touches. Memory is bounded: what was not used
for longest leaves first, and is looked up by its key when it is used again. So any number of keys costs look-ups, never
the worker.

What is held is found by the hash of its key, and what replaces it is put beside it: a micro-batch costs what it
touches, not what is held. Parts of like size are merged, so that there are few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from stream.dedupe import NO_WATERMARK
from stream.hashed import Hashes, find, hashes_of, of_like_size
from stream.places import NO_PLACES, Places, gather, gather_from

AT_MOST = 1 << 16
"""Rows of one operator and partition that stay in memory."""
KEY = ("partition", "customer_id")
NOWHERE = 2 * NO_WATERMARK
"""Earlier than any horizon."""
EVERYWHERE = -NO_WATERMARK

_PARTS = 8
"""So many parts of a state are looked through before some are merged."""

LookUp = Callable[[pl.DataFrame], pl.DataFrame]
"""Given keys that memory does not know, the rows that Postgres has of them."""

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Customers of one partition. ``hashes``: theirs, sorted; ``rows``: where each of them stands in the keys."""

    hashes: Hashes
    rows: Places


@dataclass(frozen=True, slots=True)
class Part:
    """Rows put in at once, or merged. ``hashes``: sorted, and at which place in ``rows`` each of them is.

    ``is_held``, which changes: by place, whether nothing has replaced the row yet. ``times_us``: by place.
    """

    rows: pl.DataFrame
    hashes: Hashes
    places: Places
    times_us: Places
    is_held: Flags

    @classmethod
    def of(cls, rows: pl.DataFrame, hashes: Hashes) -> Part:
        """All of them are held. ``hashes``: of their customers."""
        places = np.argsort(hashes)
        return cls(rows, hashes[places], places, rows["time_us"].to_numpy(), np.ones(rows.height, np.bool_))

    def find(self, wanted: Wanted) -> tuple[Places, Places]:
        """Places of rows whose customer has the hash of a wanted one, and where that one stands."""
        found, which = find(self.hashes, wanted.hashes)
        if not len(found):
            return NO_PLACES, NO_PLACES
        places = self.places[found]
        is_held = self.is_held[places]
        return places[is_held], wanted.rows[which][is_held]

    def held(self, since_us: int) -> Places:
        """Where the rows are that are held and not too old."""
        return np.flatnonzero(self.is_held & (self.times_us >= since_us))

    def hashes_by_place(self) -> Hashes:
        """Of each row."""
        hashes = np.empty_like(self.hashes)
        hashes[self.places] = self.hashes
        return hashes


@dataclass(slots=True)
class HeldState:
    """Of one partition. ``columns``: KEY, ``time_us`` and columns of the operator, without rows.

    A customer of whom any row is in memory has all of them there, in one of the ``parts``, the longest unused first.
    ``elsewhere_us``: the greatest ``time_us`` of rows that only Postgres has; NOWHERE where there are none, EVERYWHERE
    where any may be missing. ``recalled``: where those are that ``remember`` is to replace.
    """

    columns: pl.DataFrame
    elsewhere_us: int = NOWHERE
    parts: list[Part] = field(default_factory=list)
    recalled: list[tuple[Part, Places]] = field(default_factory=list)

    def __len__(self) -> int:
        """How many rows are held."""
        return sum(int(np.count_nonzero(part.is_held)) for part in self.parts)

    def forget_recalled(self) -> None:
        """Hold nothing any more of the customers recalled last."""
        for part, places in self.recalled:
            part.is_held[places] = False
        self.recalled = []

    def add(self, rows: pl.DataFrame, hashes: Hashes, since_us: int) -> None:
        """Hold rows of customers of whom nothing is held. What is older than ``since_us`` is not asked for any more."""
        self.parts.append(Part.of(rows, hashes))
        if len(self) > AT_MOST:
            self._merge(len(self.parts), since_us)
            used = self._bounded(self.parts[0].rows)
            self.parts = [Part.of(used, hashes_of(used["customer_id"]))]
        elif len(self.parts) > _PARTS:
            self._merge(of_like_size([part.rows.height for part in self.parts], _PARTS), since_us)

    def _merge(self, count: int, since_us: int) -> None:
        """The last so many parts into one."""
        last = self.parts[-count:]
        kept = [part.held(since_us) for part in last]
        hashes = np.concatenate([part.hashes_by_place()[places] for part, places in zip(last, kept, strict=True)])
        self.parts[-count:] = [Part.of(gather_from([part.rows for part in last], kept), hashes)]

    def _bounded(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows used last. Notes what is now elsewhere."""
        if rows.height <= AT_MOST:
            return rows
        leaving = rows.head(rows.height - AT_MOST * 3 // 4)
        gone = rows.join(leaving, on="customer_id", how="semi")
        latest_us: int = gone["time_us"].max()  # type: ignore[assignment]  # there is one
        self.elsewhere_us = max(self.elsewhere_us, latest_us)
        return rows.join(leaving, on="customer_id", how="anti", maintain_order="left")


def recall(
    states: Mapping[int, HeldState], keys: pl.DataFrame, since_us: Mapping[int, int], look_up: LookUp
) -> pl.DataFrame:
    """The rows of these customers whose ``time_us`` is not before ``since_us`` of their partition."""
    hashes = hashes_of(keys["customer_id"])
    hits = [
        (partition, part, *found)
        for partition, own in _by_partition(keys["partition"].to_numpy(), hashes)
        for wanted in [Wanted(hashes[own], own)]
        for part in states[partition].parts
        for found in [part.find(wanted)]
        if len(found[0])
    ]
    nothing = [(state.columns, NO_PLACES) for state in states.values()]
    found = gather_from(*zip(*nothing, *((part.rows, at) for _, part, at, _ in hits), strict=True))
    # Two customers may have one hash.
    rows = np.concatenate([NO_PLACES, *(rows for *_, rows in hits)])
    same: Flags = (found["customer_id"] == keys["customer_id"][rows]).to_numpy()
    start = 0
    for partition, part, at, _ in hits:
        states[partition].recalled.append((part, at[same[start : start + len(at)]]))
        start += len(at)
    horizons_us = np.repeat([since_us[partition] for partition, *_ in hits], [len(at) for _, _, at, _ in hits])
    kept = same & (found["time_us"].to_numpy() >= horizons_us)
    found = found.filter(pl.Series(kept))
    partial = [partition for partition, state in states.items() if state.elsewhere_us >= since_us[partition]]
    if partial:
        unknown = keys.filter(pl.col("partition").is_in(partial)).join(found, on=KEY, how="anti")
        if unknown.height:
            others = look_up(unknown).select(found.columns).cast(dict(found.schema))  # type: ignore[arg-type]
            since = pl.col("partition").replace_strict(since_us, return_dtype=pl.Int64)
            found.extend(others.filter(pl.col("time_us") >= since))
    return found


def remember(
    states: Mapping[int, HeldState],
    rows: pl.DataFrame,
    since_us: Mapping[int, int],
) -> None:
    """Put ``rows`` in the place of all that was held of the customers recalled last, who alone may be in them.

    Lets go of what is too old or too much.
    """
    for state in states.values():
        state.forget_recalled()
    hashes = hashes_of(rows["customer_id"])
    for partition, places in _by_partition(rows["partition"].to_numpy(), hashes):
        states[partition].add(gather(rows, places), hashes[places], since_us[partition])


def _by_partition(partitions: Places, hashes: Hashes) -> Iterator[tuple[int, Places]]:
    """Of each partition, where its rows stand, in the order of their hashes."""
    rows = np.lexsort((hashes, partitions))
    present, starts = np.unique(partitions[rows], return_index=True)
    for partition, start, end in zip(present.tolist(), starts, np.append(starts, len(rows))[1:], strict=True):
        yield partition, rows[start:end]
