"""Read what both layers decided about a date, and sift it: what they book alike is added up and never kept by event.

A large date does not fit in memory. So the journal is read a partition at a time; of the facts the few columns that
say what is booked are held, and the rest passes by once, in pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import polars as pl
import psycopg

from reconciliation import behind, explain, fold
from reconciliation.ahead import ahead
from reconciliation.books import Books
from reconciliation.cut import Cut
from reconciliation.evidence import FACTS, HOLES, OTHER_RULES, Alike, Evidence, facts_of, scan_facts
from reconciliation.holes import Fate
from reconciliation.sides import PublishedRun
from tandem import database, journal, kpis, topics
from tandem.events import Decision, EventType
from tandem.settings import Settings

_PLACE = ["partition", "offset"]
_PLACES = pl.Schema({name: FACTS[name] for name in _PLACE})
_TYPES = pl.Enum([kind.value for kind in EventType])
_AT_ONCE = 200_000
"""Facts that pass by together."""
_ADDED_UP = (*_PLACE, "event_type", "event_time", "total_cents", "previous_total_cents", "units", "items", "decision")
_NOTHING_BOOKED = pl.DataFrame(
    schema={
        **_PLACES,
        "booked": pl.Boolean,
        "event_type": _TYPES,
        "cents": pl.Int64,
        "units": pl.Int64,
        "customer_id": pl.String,
        "hour": pl.Datetime("us", "UTC"),
    }
)
_NOBODY = pl.Series("customer_id", dtype=pl.String)


def read(connection: psycopg.Connection[Any], settings: Settings, cut: Cut, run: PublishedRun) -> Evidence:
    """The evidence of a cut's date. Raises TandemError where the facts of the run are gone."""
    queries = database.queries("reconciliation")
    topic = {"topic": topics.ORDER_EVENTS}
    day, zone = cut.business_date, settings.business_timezone
    # A partition without any journal has lost all of it: the stream is past the cut.
    begins = {**cut.offsets, **dict(connection.execute(queries.journal_begins, topic).fetchall())}
    booked = _booked(scan_facts(settings, run, day), day, zone)
    late, shortest = [behind.SEEN.to_frame()], behind.asked_of(settings)[0]
    rows, places, customers, missing = [journal.ROWS], [_PLACES.to_frame()], [_NOBODY], [_PLACES.to_frame()]

    def journal_of(partition: int) -> pl.DataFrame:
        below = {partition: cut.offsets[partition]} if partition in cut.offsets else {}
        return journal.read(connection, topics.ORDER_EVENTS, day, below=below)

    partitions = sorted({*cut.offsets, *booked})
    for partition, decided in zip(partitions, ahead(journal_of, partitions), strict=True):
        facts = booked.pop(partition, _NOTHING_BOOKED)
        typed = decided.with_columns(pl.col("event_type").cast(_TYPES, strict=False))
        late.append(behind.seen(decided, shortest))
        alike = explain.alike(explain.effects(typed, day, zone), facts)
        rest = facts.join(alike, on=_PLACE, how="anti")
        # Below where the journal begins nobody knows better: alike, but for one that stands for all of them.
        forgotten = rest.filter(pl.col("offset") < begins.get(partition, 0))
        customers += [_customers(alike), _customers(forgotten[1:])]
        rest = rest.join(forgotten[1:], on=_PLACE, how="anti")
        rows.append(decided.join(alike, on=_PLACE, how="anti"))
        places.append(rest.select(_PLACE))
        missing.append(rest.join(decided, on=_PLACE, how="anti").select(_PLACE))
    apart, only_facts = pl.concat(places), pl.concat(missing)
    origins = _origins(settings, run, day, apart)
    apart = pl.concat([apart, origins])
    facts, cells = _pass_by(settings, run, cut, apart, zone)
    kept = pl.concat(rows)
    only_rows = kept.join(facts, on=_PLACE, how="anti").select(_PLACE)
    rules = {**topic, "rule_version": run.rule_version, "business_date": day}
    decided = pl.concat([kept, _journal_at(connection, only_facts), _journal_at(connection, origins)])
    facts = pl.concat([facts, _facts_at(settings, run, day, only_rows)])
    return Evidence(
        journal=decided,
        facts=facts,
        other_rules=pl.DataFrame(
            connection.execute(queries.journal_of_other_rules, rules).fetchall(), schema=OTHER_RULES, orient="row"
        ),
        begins=begins,
        holes=_holes(connection, cut, only_facts),
        alike=Alike(cells, pl.concat(customers).unique()),
        released=_released(connection, decided["event_id"], facts["event_id"]),
        behind=pl.concat(late),
    )


def _booked(facts: pl.LazyFrame, day: date, zone: str) -> dict[int, pl.DataFrame]:
    """What the batch layer books for each event of the date (explain.effects), by partition."""
    names = ("event_type", "event_time", "total_cents", "previous_total_cents", "units", "customer_id", "decision")
    narrow = facts.select(pl.col(name).cast(FACTS[name]) for name in (*_PLACE, *names))
    with_cents = narrow.with_columns(pl.col("event_type").cast(_TYPES, strict=False), cents=explain.batch_cents())
    rows = explain.effects(with_cents, day, zone).select(_NOTHING_BOOKED.columns).collect()
    return {partition: of for (partition,), of in rows.partition_by("partition", as_dict=True).items()}


def _customers(booked: pl.DataFrame) -> pl.Series:
    """Who counts as a customer of the date."""
    counted = kpis.UNIQUE_CUSTOMERS
    return booked.filter("booked", pl.col("event_type") == counted.event_type)[counted.column].unique()


def _origins(settings: Settings, run: PublishedRun, day: date, apart: pl.DataFrame) -> pl.DataFrame:
    """Where the batch layer counted the orders that it calls repeated at one of ``apart``; these left out."""
    facts = scan_facts(settings, run, day).select(*_PLACE, "order_id", "event_type", "decision").cast(_PLACES)
    repeated = facts.filter(pl.col("decision") == Decision.DUPLICATE).collect().join(apart, on=_PLACE, how="semi")
    orders = repeated["order_id"].drop_nulls().unique().to_list()
    if not orders:
        return _PLACES.to_frame()
    counted = (pl.col("decision") == Decision.COUNTED) & (pl.col("event_type") == EventType.ORDER_CREATED)
    found = facts.filter(pl.col("order_id").is_in(orders) & counted).select(_PLACE).collect()
    return found.join(apart, on=_PLACE, how="anti")


def _pass_by(
    settings: Settings, run: PublishedRun, cut: Cut, apart: pl.DataFrame, zone: str
) -> tuple[pl.DataFrame, Books]:
    """The facts at ``apart``, and the cells that all others make."""
    table = scan_facts(settings, run, cut.business_date)
    items = [FACTS.to_frame().select(*_PLACE, "items")]
    marked = apart.unique().with_columns(apart=pl.lit(value=True))

    def others() -> Iterator[pl.DataFrame]:
        for piece in table.select(_ADDED_UP).collect_batches(chunk_size=_AT_ONCE, maintain_order=False):
            rows = piece.cast({name: FACTS[name] for name in _ADDED_UP}).with_columns(cents=explain.batch_cents())
            items.append(rows.select(*_PLACE, "items").join(apart, on=_PLACE, how="semi"))
            is_apart = rows.select(_PLACE).join(marked, on=_PLACE, how="left", maintain_order="left")["apart"]
            # To take rows out would copy the items of all others.
            counts = pl.col("booked") & is_apart.is_null()
            yield explain.effects(rows, cut.business_date, zone).select(
                "units",
                "items",
                event_type=pl.when(counts).then("event_type"),
                cell_start=pl.col("hour"),
                total_cents=pl.col("cents"),
            )

    cells = fold.of_events(others())
    # By offset first, since that is found while reading: texts of other rows are not even decoded. Items would be.
    names = [name for name in FACTS if name != "items"]
    near = table.select(names).filter(pl.col("offset").is_in(apart["offset"].unique().to_list())).collect()
    kept = near.cast({name: FACTS[name] for name in names}).join(apart, on=_PLACE, how="semi")
    return kept.join(pl.concat(items), on=_PLACE).select(list(FACTS)), cells


def _facts_at(settings: Settings, run: PublishedRun, day: date, places: pl.DataFrame) -> pl.DataFrame:
    """Facts of the neighbouring dates at ``places``: an event that the batch layer put on another date."""
    if places.is_empty():
        return FACTS.to_frame()
    neighbours = facts_of(settings, run, day - timedelta(days=1), day + timedelta(days=1))
    return neighbours.join(places, on=_PLACE, how="semi")


def _journal_at(connection: psycopg.Connection[Any], places: pl.DataFrame) -> pl.DataFrame:
    """The journal at ``places``, whatever date it put them on."""
    if places.is_empty():
        return journal.ROWS
    query = database.queries("reconciliation").journal_segments_holding
    segments = connection.execute(query, _asked(places))
    found = [journal.decode(segment, partition) for partition, _, segment in segments]
    return pl.concat([journal.ROWS, *found]).join(places, on=_PLACE, how="semi")


def _holes(connection: psycopg.Connection[Any], cut: Cut, places: pl.DataFrame) -> pl.DataFrame:
    """The holes of the journal that hold one of ``places``, up to the cut."""
    if places.is_empty():
        return HOLES.to_frame()
    found = connection.execute(database.queries("reconciliation").journal_holes, _asked(places))
    rows = [
        (partition, first, cut.offsets[partition] if after is None else after, Fate.UNCLEAR.value)
        for partition, first, after in found
    ]
    return pl.DataFrame(rows, schema=HOLES, orient="row")


def _released(connection: psycopg.Connection[Any], *event_ids: pl.Series) -> frozenset[str]:
    """Those ids that a review gave: a producer may call its own events what it likes."""
    ids = pl.concat(event_ids).unique()
    asked = {"event_ids": ids.filter(ids.str.starts_with("release:")).to_list()}
    return frozenset(event_id for (event_id,) in connection.execute(database.queries("reconciliation").released, asked))


def _asked(places: pl.DataFrame) -> dict[str, Any]:
    offsets = {"partitions": places["partition"].to_list(), "offsets": places["offset"].to_list()}
    return {"topic": topics.ORDER_EVENTS, **offsets}
