"""What another allowed lateness would have made of the last dates (capability B7), from the stream's journal.

Exact, not estimated: an event behind the watermark never moves it, accepted or not, so the watermark before each event
is the same under every lateness; and a copy of an event is at least as far behind as the event itself. So an event
would have been counted if and only if it was at most so far behind, as long as the stream remembers ids for longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl
import psycopg

from reconciliation import cut
from reconciliation.compare import Types
from reconciliation.report import Grace, Lateness
from tandem import database, journal, topics
from tandem.events import ORDER_TYPES, Decision
from tandem.settings import Settings

DAYS = 7
GRACES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 30, 60, 120, 180, 360, 720, 1440))
ENOUGH = 0.95
"""A grace is enough when it removes this share of what the longest removes."""

_SEEN: Types = {
    "partition": pl.Int32,
    "offset": pl.Int64,
    "event_id": pl.String,
    "behind": pl.Duration("us"),
    "counted": pl.Boolean,
    "cents": pl.Int64,
}
SEEN = pl.Schema(_SEEN)
"""Events that the stream counted or found late, with how far each was behind the watermark and what it is worth."""
_DIFFERING: Types = {"partition": pl.Int32, "offset": pl.Int64, "speed_cents": pl.Int64, "batch_cents": pl.Int64}
DIFFERING = pl.Schema(_DIFFERING)
"""Events that the layers booked differently, with what each booked."""


def graces(seen: pl.DataFrame, differing: pl.DataFrame, asked: Sequence[timedelta]) -> tuple[Grace, ...]:
    """What each grace would have left of the difference: the sum over all events of |batch - stream|, in cents.

    ``seen``: SEEN, of all events further behind than the shortest grace. ``differing``: DIFFERING, all of them.
    """
    gross = int((differing["batch_cents"] - differing["speed_cents"]).abs().sum())
    first = seen.sort("partition", "offset").unique(["partition", "event_id"], keep="first", maintain_order=True)
    now = pl.when("counted").then("cents").otherwise(0)
    rows = first.join(differing, on=["partition", "offset"], how="left").select(
        "behind", "counted", "cents", now=now, batch=pl.col("batch_cents").fill_null(now)
    )
    return tuple(_grace(rows, gross, grace) for grace in sorted(asked))


def _grace(rows: pl.DataFrame, gross: int, grace: timedelta) -> Grace:
    counts = pl.col("behind") <= grace
    then = pl.when(counts).then("cents").otherwise(0)
    removed = (pl.col("batch") - pl.col("now")).abs() - (pl.col("batch") - then).abs()
    events = counts.cast(pl.Int64) - pl.col("counted").cast(pl.Int64)
    sums = rows.select(removed.sum().alias("removed"), events.sum().alias("events")).row(0)
    percent = 100 * sums[0] / gross if gross else None
    return Grace(int(grace.total_seconds() // 60), int(sums[1]), int(sums[0]), percent)


def advise(found: Sequence[Grace], now_minutes: int, dates: int) -> Lateness:
    """The shortest grace, not shorter than now, that removes nearly all that any removes; as it is where none helps."""
    longer = [grace for grace in found if grace.minutes >= now_minutes]
    most = max((grace.removed_cents for grace in longer), default=0)
    enough = (grace for grace in longer if most > 0 and grace.removed_cents >= ENOUGH * most)
    best = next(enough, None)
    return Lateness(dates, now_minutes, now_minutes if best is None else best.minutes, tuple(found))


def of_dates(connection: psycopg.Connection[Any], settings: Settings, last: date, days: int = DAYS) -> Lateness | None:
    """The advice from the last ``days`` dates compared, up to ``last``; None where none was or none can be read."""
    queries = database.queries("lateness")
    asked = sorted({*GRACES, settings.allowed_lateness})
    seen, differing, dates = [SEEN.to_frame()], [DIFFERING.to_frame()], 0
    where = {"business_date": last, "days": days, "topic": topics.ORDER_EVENTS}
    for day, number, run_id in connection.execute(queries.compared_dates, where).fetchall():
        taken = cut.read(connection, run_id)
        if taken is None:
            continue
        rows = connection.execute(queries.differing, {**where, "reconciliation_id": number}).fetchall()
        differing.append(pl.DataFrame(rows, schema=DIFFERING, orient="row"))
        seen += _seen(connection, settings, day, taken.offsets, asked[0])
        dates += 1
    if not dates:
        return None
    found = graces(pl.concat(seen), pl.concat(differing), asked)
    return advise(found, int(settings.allowed_lateness.total_seconds() // 60), dates)


def _seen(
    connection: psycopg.Connection[Any], settings: Settings, day: date, below: cut.Offsets, over: timedelta
) -> list[pl.DataFrame]:
    """Of each journal segment of the date the events more than ``over`` behind: few, so that a day fits in memory."""
    behind = pl.col("watermark") - pl.col("event_time")
    local = pl.col("event_time").dt.convert_time_zone(settings.business_timezone).dt.date()
    kept = []
    for partition, limit in sorted(below.items()):
        where = {"topic": topics.ORDER_EVENTS, "partition": partition, "below": limit, "business_date": day}
        for (segment,) in connection.execute(database.queries("speed").journal_segments, where):
            rows = journal.decode(segment, partition).filter(
                pl.col("offset") < limit,
                local == day,
                behind > over,
                pl.col("event_type").is_in(list(ORDER_TYPES)),
                pl.col("decision").is_in([Decision.COUNTED, Decision.LATE]),
            )
            counted = pl.col("decision") == Decision.COUNTED
            kept.append(rows.select("partition", "offset", "event_id", behind=behind, counted=counted, cents="cents"))
    return kept


def in_words(advice: Lateness) -> str:
    """The advice in a sentence or two, with its reason."""
    by_minutes = {grace.minutes: grace for grace in advice.graces}
    best = by_minutes[advice.advised_minutes]
    over = f"the last {advice.dates} dates" if advice.dates > 1 else "this date"
    if advice.advised_minutes == advice.now_minutes:
        return (
            f"Keep the allowed lateness of {span(advice.now_minutes)}: over {over} a longer one would not have removed"
            " any of the difference."
        )
    longest = max(advice.graces, key=lambda grace: grace.minutes)
    rest = ""
    if longest.minutes > best.minutes:
        rest = f"; {span(longest.minutes)} would have removed {_percent(longest)}"
    return (
        f"An allowed lateness of {span(best.minutes)} instead of {span(advice.now_minutes)} would have removed"
        f" {_percent(best)} of the difference over {over}{rest}. The price: an hour's figures may move for so long"
        " after its end."
    )


def span(minutes: int) -> str:
    """Minutes as people say them."""
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"


def _percent(grace: Grace) -> str:
    return "nothing" if grace.percent is None else f"{grace.percent:.0f} %"
