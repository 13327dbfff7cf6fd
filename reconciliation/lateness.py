"""What another allowed lateness would have made of the last dates (capability B7), and which is advised.

It is worked out once, from the journal, when a date is compared, and kept: what a report reads are a few rows a date.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl
import psycopg

from reconciliation import behind, cut
from reconciliation.behind import Curve
from reconciliation.report import Grace, Lateness
from tandem import database, journal, topics
from tandem.settings import Settings

DAYS = 7
ENOUGH = 0.95
"""A grace is enough when it removes this share of what the longest removes."""


def graces(curve: Curve) -> tuple[Grace, ...]:
    """In the report's form, the shortest first."""
    gross = curve.gross_cents
    return tuple(
        Grace(_minutes(grace), events, cents, 100 * cents / gross if gross else None)
        for grace, (events, cents) in sorted(curve.by_grace.items())
    )


def advise(found: Sequence[Grace], now: timedelta, dates: int) -> Lateness:
    """The shortest grace, not shorter than now, that removes nearly all that any removes; as it is where none helps."""
    now_minutes = _minutes(now)
    longer = [grace for grace in found if grace.minutes >= now_minutes]
    most = max((grace.removed_cents for grace in longer), default=0)
    enough = (grace for grace in longer if most > 0 and grace.removed_cents >= ENOUGH * most)
    best = next(enough, None)
    return Lateness(dates, now_minutes, now_minutes if best is None else best.minutes, tuple(found))


def of_dates(connection: psycopg.Connection[Any], settings: Settings, last: date, days: int = DAYS) -> Lateness | None:
    """The advice from the last ``days`` dates compared, up to ``last``; None where none was or none can be read."""
    where = {"business_date": last, "days": days}
    found, dates = Curve(0, dict.fromkeys(behind.asked_of(settings), (0, 0))), 0
    for day, number, run_id in connection.execute(database.queries("lateness").compared_dates, where).fetchall():
        of_day = _kept(connection, settings, number) or _worked_out(connection, settings, day, number, run_id)
        if of_day is not None:
            found, dates = found.plus(of_day), dates + 1
    if not dates:
        return None
    return advise(graces(found), settings.allowed_lateness, dates)


def left_out(
    connection: psycopg.Connection[Any], settings: Settings, last: date, days: int = DAYS
) -> dict[date, journal.ExpiredError]:
    """Those of these dates of which nothing was kept that answers, and no journal is left to work it out from."""
    where = {"business_date": last, "days": days}
    compared = connection.execute(database.queries("lateness").compared_dates, where).fetchall()
    return journal.expired(connection, [day for day, number, _ in compared if not _kept(connection, settings, number)])


def _kept(connection: psycopg.Connection[Any], settings: Settings, reconciliation_id: int) -> Curve | None:
    """What was worked out when the date was compared; None where that has not all that is asked now."""
    query = database.queries("lateness").kept
    rows = connection.execute(query, {"reconciliation_id": reconciliation_id}).fetchall()
    by_grace = {grace: (events, removed) for grace, events, removed, _ in rows}
    if not by_grace.keys() >= set(behind.asked_of(settings)):
        return None
    return Curve(rows[0][-1], {grace: by_grace[grace] for grace in behind.asked_of(settings)})


def _worked_out(
    connection: psycopg.Connection[Any], settings: Settings, day: date, reconciliation_id: int, run_id: str
) -> Curve | None:
    """From the journal; None where that has expired, or the date's cut is gone."""
    taken = cut.read(connection, run_id)
    if taken is None:
        return None
    where = {"reconciliation_id": reconciliation_id, "topic": topics.ORDER_EVENTS}
    rows = connection.execute(database.queries("lateness").differing, where).fetchall()
    asked = behind.asked_of(settings)
    try:
        late = [
            behind.seen(journal.read(connection, topics.ORDER_EVENTS, day, {partition: limit}), asked[0])
            for partition, limit in sorted(taken.offsets.items())
        ]
    except journal.ExpiredError:
        return None
    differing = pl.DataFrame(rows, schema=behind.DIFFERING, orient="row")
    return behind.curve(pl.concat([behind.SEEN.to_frame(), *late]), differing, asked)


def in_words(advice: Lateness) -> str:
    """The advice in a sentence or two, with its reason."""
    by_minutes = {grace.minutes: grace for grace in advice.graces}
    # Dates that were decided under another lateness may differ less under the one that is set now.
    best, now = by_minutes[advice.advised_minutes], by_minutes[advice.now_minutes]
    longest = max(advice.graces, key=lambda grace: grace.minutes)
    over = f"the last {advice.dates} dates" if advice.dates > 1 else "this date"
    if best is now:
        more = f"{_percent(now)} of the difference, and {span(longest.minutes)} {_percent(longest)}"
        none = "any more of the difference" if now.removed_cents else "any of the difference"
        helps = any(grace.removed_cents > now.removed_cents for grace in advice.graces if grace.minutes > now.minutes)
        said = f"it would have removed {more}" if helps else f"a longer one would not have removed {none}"
        return f"Keep the allowed lateness of {span(now.minutes)}: over {over} {said}."
    rest = f"; {span(now.minutes)}, as it is set now, {_percent(now)}" if now.removed_cents else ""
    if longest.minutes > best.minutes:
        rest += f"; {span(longest.minutes)} would have removed {_percent(longest)}"
    return (
        f"An allowed lateness of {span(best.minutes)} instead of {span(now.minutes)} would have removed"
        f" {_percent(best)} of the difference over {over}{rest}. The price: an hour's figures may move for so long"
        " after its end."
    )


def span(minutes: float) -> str:
    """Minutes as people say them; seconds where they are not whole."""
    if minutes % 1:
        return f"{minutes * 60:g} s"
    return f"{minutes // 60:g} h" if minutes and minutes % 60 == 0 else f"{minutes:g} min"


def _minutes(grace: timedelta) -> float:
    """Whole ones as whole numbers."""
    minutes = grace / timedelta(minutes=1)
    return int(minutes) if minutes.is_integer() else minutes


def _percent(grace: Grace) -> str:
    return "nothing" if grace.percent is None else f"{grace.percent:.0f} %"
