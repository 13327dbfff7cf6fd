"""Holes in the stream's journal: whether the stream's sums show what the batch layer has there.

A worker that skipped records and a segment that was lost leave the same hole. Only the sums tell them apart: what they
show was counted, and the journal lost it; what they do not show never reached the stream. Pure: frames in, frames out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import combinations

import polars as pl

from reconciliation import compare
from tandem import kpis

_MOST = 10
"""Of more holes that share cells, not every combination is tried."""

Sums = dict[tuple[object, ...], int]
"""Amount by cell; zeros left out."""


class Fate(StrEnum):
    """What became of the records in a hole."""

    SHOWN = "shown"
    """The sums show all of it: only the journal is lost."""
    ABSENT = "absent"
    """The sums show nothing of it: the stream never counted it."""
    UNCLEAR = "unclear"
    """Neither, or it could be either."""


def fates(holes: Sequence[Sums], beyond: Mapping[tuple[object, ...], int]) -> list[Fate]:
    """What became of each hole. ``holes``: what the batch layer books in it; ``beyond``: what the stream's sums show
    beyond the journal.

    The holes whose amounts together make up what the sums show beyond the journal are shown, and the others are not,
    where there is only one such choice.
    """
    found = [Fate.ABSENT] * len(holes)  # one that books nothing leaves no trace, and makes no difference
    for group in _sharing_cells(holes):
        touched = {cell for number in group for cell in holes[number]}
        shown = {cell: beyond[cell] for cell in touched if beyond.get(cell, 0)}
        fitting = [chosen for chosen in _choices(group) if _added(holes, chosen) == shown]
        for number in group:
            if len(fitting) == 1:
                found[number] = Fate.SHOWN if number in fitting[0] else Fate.ABSENT
            else:
                found[number] = Fate.UNCLEAR
    return found


def _sharing_cells(holes: Sequence[Sums]) -> list[list[int]]:
    """Holes that touch anything, those together that share a cell, directly or through others."""
    groups: list[tuple[set[tuple[object, ...]], list[int]]] = []
    for number, sums in enumerate(holes):
        cells, members = set(sums), [number]
        if not cells:
            continue
        apart = []
        for group in groups:
            if group[0] & cells:
                cells |= group[0]
                members += group[1]
            else:
                apart.append(group)
        groups = [*apart, (cells, members)]
    return [members for _, members in groups]


def _choices(group: Sequence[int]) -> list[tuple[int, ...]]:
    if len(group) > _MOST:
        return [(), tuple(group)]
    return [chosen for size in range(len(group) + 1) for chosen in combinations(group, size)]


def _added(holes: Sequence[Sums], chosen: Sequence[int]) -> Sums:
    total: Sums = {}
    for number in chosen:
        for cell, amount in holes[number].items():
            total[cell] = total.get(cell, 0) + amount
    return {cell: amount for cell, amount in total.items() if amount}


def with_fates(holes: pl.DataFrame, facts: pl.DataFrame, journal: pl.DataFrame, counted: pl.DataFrame) -> pl.DataFrame:
    """``holes`` with their ``fate``. ``facts``: what the batch layer books by event (partition, offset, cell, amount);
    ``journal``: what the stream's journal says, by cell; ``counted``: the stream's sums (compare.CELLS).
    """
    cell = list(compare.CELL)
    orders = pl.col("cube") == kpis.ORDERS.name  # the journal knows no lines
    beyond = (
        counted.filter(orders)
        .join(
            journal.filter(orders).group_by(cell).agg(known=pl.col("amount").sum()), on=cell, how="full", coalesce=True
        )
        .select(*cell, amount=pl.col("value").fill_null(0) - pl.col("known").fill_null(0))
    )
    inside = facts.filter(orders).join(holes.with_row_index("hole"), on="partition")
    inside = inside.filter((pl.col("first_offset") <= pl.col("offset")) & (pl.col("offset") < pl.col("next_offset")))
    amounts: list[Sums] = [{} for _ in range(holes.height)]
    for hole, *place, amount in inside.group_by("hole", *cell).agg(pl.col("amount").sum()).iter_rows():
        if amount:
            amounts[hole][tuple(place)] = amount
    of_cell: Sums = {tuple(place): amount for *place, amount in beyond.iter_rows()}
    return holes.with_columns(fate=pl.Series([fate.value for fate in fates(amounts, of_cell)], dtype=pl.String))


def in_words(holes: pl.DataFrame) -> str:
    """Which stretches of the journal are lost; '' where none is."""
    lost = holes.filter(pl.col("fate") != Fate.ABSENT)
    named = [
        f"offsets {first} to {after - 1} of partition {partition}" for partition, first, after, _ in lost.iter_rows()
    ]
    return f"the stream's journal has lost {', '.join(named)}" if named else ""
