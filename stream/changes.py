"""changes: which entities' values have changed since they last went out to the state topics (capability S12).

A micro-batch says it by the rows it writes; what a worker did not send any more before it died, the journal says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from stream.types import Position

_UTC = pl.Datetime("us", "UTC")
_SQL_TYPES: dict[pl.DataType, str] = {_UTC: "timestamptz", pl.Date(): "date", pl.String(): "text"}
Frames = Mapping[str, pl.DataFrame]
"""Rows by the name of their table, of which the keys are looked at."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a key."""

    name: str
    type: pl.DataType

    @property
    def sql_type(self) -> str:
        """In Postgres."""
        return _SQL_TYPES[self.type]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of entity. ``found_in``: the tables whose rows name such entities, and by which expressions."""

    name: str
    columns: tuple[Column, ...]
    found_in: tuple[tuple[str, tuple[pl.Expr, ...]], ...]

    @property
    def table(self) -> str:
        """The temporary table that the keys are sent to."""
        return f"changed_{self.name}"

    def empty(self) -> pl.DataFrame:
        """No keys."""
        return pl.DataFrame(schema={column.name: column.type for column in self.columns})

    def keys(self, frames: Frames) -> list[pl.DataFrame]:
        """The entities that these rows name."""
        return [
            frames[table].select(columns).drop_nulls().unique()
            for table, columns in self.found_in
            if table in frames and frames[table].height
        ]


def _kind(name: str, columns: dict[str, pl.DataType], **found_in: list[str | pl.Expr]) -> Kind:
    places = tuple(
        (
            table,
            tuple(
                (pl.col(of) if isinstance(of, str) else of).cast(kind).alias(column)
                for (column, kind), of in zip(columns.items(), expressions, strict=True)
            ),
        )
        for table, expressions in found_in.items()
    )
    return Kind(name, tuple(Column(*column) for column in columns.items()), places)


_IN_ALL = pl.lit("")
_CATEGORY = pl.when(pl.col("cube") == "categories").then("key").when(pl.col("cube") == "orders").then(_IN_ALL)
_PRODUCT = pl.when(pl.col("cube") == "products").then("key")

KINDS = (
    _kind("minutes", {"pane_start": _UTC}, order_minutes=["pane_start"]),
    _kind(
        "dates",
        {"business_date": pl.Date()},
        order_minutes=["business_date"],
        adjustments=["business_date"],
    ),
    _kind(
        "trends",
        {"moment": _UTC, "category": pl.String()},
        order_minutes=["pane_start", _IN_ALL],
        category_hours=["pane_start", "category"],
        orders_entries=["cell_start", _IN_ALL],
        categories_entries=["cell_start", "category"],
        adjustments=["cell_start", _CATEGORY],
        finals=["moment", "category"],
    ),
    _kind("products", {"product_id": pl.String()}, product_totals=["product_id"], adjustments=[_PRODUCT]),
    _kind("customers", {"customer_id": pl.String()}, customer_totals=["customer_id"]),
    _kind("quality", {"pane_start": _UTC}, quality=["pane_start"]),
)

LOOKED_AT = frozenset(table for kind in KINDS for table, _ in kind.found_in)
"""The tables whose rows say what has changed."""

_MANY = 64
"""Frames of keys are put together from this number on, so that memory is bounded by the number of keys."""


@dataclass(slots=True)
class ChangesState:
    """What has changed and not gone out yet. ``reached``: the offsets up to which all of it is in here."""

    keys: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    reached: dict[Position, int] = field(default_factory=dict)

    def add(self, frames: Frames, reached: Mapping[Position, int]) -> None:
        """What a commit wrote, and how far it moved its partitions."""
        for kind in KINDS:
            if found := kind.keys(frames):
                held = self.keys.setdefault(kind.name, [])
                held += found
                if len(held) > _MANY:
                    held[:] = [pl.concat(held).unique()]
        for position, offset in reached.items():
            self.reached[position] = max(offset, self.reached.get(position, 0))

    def of(self, kind: Kind) -> pl.DataFrame:
        """Every entity of a kind, once."""
        return pl.concat([kind.empty(), *self.keys.get(kind.name, [])]).unique()
