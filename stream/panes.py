"""panes: the cells of the declared cubes, the customers of each date, and the count of every decision. No memory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl
import psycopg

from stream import fold
from stream.operators import Batch, Emitted
from stream.tables import Merge, Table, Write, merging
from stream.types import Rules
from tandem.kpis import CUBES, UNIQUE_CUSTOMERS, Aggregate, Cube
from tandem.pending import PACKS
from tandem.rollups import measures_of

_MERGES = {
    Aggregate.SUM: Merge.ADD,
    Aggregate.EVENTS: Merge.ADD,
    Aggregate.MIN: Merge.LEAST,
    Aggregate.MAX: Merge.GREATEST,
}


def measure_columns(cube: Cube) -> tuple[tuple[str, Merge], ...]:
    """The columns of a cube's measures, and how they merge."""
    return tuple((measure.name, _MERGES[measure.aggregate]) for measure in measures_of(cube))


def pane_table(cube: Cube) -> Table:
    """Where a cube's cells are."""
    keys = ("pane_start", *([cube.key] if cube.key else []), "partition")
    values = (("business_date", Merge.KEEP), *measure_columns(cube))
    return Table(cube.pane_table, keys, values, packs=PACKS.get(cube.pane_table))


PANES = {cube.name: pane_table(cube) for cube in CUBES}
CUSTOMER_DAYS = Table(
    "customer_days",
    ("business_date", UNIQUE_CUSTOMERS.column, "partition"),
    write=Write.ONCE,
    packs=PACKS["customer_days"],
)
OUTCOMES = Table("outcomes", ("pane_start", "partition", "decision", "reason"), merging(Merge.ADD, "events"))


class Panes:
    """The operator of ``tandem.kpis``: what reconciliation compares."""

    name = "panes"
    tables = (*PANES.values(), CUSTOMER_DAYS, OUTCOMES)

    def empty(self) -> None:
        """Nothing is remembered."""

    def restore(self, reader: psycopg.Connection[Any], partition: int, watermark: datetime, rules: Rules) -> None:
        """Nothing is remembered."""

    def fold(self, batch: Batch, states: Mapping[int, Any], rules: Rules) -> Emitted:
        """Deltas to add.

        No order: a partition's cells have one writer at a time, so writers cannot wait for each other in a circle.
        """
        rows = {"events": batch.events, "lines": batch.lines}
        frames = {
            table: fold.cells(rows[cube.rows], cube, by_partition=not table.is_packed)
            for cube in CUBES
            for table in [PANES[cube.name]]
        }
        customers: dict[Table, pl.DataFrame] = {CUSTOMER_DAYS: fold.customer_days(batch.events)}
        outcomes: dict[Table, pl.DataFrame] = {OUTCOMES: fold.outcomes(batch.decided)}
        return Emitted(frames | customers | outcomes)
