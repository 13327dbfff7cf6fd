"""restore: what a partition remembers, from the journal of whoever read it before."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg

from stream.dedupe import PartitionState
from stream.types import EPOCH, MICROSECOND
from tandem import database, journal
from tandem.events import Decision

_COLUMNS = ("event_id", "event_time", "decision")
_AT_ONCE = 50
"""Segments: of a few records or a few thousand."""


def restore(
    connection: psycopg.Connection[Any], topic: str, partition: int, watermark: datetime | None, horizon: timedelta
) -> PartitionState:
    """The state of a partition whose accepted events reach up to ``watermark``: the ids within the dedupe horizon."""
    if watermark is None:
        return PartitionState()
    state = PartitionState(watermark_us=(watermark - EPOCH) // MICROSECOND)
    parameters = {"topic": topic, "partition": partition, "since": watermark - horizon}
    query = database.queries("speed").accepted_since
    with connection.transaction(), connection.cursor(name="journal") as cursor:
        cursor.execute(query, parameters)
        while segments := cursor.fetchmany(_AT_ONCE):
            rows = journal.decode_each((segment for (segment,) in segments), partition, _COLUMNS)
            time_us = rows["event_time"].dt.epoch("us")
            kept = (rows["decision"] == Decision.COUNTED) & (time_us >= state.watermark_us - horizon // MICROSECOND)
            state.accept(rows["event_id"].filter(kept), time_us.filter(kept).to_numpy())
    return state
