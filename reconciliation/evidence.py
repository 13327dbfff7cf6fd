"""Read what each layer decided about every event of a date below the cut: the speed layer's journal, Spark's facts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import polars as pl
import psycopg

from reconciliation.compare import Types
from reconciliation.cut import Cut
from reconciliation.holes import Fate
from reconciliation.sides import PublishedRun
from tandem import database, journal, topics
from tandem.errors import TandemError
from tandem.settings import Settings

_PLACE = ["partition", "offset"]
_ITEM = pl.Struct({"product_id": pl.String, "category": pl.String, "quantity": pl.Int64, "amount_cents": pl.Int64})
_FACTS: Types = {
    "partition": pl.Int32,
    "offset": pl.Int64,
    "event_id": pl.String,
    "event_type": pl.String,
    "event_time": pl.Datetime("us", "UTC"),
    "order_id": pl.String,
    "customer_id": pl.String,
    "total_cents": pl.Int64,
    "previous_total_cents": pl.Int64,
    "units": pl.Int64,
    "items": pl.List(_ITEM),
    "decision": pl.String,
    "reasons": pl.String,
}
FACTS = pl.Schema(_FACTS)
"""The columns of ``order_facts`` that decide what the batch layer books for an event."""
OTHER_RULES = pl.Schema(
    {"partition": pl.Int32, "first_offset": pl.Int64, "next_offset": pl.Int64, "rule_version": pl.String}
)
HOLES = pl.Schema({"partition": pl.Int32, "first_offset": pl.Int64, "next_offset": pl.Int64, "fate": pl.String})
"""Offsets that no segment of the journal covers, though it has some before them; ``fate``: reconciliation.holes."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What both layers decided.

    ``journal`` (tandem.journal.ROWS) and ``facts`` (FACTS) hold every event of the date, and where one side has it on
    another date or not at all, whatever it has at that offset. ``other_rules``: offset ranges that the stream decided
    under another rule version. ``begins``: where the journal begins, by partition. ``holes`` (HOLES): where it lacks
    what the facts have; unclear until reconciliation.ledger.clear_up has looked at the sums.
    """

    journal: pl.DataFrame
    facts: pl.DataFrame
    other_rules: pl.DataFrame
    begins: dict[int, int]
    holes: pl.DataFrame = field(default_factory=HOLES.to_frame)


def read(connection: psycopg.Connection[Any], settings: Settings, cut: Cut, run: PublishedRun) -> Evidence:
    """The evidence of a cut's date. Raises TandemError where the facts of the run are gone."""
    queries = database.queries("reconciliation")
    topic = {"topic": topics.ORDER_EVENTS}
    rows = journal.read(connection, topics.ORDER_EVENTS, cut.business_date, below=cut.offsets)
    facts = facts_of(settings, run, cut.business_date)
    only_facts = facts.join(rows, on=_PLACE, how="anti").select(_PLACE)
    only_rows = rows.join(facts, on=_PLACE, how="anti").select(_PLACE)
    rules = {**topic, "rule_version": run.rule_version, "business_date": cut.business_date}
    return Evidence(
        journal=pl.concat([rows, _journal_at(connection, only_facts)]),
        facts=pl.concat([facts, _facts_at(settings, run, cut.business_date, only_rows)]),
        other_rules=pl.DataFrame(
            connection.execute(queries.journal_of_other_rules, rules).fetchall(), schema=OTHER_RULES, orient="row"
        ),
        begins=dict(connection.execute(queries.journal_begins, topic).fetchall()),
        holes=_holes(connection, cut, only_facts),
    )


def facts_of(settings: Settings, run: PublishedRun, *dates: date) -> pl.DataFrame:
    """A run's facts of these dates, in the form of FACTS. Raises TandemError where they are gone."""
    from deltalake.exceptions import DeltaError, TableNotFoundError

    try:
        table = pl.scan_delta(settings.order_facts, version=run.facts_version)
        rows = table.filter(pl.col("business_date").cast(pl.Date).is_in(dates)).select(list(FACTS)).collect()
    except (DeltaError, TableNotFoundError) as error:
        raise TandemError(
            f"version {run.facts_version} of order_facts cannot be read ({str(error).strip().splitlines()[0]})",
            f"compute the date again: tandem batch --date {dates[0]}",
        ) from error
    return rows.cast(dict(FACTS))  # type: ignore[arg-type]


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
    parameters = {
        "topic": topics.ORDER_EVENTS,
        "partitions": places["partition"].to_list(),
        "offsets": places["offset"].to_list(),
    }
    found = [journal.decode(segment, partition) for partition, _, segment in connection.execute(query, parameters)]
    return pl.concat([journal.ROWS, *found]).join(places, on=_PLACE, how="semi")


def _holes(connection: psycopg.Connection[Any], cut: Cut, places: pl.DataFrame) -> pl.DataFrame:
    """The holes of the journal that hold one of ``places``, up to the cut."""
    if places.is_empty():
        return HOLES.to_frame()
    query = database.queries("reconciliation").journal_holes
    parameters = {
        "topic": topics.ORDER_EVENTS,
        "partitions": places["partition"].to_list(),
        "offsets": places["offset"].to_list(),
    }
    rows = [
        (partition, first, cut.offsets[partition] if after is None else after, Fate.UNCLEAR.value)
        for partition, first, after in connection.execute(query, parameters)
    ]
    return pl.DataFrame(rows, schema=HOLES, orient="row")
