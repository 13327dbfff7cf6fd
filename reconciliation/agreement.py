"""Whether the layers agree on what is no sum: which products lead, what each customer comes to, how many are different.

A sum within 1 % may hide that another product leads, or that one customer has what another lacks. So the rankings that
either layer's cells make are held against each other, the customers of the date one by one, and how many different
customers and products either layer saw in each hour. Shown only: what differs here differs in cells too, which decide
and are corrected. Pure: frames in, values out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from reconciliation.books import Books
from reconciliation.compare import Status
from reconciliation.evidence import Alike
from reconciliation.explain import booked_on
from tandem import kpis
from tandem.events import EventType
from tandem.rollups import ROLLUPS


class Subject(StrEnum):
    """What is held against each other."""

    PRODUCTS = "products"
    CUSTOMERS = "customers"
    DISTINCTS = "distincts"


@dataclass(frozen=True, slots=True)
class Ranking:
    """Products by a sum of measures of theirs, the largest first; equal ones share the best of their ranks.

    They agree where at least ``alike`` of the batch layer's first ``top``, of 1, are among the stream's first, and the
    ranks of all that are among the first of either are ``apart`` on average at most. Whatever is not among the first
    counts as right behind them: the footrule distance of top lists with location top + 1, of Fagin, Kumar and
    Sivakumar (Comparing Top k Lists, 2003). So a product that a layer lacks weighs no more than one that it ranks low.
    """

    name: str
    factors: Mapping[str, int]
    top: int
    alike: float
    apart: float
    owner: str = "merchandising"


_NET_REVENUE = {"revenue_cents": 1, "amended_revenue_cents": 1, "cancelled_revenue_cents": -1}
_NET_UNITS = {"units": 1, "amended_units": 1, "cancelled_units": -1}
RANKINGS = tuple(
    Ranking(name, factors, top, alike=0.9, apart=apart)
    for name, factors in (("revenue", _NET_REVENUE), ("units", _NET_UNITS), ("orders", {"order_count": 1}))
    for top, apart in ((10, 1.0), (100, 5.0))
)
CUSTOMERS_ALIKE = 0.99
"""So many of the date's customers are to have the same in both layers, of 1."""
DISTINCTS_APART = 0.01
"""So far apart the distinct counts of all hours may be together, of 1."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the layers agree on the first ``top`` of a ranking, the ``measure`` of each customer, or distinct counts.

    ``compared``: products among the batch layer's first, customers that either layer has, or hours of a key that either
    has a distinct count of; ``alike``: how many of these are among the stream's first too, or the same in both.
    ``apart``: how many ranks the products that are among the first of either are apart on average; None for customers,
    and where there is none. By how much of the batch layer's the distinct counts differ, all together.
    """

    subject: Subject
    measure: str
    top: int
    compared: int
    alike: int
    apart: float | None
    status: Status


def of_products(batch: Books, speed: Books) -> tuple[Agreement, ...]:
    """The rankings of the products that each layer's cells make. Empty where neither has a product."""
    of_day = {side: _by_product(books) for side, books in (("batch", batch), ("speed", speed))}
    if all(rows.is_empty() for rows in of_day.values()):
        return ()
    return tuple(_of_ranking(ranking, of_day["batch"], of_day["speed"]) for ranking in RANKINGS)


def _by_product(books: Books) -> pl.DataFrame:
    return books.cubes[kpis.PRODUCTS.name].drop("cell_start").group_by("key").agg(pl.all().sum())


def _of_ranking(ranking: Ranking, batch: pl.DataFrame, speed: pl.DataFrame) -> Agreement:
    sides = {name: _ranked(rows, ranking.factors) for name, rows in (("batch", batch), ("speed", speed))}
    # What a side has not stands behind all that it has.
    behind = {name: rows.height + 1 for name, rows in sides.items()}
    both = sides["batch"].join(sides["speed"], on="key", how="full", coalesce=True, suffix="_speed")
    ranks = both.select(
        pl.col(column).fill_null(behind[name]).clip(upper_bound=ranking.top + 1).alias(name)
        for name, column in (("batch", "rank"), ("speed", "rank_speed"))
    )
    first = {name: pl.col(name) <= min(ranking.top, behind[name] - 1) for name in sides}
    compared, alike, apart = ranks.select(
        first["batch"].sum().alias("compared"),
        (first["batch"] & first["speed"]).sum().alias("alike"),
        (pl.col("batch") - pl.col("speed")).abs().filter(first["batch"] | first["speed"]).mean().alias("apart"),
    ).row(0)
    agrees = alike >= ranking.alike * compared and (apart or 0) <= ranking.apart
    status = Status.MATCH if agrees else Status.MISMATCH
    if batch.is_empty() or speed.is_empty():
        status = Status.MISSING_IN_BATCH if batch.is_empty() else Status.MISSING_IN_SPEED
    return Agreement(Subject.PRODUCTS, ranking.name, ranking.top, compared, alike, apart, status)


def _ranked(rows: pl.DataFrame, factors: Mapping[str, int]) -> pl.DataFrame:
    value = pl.sum_horizontal(pl.col(name) * factor for name, factor in factors.items())
    return rows.select("key", rank=value.rank("min", descending=True).cast(pl.Int64))


def of_customers(explained: pl.DataFrame, alike: Alike) -> tuple[Agreement, ...]:
    """What each customer of the date comes to in orders and revenue, on both sides.

    ``explained``: as from explain.explain, but for the events of ``alike``, which add the same to both sides.
    """
    created = {
        side: booked_on(explained, side, EventType.ORDER_CREATED).select(
            customer=pl.col(f"customer_id_{side}"), orders=pl.lit(sign), revenue=pl.col(f"cents_{side}") * sign
        )
        for side, sign in (("batch", 1), ("speed", -1))
    }
    seen = pl.concat([*(rows["customer"] for rows in created.values()), alike.customers]).n_unique()
    off = pl.concat(created.values()).group_by("customer").agg(pl.col("orders", "revenue").sum())
    found = []
    for measure in ("orders", "revenue"):
        same = seen - off.filter(pl.col(measure) != 0).height
        status = Status.MATCH if same >= CUSTOMERS_ALIKE * seen else Status.MISMATCH
        found.append(Agreement(Subject.CUSTOMERS, measure, 0, seen, same, None, status))
    return tuple(found) if seen else ()


def of_distincts(hours: pl.DataFrame) -> tuple[Agreement, ...]:
    """How many different customers and products either layer saw by the hour, for every roll-up.

    ``hours``: ``rollup``, ``counted``, and the counts ``batch`` and ``speed`` of each hour of a key, NULL where a side
    has none of it.
    """
    off = (pl.col("batch").fill_null(0) - pl.col("speed").fill_null(0)).abs()
    found = hours.group_by("rollup", "counted", maintain_order=True).agg(
        compared=pl.len(),
        alike=pl.col("batch").eq_missing(pl.col("speed")).sum(),
        off=off.sum(),
        batch=pl.col("batch").sum(),
        speed=pl.col("speed").sum(),
    )
    keys = {rollup.name: rollup.key for rollup in ROLLUPS}
    return tuple(
        Agreement(
            Subject.DISTINCTS,
            f"{counted} by {str(keys[rollup]).replace('_', ' ')}",
            0,
            compared,
            alike,
            off / batch if batch else None,
            _of_counts(off, batch, speed),
        )
        for rollup, counted, compared, alike, off, batch, speed in found.sort("rollup", "counted").iter_rows()
    )


def _of_counts(off: int, batch: int, speed: int) -> Status:
    if not batch or not speed:
        return Status.MISSING_IN_SPEED if batch else Status.MISSING_IN_BATCH
    return Status.MATCH if off <= DISTINCTS_APART * batch else Status.MISMATCH
