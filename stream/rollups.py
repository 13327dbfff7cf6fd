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
            table: fold.cells(rows[rollup.rows], rollup, rules.zone, by_partition=not table.is_packed)
            for rollup in ROLLUPS
            for table in [PANES[rollup.name]]
        }
        return Emitted({**minutes, SKETCH_ROWS: sketch_rows(batch, rules)})


def _known(events: pl.DataFrame) -> pl.DataFrame:
    return events.with_columns(pl.col(_OF_EVENTS).fill_null(UNKNOWN))


def sketch_rows(batch: Batch, rules: Rules) -> pl.DataFrame:
    """Rows of SKETCH_ROWS: one per hour, key and declared sketch, all under the first partition.

    Sketches merge in any order, so it does not matter whose partition's they are; one for each would be many rows.
    """
    lines = batch.lines
    types = {str(sketch.event_type) for sketch in SKETCHES}
    events = _known(batch.events).filter(pl.col("event_type").is_in(types))
    placed = events.select(
        "row",
        "event_type",
        fold.pane_start(pl.col("event_time"), "hour", rules.zone).alias("cell_start"),
        *_OF_EVENTS,
        *(_hashes(events, sketch.column) for sketch in SKETCHES if sketch.rows == "events"),
    )
    of_lines = [name for name in lines.columns if name not in placed.columns]
    hashes = [_hashes(lines, sketch.column) for sketch in SKETCHES if sketch.rows == "lines"]
    on_lines = lines.select("row", *of_lines, *hashes).join(placed, on="row", how="inner")
    frames = []
    for rollup in ROLLUPS:
        for sketch in SKETCHES:
            rows = placed if (rollup.rows, sketch.rows) == ("events", "events") else on_lines
            key, hashed = str(rollup.key), f"{sketch.column}_hash"
            seen = rows.select("event_type", "cell_start", key, hashed).filter(
                pl.col("event_type") == sketch.event_type
            )
            cells = sketched(seen, ["cell_start", key], hashed).rename({key: "key"})
            frames.append(cells.with_columns(rollup=pl.lit(rollup.name), counted=pl.lit(sketch.name)))
    return pl.concat(frames).join(_first(events), how="cross").select(SKETCH_ROWS.columns)


def _first(events: pl.DataFrame) -> pl.DataFrame:
    """``partition`` and ``first_offset``: the first partition, and its first offset."""
    of_first = events.filter(pl.col("partition") == pl.col("partition").min())
    return of_first.select(pl.col("partition").min(), pl.col("offset").min().alias("first_offset"))


def _hashes(rows: pl.DataFrame, column: str) -> pl.Series:
    known = rows[column].is_not_null()
    hashes = pl.Series(theta_hashes(rows[column].fill_null("")), dtype=pl.UInt64)
    return pl.select(pl.when(known).then(hashes)).to_series().alias(f"{column}_hash")
