"""A journal of segments that were put there, and what retention left of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from stream import journal_upkeep as upkeep
from tandem import journal
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS
from tests.reconciliation.books import execute, insert

NOW = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=200)
KEPT = timedelta(days=31)
DAY = date(2025, 6, 1)
DAYS = [DAY + timedelta(days=number) for number in range(6)]
TODAY = NOW.date()

Rows = Sequence[tuple[datetime, str]]
"""Event time and decision."""


@pytest.fixture
def own(postgres: Settings, tmp_path: Any) -> Settings:
    own = postgres.model_copy(update={"journal_retention": KEPT, "archive_uri": str(tmp_path / "archive")})
    for partition in (0, 1):
        place = {"topic": ORDER_EVENTS, "partition": partition}
        insert(own, "speed.partitions", **place, next_offset=1_000, first_offset=0, watermark=NOW)
        insert(own, "speed.published", **place, next_offset=1_000)
    return own


def noon(day: date, decision: str = "counted") -> tuple[datetime, str]:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC), decision


def put(
    settings: Settings, partition: int, first: int, rows: Rows, processed_at: datetime = LONG_AGO, **more: Any
) -> None:
    """A segment of as many offsets as there are rows."""
    content = pl.concat(
        [
            journal.ROWS.select(journal.SCHEMA.names),
            pl.DataFrame(
                {
                    "offset": [*range(first, first + len(rows))],
                    "event_id": [f"e{partition}-{at}" for at in range(first, first + len(rows))],
                    "event_time": [time for time, _ in rows],
                    "decision": [decision for _, decision in rows],
                }
            ).cast({"event_time": pl.Datetime("us", "UTC")}),
        ],
        how="diagonal",
    )
    accepted = [time for time, decision in rows if decision == "counted"]
    facts = {
        "min_business_date": min(time.date() for time, _ in rows),
        "max_business_date": max(time.date() for time, _ in rows),
        "max_accepted_time": max(accepted, default=None),
    }
    place = {"topic": ORDER_EVENTS, "partition": partition, "first_offset": first, "next_offset": first + len(rows)}
    decided = {"epoch": 1, "rule_version": "1", "processed_at": processed_at, "events": len(rows)}
    insert(
        settings, "speed.journal", **{**place, **facts, **decided, **more}, segment=journal.encode(content.to_arrow())
    )


def retain(settings: Settings, now: datetime = NOW, **options: bool) -> upkeep.Retained:
    return upkeep.retain(settings, now, lambda _: None, **options)


def kept(settings: Settings) -> list[tuple[int, int, int]]:
    rows = execute(settings, "SELECT partition, first_offset, next_offset FROM speed.journal ORDER BY 1, 2")
    return [tuple(row) for row in rows]


def begins(settings: Settings) -> dict[int, int]:
    return dict(execute(settings, "SELECT partition, from_offset FROM speed.journal_kept"))


def expired(settings: Settings) -> list[date]:
    return [day for (day,) in execute(settings, "SELECT business_date FROM speed.journal_expired ORDER BY 1")]
