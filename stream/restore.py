"""restore: what a partition remembers, from the journal of whoever read it before."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg

from stream.dedupe import PartitionState
from stream.hashed import Texts
from stream.types import EPOCH, MICROSECOND
from tandem import database, journal
from tandem.errors import TandemError
from tandem.events import Decision

_COLUMNS = ("event_id", "event_time", "decision")
_AT_ONCE = 50
"""Segments: of a few records or a few thousand."""


def restore(
    connection: psycopg.Connection[Any], topic: str, partition: int, watermark: datetime | None, horizon: timedelta
) -> PartitionState:
    """The state of a partition whose accepted events reach up to ``watermark``: the ids within the dedupe horizon.

    Raises TandemError where retention took ids that are within it: copies of these would be counted.
    """
    if watermark is None:
        return PartitionState()
    _require_kept(connection, topic, partition, watermark - horizon)
    state = PartitionState(watermark_us=(watermark - EPOCH) // MICROSECOND)
    parameters = {"topic": topic, "partition": partition, "since": watermark - horizon}
    query = database.queries("speed").accepted_since
    with connection.transaction(), connection.cursor(name="journal") as cursor:
        cursor.execute(query, parameters)
        while segments := cursor.fetchmany(_AT_ONCE):
            rows = journal.decode_each((segment for (segment,) in segments), partition, _COLUMNS)
            time_us = rows["event_time"].dt.epoch("us")
            kept = (rows["decision"] == Decision.COUNTED) & (time_us >= state.watermark_us - horizon // MICROSECOND)
            state.accept(Texts.of(rows["event_id"].filter(kept)), time_us.filter(kept).to_numpy())
    return state


def _require_kept(connection: psycopg.Connection[Any], topic: str, partition: int, since: datetime) -> None:
    rows = connection.execute(database.queries("journal").kept_from, {"topic": topic}).fetchall()
    for held, _, accepted_until in rows:
        if held == partition and accepted_until is not None and accepted_until >= since:
            raise TandemError(
                f"TANDEM_DEDUPE_HORIZON reaches further back than the journal of partition {partition}, of which"
                f" retention took what was accepted up to {accepted_until:%Y-%m-%d %H:%M} UTC",
                f"make it shorter, or bring the journal back: tandem stream rebuild --from {since:%Y-%m-%d} --swap",
            )
