"""hours: what was counted after its hour was final, and what came too late, beside the cells (S6). No memory.

An hour is final on a partition once its mark is past the end of the hour by the watermark delay. The mark is the
watermark, or what was written down for the partition while it was idle (stream.idle), whichever is greater. So an event
is ``after_final`` by the log and by what was written down beside it, never by a clock or a cut between micro-batches,
and what was on time never changes again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import psycopg

from stream import fold
from stream.marks import NO_MARK_US, MarksState
from stream.operators import Batch, Emitted
from stream.panes import measure_columns
from stream.tables import Table
from stream.types import Rules
from tandem.kpis import CUBES, Cube

AFTER_FINAL, LATE = "after_final", "late"
HOUR_CUBES = tuple(cube for cube in CUBES if cube.has_finals)


def _entries(cube: Cube) -> Table:
    keys = ("cell_start", *([cube.key] if cube.key else []), "partition", "entry")
    return Table(f"{cube.name}_entries", keys, measure_columns(cube))


ENTRIES = {cube.name: _entries(cube) for cube in HOUR_CUBES}


class Hours:
    """The operator of what stands beside the hours."""

    name = "hours"
    tables = tuple(ENTRIES.values())

    def empty(self) -> None:
        """Nothing is remembered."""

    def restore(self, reader: psycopg.Connection[Any], partition: int, watermark: datetime, rules: Rules) -> None:
        """Nothing is remembered."""

    def fold(self, batch: Batch, states: Mapping[int, Any], rules: Rules) -> Emitted:
        """Entries to add to."""
        after = batch.events.filter(_is_after_final(batch.events, batch.marks, rules))
        if not after.height and not batch.late.height:
            return Emitted()
        of_after = batch.lines.join(after.select("row"), on="row", how="semi")
        beside = [(AFTER_FINAL, after, of_after), (LATE, batch.late, batch.late_lines)]
        return Emitted(
            {
                ENTRIES[cube.name]: pl.concat(_cells(entry, events, lines, cube) for entry, events, lines in beside)
                for cube in HOUR_CUBES
            }
        )


def _is_after_final(events: pl.DataFrame, marks: Mapping[int, MarksState], rules: Rules) -> pl.Series:
    end = pl.col("hour_start") + pl.duration(hours=1) + rules.watermark_delay
    mark_us = events["watermark"].dt.epoch("us").fill_null(NO_MARK_US).to_numpy().copy()
    partitions, offsets = events["partition"].to_numpy(), events["offset"].to_numpy()
    for partition, state in marks.items():
        if state.offsets:
            rows = np.flatnonzero(partitions == partition)
            mark_us[rows] = np.maximum(mark_us[rows], state.at(offsets[rows]))
    return events.select(end.dt.epoch("us")).to_series() <= pl.Series(mark_us)


def _cells(entry: str, events: pl.DataFrame, lines: pl.DataFrame, cube: Cube) -> pl.DataFrame:
    rows = {"events": events, "lines": lines}[cube.rows]
    cells = fold.cells(rows, cube, pane="hour").rename({"pane_start": "cell_start"})
    return cells.with_columns(entry=pl.lit(entry)).select(ENTRIES[cube.name].columns)
