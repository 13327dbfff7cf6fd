"""Keyed rows of a partition: the recently used ones in memory, all of them in Postgres.

An operator with a row per customer asks here for those that a micro-batch touches. Memory is bounded: what was not used
for longest leaves first, and is looked up by its key when it is used again. So any number of keys costs look-ups, never
the worker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from stream.dedupe import NO_WATERMARK

AT_MOST = 1 << 16
"""Rows of one operator and partition that stay in memory."""
KEY = ("partition", "customer_id")
NOWHERE = 2 * NO_WATERMARK
"""Earlier than any horizon."""
EVERYWHERE = -NO_WATERMARK

LookUp = Callable[[pl.DataFrame], pl.DataFrame]
"""Given keys that memory does not know, the rows that Postgres has of them."""


@dataclass(slots=True)
class HeldState:
    """Of one partition. ``rows``: KEY, ``time_us`` and columns of the operator, the longest unused first.

    A customer of whom any row is in memory has all of them there. ``elsewhere_us``: the greatest ``time_us`` of rows
    that only Postgres has; NOWHERE where there are none, EVERYWHERE where any may be missing.
    """

    rows: pl.DataFrame
    elsewhere_us: int = NOWHERE


def recall(
    states: Mapping[int, HeldState], keys: pl.DataFrame, since_us: Mapping[int, int], look_up: LookUp
) -> pl.DataFrame:
    """The rows of these customers whose ``time_us`` is not before ``since_us`` of their partition."""
    held = pl.concat([state.rows for state in states.values()])
    found = held.join(keys, on=KEY, how="semi")
    partial = [partition for partition, state in states.items() if state.elsewhere_us >= since_us[partition]]
    if partial:
        unknown = keys.filter(pl.col("partition").is_in(partial)).join(found, on=KEY, how="anti")
        if unknown.height:
            found.extend(look_up(unknown).select(found.columns).cast(dict(found.schema)))  # type: ignore[arg-type]
    return found.filter(pl.col("time_us") >= pl.col("partition").replace_strict(since_us, return_dtype=pl.Int64))


def remember(
    states: Mapping[int, HeldState],
    keys: pl.DataFrame,
    rows: pl.DataFrame,
    since_us: Mapping[int, int],
) -> None:
    """Put ``rows`` in the place of all that was held of these customers, and let go of what is too old or too much."""
    changed = dict(zip(*_by_partition(rows), strict=True))
    touched = dict(zip(*_by_partition(keys), strict=True))
    for partition, state in states.items():
        kept = state.rows.filter(pl.col("time_us") >= since_us[partition])
        if partition in touched:
            kept = kept.join(touched[partition], on="customer_id", how="anti", maintain_order="left")
        if partition in changed:
            kept = pl.concat([kept, changed[partition]])
        state.rows = _bounded(state, kept)


def _by_partition(frame: pl.DataFrame) -> tuple[list[int], list[pl.DataFrame]]:
    parts = frame.partition_by("partition")
    return [part["partition"][0] for part in parts], parts


def _bounded(state: HeldState, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows used last. Notes in ``state`` what is now elsewhere."""
    if rows.height <= AT_MOST:
        return rows
    leaving = rows.head(rows.height - AT_MOST * 3 // 4)
    gone = rows.join(leaving, on="customer_id", how="semi")
    latest_us: int = gone["time_us"].max()  # type: ignore[assignment]  # there is one
    state.elsewhere_us = max(state.elsewhere_us, latest_us)
    return rows.join(leaving, on="customer_id", how="anti", maintain_order="left")
