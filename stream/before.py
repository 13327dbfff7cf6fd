"""What came before each event of a key, columnar: the names that a pattern's condition can use (``tandem.patterns``).

``rows`` are events key by key, in the order of the log, with ``time_us``, ``cents``, ``group`` (a number that
counts up from key to key) and ``clock_us`` (see ``clock``). One array element or column value per row.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from stream.places import gather

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Groups:
    """Where each row's key begins and ends: positions of its first row and after its last."""

    first: Ints
    end: Ints

    @classmethod
    def of(cls, group: Ints) -> Groups:
        """From numbers that are equal within a key, and stand together."""
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        number = np.searchsorted(starts, np.arange(len(group)), side="right") - 1
        return cls(starts[number], np.append(starts[1:], len(group))[number])

    def reach_back(self, count: int) -> Flags:
        """Whether a row has this many rows of its key before it."""
        return np.arange(len(self.first)) - self.first >= count


def clock(group: Ints, time_us: Ints) -> Ints:
    """The greatest event time so far of each row's key."""
    order = np.argsort(time_us)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    # One running maximum for all: a key's numbers are all above those of the key before it.
    highest = np.maximum.accumulate(group * len(order) + rank)
    return time_us[order[highest - group * len(order)]]


def back(column: str, groups: Groups, count: int) -> pl.Expr:
    """The value of a column ``count`` rows before, of the same key; else NULL."""
    return pl.when(pl.lit(pl.Series(groups.reach_back(count)))).then(pl.col(column).shift(count))


def within(time_us: Ints, groups: Groups, count: int, window_us: int) -> Flags:
    """Whether this row and the ``count - 1`` before it are of one key and lie less than the window apart."""
    if count == 1:
        return np.ones(len(time_us), dtype=np.bool_)
    if len(time_us) < count:
        return np.zeros(len(time_us), dtype=np.bool_)
    runs = np.lib.stride_tricks.sliding_window_view(time_us, count)
    near = np.concatenate([np.zeros(count - 1, dtype=np.bool_), runs.max(axis=1) - runs.min(axis=1) < window_us])
    return near & groups.reach_back(count - 1)


def window(rows: pl.DataFrame, groups: Groups, window_us: int, names: Collection[str]) -> list[pl.Series]:
    """``earlier_count``, ``earlier_cents``, ``z_score``, of these those that are named; NULL where a row is not in the
    window at its own clock.

    A row enters the window when it comes, and leaves it at the first row whose clock is the window's length past its
    time. So what is in the window is all that came, less all that left, and both are running sums.
    """
    group, time_us, clock_us = (rows[name].to_numpy() for name in ("group", "time_us", "clock_us"))
    place = np.arange(len(group))
    leaves = np.maximum(_first_past(group, clock_us, time_us + window_us), place)
    leaving = np.flatnonzero(leaves < groups.end)
    leaving = leaving[np.argsort(leaves[leaving], kind="stable")]
    gone_before = np.searchsorted(leaves[leaving], groups.first)
    gone = np.searchsorted(leaves[leaving], place, side="right")
    cents = rows["cents"].fill_null(0)
    amounts = cents.to_numpy()
    left = _running(amounts[leaving])
    sums = {
        "judged": leaves > place,
        "cents": cents,
        "count": place - groups.first - (gone - gone_before),
        "sum": earlier_of_group(amounts, groups) - (left[gone] - left[gone_before]),
    }
    if "z_score" in names:
        wide = cents.cast(pl.Int128)  # a sum of squares outgrows 64 bits
        squares = wide * wide
        came, went = _running_wide(squares), _running_wide(gather(squares, leaving))
        come = gather(came, place) - gather(came, groups.first)
        sums["squares"] = come - (gather(went, gone) - gather(went, gone_before))
    found = {"earlier_count": pl.col("count"), "earlier_cents": pl.col("sum"), "z_score": _z_score()}
    return (
        pl.DataFrame(sums)
        .select(pl.when("judged").then(found[name]).alias(name) for name in found if name in names)
        .get_columns()
    )


def earlier_of_group(values: Ints, groups: Groups) -> Ints:
    """The sum of the values of a key's rows before each row."""
    sums = _running(values)
    # Where all keys together outgrow 64 bits, the difference is right all the same: both have wrapped around.
    return sums[:-1] - sums[groups.first]


def _first_past(group: Ints, clock_us: Ints, wanted_us: Ints) -> Ints:
    """Position of the first row of the same key whose clock is at least as wanted; the key's end where none is."""
    times = np.sort(clock_us)
    width = len(times) + 1
    place = group * width + np.searchsorted(times, clock_us)
    return np.searchsorted(place, group * width + np.searchsorted(times, wanted_us))


def _running(values: Ints) -> Ints:
    """Sums of the values before each position, and of all."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)])


def _running_wide(values: pl.Series) -> pl.Series:
    """The same in 128 bits, which numpy has none of."""
    return pl.concat([pl.Series([0], dtype=values.dtype).alias(values.name), values.cum_sum()])


def _z_score() -> pl.Expr:
    # Whole numbers up to the last step: the answer is the same whatever was added and taken away on the way.
    count, total = (pl.col(name).cast(pl.Int128) for name in ("count", "sum"))
    spread = count * pl.col("squares") - total * total
    away = (pl.col("cents").cast(pl.Int128) * count - total).cast(pl.Float64)
    variance = count.cast(pl.Float64) * spread.cast(pl.Float64) / (count - 1).cast(pl.Float64)
    return pl.when((count > 1) & (spread > 0)).then(away / variance.sqrt())
