"""What a rebuild compares and swaps: every table that the log alone decides, and how its rows are told apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stream import tables
from stream.hours import HOUR_CUBES
from stream.minutes import CUSTOMER_MINUTES
from stream.rollups import SKETCH_ROWS
from stream.sink import TABLES
from stream.tables import Merge, Table, Write
from tandem.kpis import measures_of
from tandem.pending import readable

_SINCE = ("business_date", "pane_start", "cell_start", "window_start")
_NOT_OF_THE_LOG = {tables.QUARANTINE.name, tables.OUTBOX.name}
"""Reviews and the relay take rows away."""
_TOTALS = {Merge.ADD: "sum", Merge.LEAST: "min", Merge.GREATEST: "max", Merge.KEEP: "min", Merge.REPLACE: "max"}


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """``speed.<name>``: its columns and, where settled rows are of all partitions together, how these add up.

    ``since``: the column that tells which rows belong to a date and after; None where the table is compared whole.
    """

    name: str
    keys: tuple[str, ...]
    values: tuple[tuple[str, str], ...]
    """Column and aggregate function."""
    since: str | None
    is_packed: bool = False

    @property
    def readable(self) -> str:
        """What shows settled and pending rows."""
        return readable(self.name)

    @property
    def columns(self) -> tuple[str, ...]:
        """What is compared and swapped."""
        return self.keys + tuple(name for name, _ in self.values)


UNCUT = (tables.JOURNAL.name, SKETCH_ROWS.name, CUSTOMER_MINUTES.name)
"""Their rows depend on the cuts between micro-batches: what they hold is compared, not how it is cut up."""

MINUTES = Rebuilt(
    CUSTOMER_MINUTES.name,
    ("partition", "pane_start", "customer_id"),
    (("order_count", "sum"), ("revenue_cents", "sum")),
    "pane_start",
)
"""Customers' minutes one by one, as they are compared."""


def _since(columns: Iterable[str]) -> str | None:
    return next((name for name in _SINCE if name in columns), None)


def _of(table: Table) -> Rebuilt:
    keys = tuple(key for key in table.keys if not (table.is_packed and key == "partition"))
    values = tuple((name, _TOTALS[merge]) for name, merge in table.values)
    return Rebuilt(table.name, keys, values, _since(table.columns), table.is_packed)


_FINALS = tuple(
    Rebuilt(
        f"{cube.name}_finals",
        ("cell_start", *([cube.key] if cube.key else [])),
        tuple((measure.name, "sum") for measure in measures_of(cube)),
        "cell_start",
    )
    for cube in HOUR_CUBES
)
REBUILT: tuple[Rebuilt, ...] = (
    *(
        _of(table)
        for table in TABLES
        if table.write is not Write.DELETE and table.name not in {*UNCUT, *_NOT_OF_THE_LOG}
    ),
    *_FINALS,
)
