"""Segment grids as data: read from ``rfm_grids.toml``, and refused unless every cell has exactly one segment."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from tandem.errors import TandemError

SCORES = range(1, 6)
Cell = tuple[int, int, int]
"""Scores of recency, frequency and money."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A segment for each of the 125 cells. ``version`` changes with any change to the cells."""

    name: str
    version: str
    segments: Mapping[Cell, str]


def load(tables: Iterable[Mapping[str, Any]]) -> tuple[Grid, ...]:
    """Grids from the tables of a TOML file. Raises TandemError naming a cell that has no segment, or more than one."""
    return tuple(_grid(table) for table in tables)


@cache
def grids() -> tuple[Grid, ...]:
    """The grids that come with Tandem."""
    return load(tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["grid"])


def _grid(table: Mapping[str, Any]) -> Grid:
    claims = [(cell, s["name"]) for s in table["segment"] for box in s["boxes"] for cell in _cells(box)]
    counts = Counter(cell for cell, _ in claims)
    for cell in product(SCORES, SCORES, SCORES):
        if counts[cell] != 1:
            named = ", ".join(sorted(name for claimed, name in claims if claimed == cell)) or "none"
            problem = f"grid '{table['name']}' gives the scores {cell} {counts[cell]} segments ({named})"
            raise TandemError(problem, "cover every cell exactly once in rfm_grids.toml")
    return Grid(table["name"], str(table["version"]), dict(claims))


def _cells(box: list[tuple[int, int]]) -> Iterable[Cell]:
    recency, frequency, money = (range(low, high + 1) for low, high in box)
    return product(recency, frequency, money)
