"""rollups: cells of a minute by category, payment method and region, and sketches of an hour. No memory.

A micro-batch adds a row per cell to the sketches instead of changing one, because Postgres cannot merge them; they are
merged when they are read, and for good in the background (stream.compact).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl
import psycopg

from stream import fold
from stream.murmur import theta_hashes
from stream.operators import Batch, Emitted
from stream.panes import pane_table
from stream.places import gather
from stream.sketches import sketched
from stream.tables import Merge, Table, Write, merging
from stream.types import Rules
from tandem.rollups import ROLLUPS, SKETCHES, UNKNOWN

PANES = {rollup.name: pane_table(rollup) for rollup in ROLLUPS}
SKETCH_ROWS = Table(
    "sketches",
    ("partition", "cell_start", "rollup", "key", "counted", "first_offset"),
    merging(Merge.KEEP, "sketch"),
    Write.APPEND,
)
_SKETCHED = tuple((rollup, sketch) for rollup in ROLLUPS for sketch in SKETCHES)
_ROLLUP_NAMES = pl.Series("rollup", [rollup.name for rollup, _ in _SKETCHED], pl.String)
_SKETCH_NAMES = pl.Series("counted", [sketch.name for _, sketch in _SKETCHED], pl.String)
_OF_EVENTS = sorted({rollup.key for rollup in ROLLUPS if rollup.key and rollup.rows == "events"})


class Rollups:
    """The operator of ``tandem.rollups``."""

    name = "rollups"
    tables = (*PANES.values(), SKETCH_ROWS)

    def empty(self) -> None:
        """Nothing is remembered."""

    def restore(self, reader: psycopg.Connection[Any], partition: int, watermark: datetime, rules: Rules) -> None:
        """Nothing is remembered."""

    def fold(self, batch: Batch, states: Mapping[int, Any], rules: Rules) -> Emitted:
        """What to merge into the minutes, and sketches to add."""
        rows = {"events": _known(batch.events), "lines": batch.lines}
        minutes = {
            table: fold.cells(rows[rollup.rows], rollup, by_partition=not table.is_packed)
            for rollup in ROLLUPS
            for table in [PANES[rollup.name]]
        }
        return Emitted({**minutes, SKETCH_ROWS: sketch_rows(batch)})


def _known(events: pl.DataFrame) -> pl.DataFrame:
    return events.with_columns(pl.col(_OF_EVENTS).fill_null(UNKNOWN))


def sketch_rows(batch: Batch) -> pl.DataFrame:
    """Rows of SKETCH_ROWS: one per hour, key and declared sketch, all under the first partition.

    Sketches merge in any order, so it does not matter whose partition's they are; one for each would be many rows.
    """
    lines = batch.lines
    types = {str(sketch.event_type) for sketch in SKETCHES}
    events = _known(batch.events).filter(pl.col("event_type").is_in(types))
    placed = events.select(
        "row",
        "event_type",
        pl.col("hour_start").alias("cell_start"),
        *_OF_EVENTS,
        *(_hashes(events, sketch.column) for sketch in SKETCHES if sketch.rows == "events"),
    )
    of_lines = [name for name in lines.columns if name not in placed.columns]
    hashes = [_hashes(lines, sketch.column) for sketch in SKETCHES if sketch.rows == "lines"]
    on_lines = lines.select("row", *of_lines, *hashes).join(placed, on="row", how="inner")
    seen = []
    for number, (rollup, sketch) in enumerate(_SKETCHED):
        rows = placed if (rollup.rows, sketch.rows) == ("events", "events") else on_lines
        of_type = rows if len(types) == 1 else rows.filter(pl.col("event_type") == sketch.event_type)
        key, hashed = pl.col(str(rollup.key)), pl.col(f"{sketch.column}_hash")
        seen.append(
            of_type.select(pl.lit(number, pl.Int8).alias("which"), "cell_start", key.alias("key"), hashed.alias("hash"))
        )
    cells = sketched(pl.concat(seen), ["which", "cell_start", "key"], "hash")
    which = cells["which"].to_numpy()
    cells = cells.hstack([gather(_ROLLUP_NAMES, which), gather(_SKETCH_NAMES, which)])
    return cells.join(_first(events), how="cross").select(SKETCH_ROWS.columns)


def _first(events: pl.DataFrame) -> pl.DataFrame:
    """``partition`` and ``first_offset``: the first partition, and its first offset."""
    of_first = events.filter(pl.col("partition") == pl.col("partition").min())
    return of_first.select(pl.col("partition").min(), pl.col("offset").min().alias("first_offset"))


def _hashes(rows: pl.DataFrame, column: str) -> pl.Series:
    known = rows[column].is_not_null()
    hashes = pl.Series(theta_hashes(rows[column].fill_null("")), dtype=pl.UInt64)
    return pl.select(pl.when(known).then(hashes)).to_series().alias(f"{column}_hash")
