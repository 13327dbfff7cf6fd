"""What each layer decided about the events of a date below the cut: the speed layer's journal, Spark's facts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import polars as pl

from reconciliation import books
from reconciliation.behind import SEEN
from reconciliation.books import Books
from reconciliation.compare import Types
from reconciliation.sides import PublishedRun
from tandem import delta, facts_table
from tandem.errors import TandemError
from tandem.settings import Settings

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
class Alike:
    """What both layers book alike, added up. ``cells``: no distinct counts; ``customers``: those that count."""

    cells: Books
    customers: pl.Series


NONE_ALIKE = Alike(books.NOTHING, pl.Series(dtype=pl.String))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What both layers decided.

    ``journal`` (tandem.journal.ROWS) and ``facts`` (FACTS) hold every event of the date but for those in ``alike``, and
    where one side has it on another date or not at all, whatever it has at that offset. ``other_rules``: offset ranges
    that the stream decided under another rule version. ``begins``: where the journal begins, by partition. ``holes``
    (HOLES): where it lacks what the facts have; unclear until reconciliation.ledger.clear_up has looked at the sums.
    ``released``: ids of events among these that stand for a record which was approved out of quarantine.
    ``behind`` (behind.SEEN): the journal's events of the date that were further behind than the shortest grace.
    """

    journal: pl.DataFrame
    facts: pl.DataFrame
    other_rules: pl.DataFrame
    begins: dict[int, int]
    holes: pl.DataFrame = field(default_factory=HOLES.to_frame)
    alike: Alike = NONE_ALIKE
    released: frozenset[str] = frozenset()
    behind: pl.DataFrame = field(default_factory=SEEN.to_frame)


def facts_of(settings: Settings, run: PublishedRun, *dates: date) -> pl.DataFrame:
    """A run's facts of these dates, in the form of FACTS. Raises TandemError where they are gone."""
    return scan_facts(settings, run, *dates).select(list(FACTS)).collect().cast(dict(FACTS))  # type: ignore[arg-type]


def scan_facts(settings: Settings, run: PublishedRun, *dates: date) -> pl.LazyFrame:
    """A run's facts of these dates, to be read by column. Raises TandemError where they are gone."""
    again = f"compute the date again: tandem batch --date {dates[0]}"
    if run.facts_version is None:
        raise TandemError("the order facts of the published figures are gone", again)
    facts_table.require_same(settings)
    return delta.scan(delta.at(settings.order_facts, run.facts_version, again)).filter(
        pl.col("business_date").cast(pl.Date).is_in(dates)
    )
