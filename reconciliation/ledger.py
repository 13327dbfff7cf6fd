"""The difference ledger (capability B1), second half: what each cause adds to each base cell.

Over all causes, the amounts of a cell and measure sum to batch - speed as the speed layer counted it, to the cent:
what no single event shows stands as ``aggregation`` (between the stream's journal and its sums) or ``unexplained``
(between the batch layer's facts and its sums).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

import polars as pl

from reconciliation import books, compare, fold, holes
from reconciliation.books import Books
from reconciliation.evidence import NONE_ALIKE, Alike, Evidence
from reconciliation.explain import Cause, booked_on, explain
from reconciliation.holes import Fate
from tandem import events, kpis

LEDGER = pl.Schema({**compare.CELL, "cause": pl.String, "events": pl.Int64, "amount": pl.Int64})
_CELL = list(compare.CELL)
_AMOUNTS = pl.Schema({**compare.CELL, "amount": pl.Int64})


def ledger(
    explained: pl.DataFrame, batch: Books, counted: Books, day_start: datetime, alike: Alike = NONE_ALIKE
) -> pl.DataFrame:
    """Amounts by cell, measure and cause, zero amounts left out.

    ``explained``: as from explain.explain, but for the events of ``alike``. ``counted``: the speed layer's cells
    without corrections.
    """
    differing = explained.filter("differs")
    facts, journal = (_contributions(differing, side) for side in ("batch", "speed"))
    cells = books.total([alike.cells, _booked_alike(explained)])
    by_event = pl.concat([facts, journal.with_columns(-pl.col("amount"))])
    causes = by_event.group_by([*_CELL, "cause"]).agg(
        events=pl.struct("partition", "offset").n_unique().cast(pl.Int64), amount=pl.col("amount").sum()
    )
    facts_apart, journal_apart = (
        pl.concat([rows.select(*_CELL, "amount"), _distinct(explained, side, day_start, alike)])
        for rows, side in ((facts, "batch"), (journal, "speed"))
    )
    lines = pl.concat(
        [
            causes.with_columns(pl.col("cause").cast(pl.String)),
            _customers(explained, day_start, alike),
            _rest(books.minus(batch, cells), facts_apart).with_columns(cause=pl.lit(Cause.UNEXPLAINED)),
            _label_rest(_rest(journal_apart, books.minus(counted, cells)), explained),
        ],
        how="diagonal",
    )
    return (
        lines.group_by([*_CELL, "cause"])
        .agg(pl.col("events").fill_null(0).sum(), pl.col("amount").sum())
        .filter(pl.col("amount") != 0)
        .select(list(LEDGER))
        .sort([*_CELL, "cause"])
    )


def clear_up(evidence: Evidence, counted: Books, business_date: date, zone: str) -> Evidence:
    """The evidence with the fates of the journal's holes, as far as the stream's sums ``counted`` tell."""
    if evidence.holes.is_empty():
        return evidence
    rows = explain(evidence, business_date, zone)
    facts, journal = (_contributions(rows, side) for side in ("batch", "speed"))
    known = journal.select(*_CELL, "amount"), evidence.alike.cells.cells().rename({"value": "amount"})
    return replace(evidence, holes=holes.with_fates(evidence.holes, facts, pl.concat(known), counted.cells()))


def _contributions(explained: pl.DataFrame, side: str) -> pl.DataFrame:
    """What a side books: cell, partition, offset, cause, amount, one row per event, cell and measure.

    The journal has no lines, so the stream's are those of the batch layer's facts for the events that it counted.
    """
    rows = explained.filter(pl.col(f"booked_{side}").fill_null(value=False)).select(
        "partition",
        "offset",
        "cause",
        event_type=pl.col(f"event_type_{side}"),
        cell_start=pl.col(f"hour_{side}"),
        total_cents=pl.col(f"cents_{side}"),
        previous_total_cents=pl.lit(0, pl.Int64),  # cents are the change of an amendment already
        units=pl.col(f"units_{side}"),
        items=pl.col("items_batch"),
    )
    return pl.concat([_of_cube(rows, cube) for cube in kpis.CUBES])


def _of_cube(rows: pl.DataFrame, cube: kpis.Cube) -> pl.DataFrame:
    if cube.rows == "lines":
        rows = rows.select(pl.exclude("units")).explode("items").drop_nulls("items").unnest("items")
        rows = rows.with_columns(pl.col("category").fill_null(events.UNCATEGORISED))
    rows = rows.with_columns(cube=pl.lit(cube.name), key=pl.col(cube.key) if cube.key else pl.lit(""))
    place = ["partition", "offset", "cause", "cube", "cell_start", "key"]
    frames = []
    for measure in kpis.measures_of(cube):
        of_type = rows.filter(pl.col("event_type") == measure.event_type)
        value = pl.sql_expr(measure.value).cast(pl.Int64)
        amount = pl.lit(1, pl.Int64) if measure.aggregate is kpis.Aggregate.EVENTS else value.sum()
        frames.append(of_type.group_by(place).agg(amount=amount).with_columns(measure=pl.lit(measure.name)))
    return pl.concat(frames).select("partition", "offset", "cause", *_CELL, "amount")


def _booked_alike(explained: pl.DataFrame) -> Books:
    """What the events that both sides book alike add to each."""
    rows = explained.filter(~pl.col("differs") & pl.col("booked_batch").fill_null(value=False)).select(
        event_type="event_type_batch",
        cell_start="hour_batch",
        total_cents="cents_batch",
        units="units_batch",
        items="items_batch",
    )
    return fold.of_events([rows])


def _customers(explained: pl.DataFrame, day_start: datetime, alike: Alike) -> pl.DataFrame:
    """One per customer that only one side counts, under the first cause among that customer's differing orders."""
    counted = kpis.UNIQUE_CUSTOMERS
    sides = {
        side: booked_on(explained, side, counted.event_type).select(
            "cause", customer=pl.col(f"{counted.column}_{side}")
        )
        for side in ("batch", "speed")
    }
    lines = []
    for side, other, sign in (("batch", "speed", 1), ("speed", "batch", -1)):
        alone = sides[side].join(sides[other], on="customer", how="anti")
        alone = alone.join(alike.customers.to_frame("customer"), on="customer", how="anti")
        causes = (
            alone.group_by("customer").agg(pl.col("cause").min()).group_by("cause").agg(count=pl.len().cast(pl.Int64))
        )
        lines.append(causes.select("cause", events=pl.col("count"), amount=sign * pl.col("count")))
    return pl.concat(lines).select(
        cube=pl.lit(compare.DISTINCT),
        cell_start=pl.lit(day_start).cast(compare.CELLS["cell_start"]),
        key=pl.lit(""),
        measure=pl.lit(counted.name),
        cause=pl.col("cause").cast(pl.String),
        events="events",
        amount="amount",
    )


def _distinct(explained: pl.DataFrame, side: str, day_start: datetime, alike: Alike) -> pl.DataFrame:
    """How many customers a side counts, as an amount of their cell."""
    counted = kpis.UNIQUE_CUSTOMERS
    own = booked_on(explained, side, counted.event_type)[f"{counted.column}_{side}"]
    customers = pl.concat([own, alike.customers])
    row = (compare.DISTINCT, day_start, "", counted.name, customers.n_unique())
    return pl.DataFrame([row], schema=_AMOUNTS, orient="row")


def _rest(minuend: pl.DataFrame, subtrahend: pl.DataFrame) -> pl.DataFrame:
    """The difference of two sets of amounts (_AMOUNTS) where it is not 0; what one does not have is 0 in it."""
    both = pl.concat([minuend, subtrahend.with_columns(-pl.col("amount"))])
    return both.group_by(_CELL).agg(pl.col("amount").sum()).filter(pl.col("amount") != 0)


def _label_rest(rest: pl.DataFrame, explained: pl.DataFrame) -> pl.DataFrame:
    """Between the journal and the stream's sums: aggregation, except where the lines of an event are not known.

    An event that the stream counted and the batch layer could not read has lines that neither journal nor facts show:
    what is left over in a product's hour is then its cause's, as long as it has as many pieces as the journal says.
    Where the journal does not reach, nothing is known.
    """
    unseen = explained.filter(
        pl.col("booked_speed").fill_null(value=False) & pl.col("items_batch").is_null() & pl.col("cause").is_not_null()
    ).select("cause", event_type="event_type_speed", cell_start="hour_speed", units="units_speed")
    causes = unseen.group_by("cell_start").agg(pl.col("cause").min().cast(pl.String).alias("unseen"))
    not_known = pl.col("unknown") & pl.col("fate").is_null() | pl.col("fate").eq_missing(pl.lit(Fate.UNCLEAR))
    otherwise = Cause.UNEXPLAINED if explained.select(not_known.any()).item() else Cause.AGGREGATION
    cause = pl.when("mixed").then(pl.lit(Cause.UNEXPLAINED)).otherwise(pl.coalesce("unseen", pl.lit(otherwise)))
    lines = pl.col("cube").is_in([cube.name for cube in _LINE_CUBES])
    return (
        rest.join(causes, on="cell_start", how="left")
        .join(_mixed(rest, unseen), on=["cube", "cell_start"], how="left")
        .with_columns(pl.when(lines).then("unseen"), pl.col("mixed").fill_null(value=False))
        .select([*_CELL, "amount"], cause=cause)
    )


_LINE_CUBES = [cube for cube in kpis.CUBES if cube.rows == "lines"]
_PIECES = pl.DataFrame(
    [
        (cube.name, m.name, str(m.event_type))
        for cube in _LINE_CUBES
        for m in kpis.measures_of(cube)
        if m.value == "quantity"
    ],
    schema=["cube", "measure", "event_type"],
    orient="row",
)
"""The measures that count pieces, of which the journal knows how many an event has."""


def _mixed(rest: pl.DataFrame, unseen: pl.DataFrame) -> pl.DataFrame:
    """The hours of a cube where the pieces left over are not those of the events whose lines are not known."""
    place = ["cube", "cell_start", "measure"]
    told = unseen.join(_PIECES, on="event_type").group_by(place).agg(pl.col("units").sum())
    left = rest.join(_PIECES, on=["cube", "measure"]).group_by(place).agg(pl.col("amount").sum())
    return (
        left.join(told, on=place, how="full", coalesce=True)
        .join(unseen.select("cell_start").unique(), on="cell_start", how="semi")
        .filter(pl.col("units").fill_null(0) + pl.col("amount").fill_null(0) != 0)
        .select("cube", "cell_start", mixed=pl.lit(value=True))
        .unique()
    )
