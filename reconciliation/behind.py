"""How far behind its partition each event was, and what every allowed lateness would have made of that.

Exact, not estimated: an event behind the watermark never moves it, accepted or not, so the watermark before each event
is the same under every lateness; and a copy of an event is at least as far behind as the event itself. So an event
would have been counted if and only if it was at most so far behind, as long as the stream remembers ids for longer.
A copy carries the time of its event, so dates can be worked out one by one and added up. Pure: frames in, values out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from reconciliation.compare import Types
from tandem.events import ORDER_TYPES, Decision
from tandem.settings import Settings

GRACES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 30, 60, 120, 180, 360, 720, 1440))

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


@dataclass(frozen=True, slots=True)
class Curve:
    """What each grace would have made of some dates: by grace, how many more events count, and the cents it removes.

    ``gross_cents``: the difference, the sum over all events of |batch - stream|.
    """

    gross_cents: int
    by_grace: Mapping[timedelta, tuple[int, int]]

    def plus(self, other: Curve) -> Curve:
        """Both dates together."""
        added = {
            grace: (events + other.by_grace[grace][0], cents + other.by_grace[grace][1])
            for grace, (events, cents) in self.by_grace.items()
        }
        return Curve(self.gross_cents + other.gross_cents, added)


def asked_of(settings: Settings) -> list[timedelta]:
    """The graces that are worked out: GRACES, and what is set now."""
    return sorted({*GRACES, settings.allowed_lateness})


def seen(rows: pl.DataFrame, over: timedelta) -> pl.DataFrame:
    """Of rows of the journal (tandem.journal.ROWS) of a date, as SEEN, those more than ``over`` behind: few."""
    behind = pl.col("watermark") - pl.col("event_time")
    kept = rows.filter(
        behind > over,
        pl.col("event_type").is_in(list(ORDER_TYPES)),
        pl.col("decision").is_in([Decision.COUNTED, Decision.LATE]),
    )
    counted = pl.col("decision") == Decision.COUNTED
    return kept.select("partition", "offset", "event_id", behind=behind, counted=counted, cents="cents")


def curve(seen: pl.DataFrame, differing: pl.DataFrame, asked: Iterable[timedelta]) -> Curve:
    """What each grace would have left of the difference.

    ``seen``: SEEN, of all events further behind than the shortest grace. ``differing``: DIFFERING, all of them.
    """
    gross = int((differing["batch_cents"] - differing["speed_cents"]).abs().sum())
    first = seen.sort("partition", "offset").unique(["partition", "event_id"], keep="first", maintain_order=True)
    now = pl.when("counted").then("cents").otherwise(0)
    rows = first.join(differing, on=["partition", "offset"], how="left").select(
        "behind", "counted", "cents", now=now, batch=pl.col("batch_cents").fill_null(now)
    )
    return Curve(gross, {grace: _grace(rows, grace) for grace in asked})


def _grace(rows: pl.DataFrame, grace: timedelta) -> tuple[int, int]:
    """Events and cents of a grace."""
    counts = pl.col("behind") <= grace
    then = pl.when(counts).then("cents").otherwise(0)
    removed = (pl.col("batch") - pl.col("now")).abs() - (pl.col("batch") - then).abs()
    events = counts.cast(pl.Int64) - pl.col("counted").cast(pl.Int64)
    sums = rows.select(events.sum().alias("events"), removed.sum().alias("removed")).row(0)
    return int(sums[0]), int(sums[1])
