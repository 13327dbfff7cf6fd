"""A side's cells, one frame a cube: a large date has a million of them, each with all measures of its cube.

What is compared, added and hashed here is a cell at a time; only what differs is ever written measure by measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from reconciliation import canonical
from reconciliation.compare import CELL, CELLS, DISTINCT, Types
from tandem import kpis

_PLACE = ["cell_start", "key"]
_PLACE_TYPES: Types = {name: CELL[name] for name in _PLACE}
MEASURES: dict[str, tuple[str, ...]] = {
    **{cube.name: tuple(measure.name for measure in kpis.measures_of(cube)) for cube in kpis.CUBES},
    DISTINCT: (kpis.UNIQUE_CUSTOMERS.name,),
}
"""The measures of each cube, in the order of their columns."""


def schema(cube: str) -> pl.Schema:
    """The columns of a cube's frame: cell_start, key, then its measures."""
    return pl.Schema({**_PLACE_TYPES, **dict.fromkeys(MEASURES[cube], pl.Int64())})


@dataclass(frozen=True, slots=True)
class Books:
    """A frame for each cube of MEASURES, as ``schema`` says, one row a cell; a cell that is not there is missing."""

    cubes: Mapping[str, pl.DataFrame]

    @classmethod
    def of(cls, cells: pl.DataFrame) -> Books:
        """From rows as CELLS: several of one cell and measure are added up, measures that a cell lacks are 0."""
        return cls({cube: _wide(cells.filter(pl.col("cube") == cube), cube) for cube in MEASURES})

    def cells(self) -> pl.DataFrame:
        """As rows of CELLS."""
        return pl.concat([_long(rows, cube, "value") for cube, rows in self.cubes.items()])

    def is_empty(self) -> bool:
        """Whether there is no cell."""
        return all(rows.is_empty() for rows in self.cubes.values())

    def day_values(self) -> dict[str, int | None] | None:
        """Every KPI of the date; None where there is none of its orders."""
        orders = self.cubes[kpis.ORDERS.name]
        if orders.is_empty():
            return None
        sums = orders.select(pl.col(MEASURES[kpis.ORDERS.name]).sum()).row(0, named=True)
        distinct = self.cubes[DISTINCT].select(pl.col(MEASURES[DISTINCT]).sum()).row(0, named=True)
        return kpis.daily_kpis(sums, distinct)

    def sha256(self) -> str:
        """SHA-256 over the cells in canonical form. Equal hashes mean equal books.

        Canonical: what is not zero, by cube, cell_start, key and measure (texts by code point), each a line of JSON
        ``[cube, cell_start, key, measure, value]`` without spaces and with the instant as RFC 3339 in UTC.
        """
        return canonical.lines_sha256(_lines(self.cubes[cube], cube) for cube in sorted(self.cubes))


def _wide(cells: pl.DataFrame, cube: str) -> pl.DataFrame:
    of = pl.col("value")
    sums = [of.filter(pl.col("measure") == name).sum().alias(name) for name in MEASURES[cube]]
    return cells.group_by(_PLACE).agg(sums).select(list(schema(cube)))


def _long(rows: pl.DataFrame, cube: str, value: str) -> pl.DataFrame:
    long = rows.unpivot(MEASURES[cube], index=_PLACE, variable_name="measure", value_name=value)
    return long.select(pl.lit(cube).alias("cube"), *_PLACE, "measure", value)


def _lines(rows: pl.DataFrame, cube: str) -> pl.Series:
    """The canonical lines of each cell, in their order."""
    ordered = rows.sort(_PLACE)  # texts by their UTF-8 bytes, which is by code point
    start, key = (canonical.encoded(ordered[name]) for name in _PLACE)
    place = pl.concat_str(pl.lit(f'["{cube}",'), start, pl.lit(","), key, pl.lit(',"'))
    lines = [
        pl.when(pl.col(name) != 0)
        .then(pl.concat_str("place", pl.lit(f'{name}",'), pl.col(name).cast(pl.String), pl.lit("]\n")))
        .otherwise(pl.lit(""))
        for name in sorted(MEASURES[cube])
    ]
    return ordered.with_columns(place=place).select(pl.concat_str(lines).alias("lines")).to_series()


def with_corrections(counted: Books, corrections: pl.DataFrame) -> Books:
    """The speed side: cells as counted, plus ``corrections`` (CELLS). One makes its cell exist, with all measures."""
    deltas = Books.of(corrections)
    return Books({cube: _added(rows, deltas.cubes[cube]) for cube, rows in counted.cubes.items()})


def _added(rows: pl.DataFrame, deltas: pl.DataFrame) -> pl.DataFrame:
    if deltas.is_empty():
        return rows
    touched = pl.concat([rows.join(deltas, on=_PLACE, how="semi"), deltas]).group_by(_PLACE).agg(pl.all().sum())
    return pl.concat([rows.join(deltas, on=_PLACE, how="anti"), touched])


def total(parts: Sequence[Books]) -> Books:
    """The cells of all, added up."""
    return Books(
        {
            cube: pl.concat([part.cubes[cube] for part in parts]).group_by(_PLACE).agg(pl.all().sum())
            for cube in MEASURES
        }
    )


def differing(one: Books, other: Books) -> tuple[int, pl.DataFrame]:
    """How many values either has, and those that are not equal: CELL, ``one``, ``other``.

    A cell that is missing has None for its values, which count as zeros: missing and zero do not differ.
    """
    count, found = 0, []
    for cube, names in MEASURES.items():
        joined = one.cubes[cube].join(other.cubes[cube], on=_PLACE, how="full", coalesce=True, suffix=_OTHER)
        count += joined.height * len(names)
        rows = joined.filter(
            pl.any_horizontal(pl.col(name).fill_null(0) != pl.col(name + _OTHER).fill_null(0) for name in names)
        )
        sides = (
            _long(rows, cube, "one"),
            _long(rows.select(*_PLACE, *(pl.col(name + _OTHER).alias(name) for name in names)), cube, "other"),
        )
        found.append(sides[0].with_columns(sides[1]["other"]))  # both are unpivoted from the same rows
    different = pl.col("one").fill_null(0) != pl.col("other").fill_null(0)
    return count, pl.concat(found).filter(different)


_OTHER = "\x00other"
"""Behind no name of a measure."""


def minus(minuend: Books, subtrahend: Books) -> pl.DataFrame:
    """The difference of two books where it is not 0: CELL, ``amount``; what one does not have is 0 in it."""
    amount = pl.col("one").fill_null(0) - pl.col("other").fill_null(0)
    return differing(minuend, subtrahend)[1].select(*CELL, amount=amount)


NOTHING = Books.of(CELLS.to_frame())
"""Books without a cell."""
