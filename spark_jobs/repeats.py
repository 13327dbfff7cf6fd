"""Which published dates count an order that an earlier date has meanwhile turned out to have created.

A late ``order_created`` is counted on its own date, once that is restated. Where the order was created once more on one
of the dates that follow, that one is a duplicate from then on, though nothing of its own date has come. Only dates are
looked at whose facts are older than those of a date before them, within the lookback: none on most nights.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from spark_jobs.runs import Kind, Why
from tandem import database, delta
from tandem.events import Decision, EventType

if TYPE_CHECKING:
    from datetime import date

    from tandem.settings import Settings


def due(settings: Settings, last: date) -> dict[date, Why]:
    """The dates up to ``last`` whose published figures count an order that is now a repetition, and why."""
    with database.connect(settings, database.READER) as connection:
        facts = dict(connection.execute(database.queries("batch").published_facts).fetchall())
    found = {}
    for day, version in sorted(facts.items()):
        back = (day - timedelta(days=n) for n in range(1, settings.order_repeat_lookback_days + 1))
        newer = {before: facts[before] for before in back if facts.get(before, version) > version}
        if newer and day <= last and (count := _repeated(settings, (day, version), newer)):
            orders = f"{count} order{'s' * (count != 1)} that it counts came late for"
            found[day] = Why(Kind.LATE_DATA, f"{orders} {' or '.join(map(str, sorted(newer)))}")
    return found


def _repeated(settings: Settings, own: tuple[date, int], newer: dict[date, int]) -> int:
    """How many orders that a date counts were created on one of the dates before. Reads ids of these dates only."""
    counted = _created(settings, *own, [Decision.COUNTED])
    before = pl.concat(
        [_created(settings, *each, [Decision.COUNTED, Decision.DUPLICATE]) for each in newer.items()]
    ).unique()
    found = counted.join(before, on="order_id", how="semi").select(pl.len()).collect(engine="streaming")
    return int(found.item())


def _created(settings: Settings, day: date, version: int, decisions: list[Decision]) -> pl.LazyFrame:
    return (
        delta.scan(delta.at(settings.order_facts, version))
        .filter(
            pl.col("business_date") == day,
            pl.col("event_type") == EventType.ORDER_CREATED,
            pl.col("decision").is_in([str(decision) for decision in decisions]),
        )
        .select("order_id")
    )
