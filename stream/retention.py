"""retention: which rows a micro-batch lets go of, by event time and never by a clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from stream.process import Segment
from stream.sink import TABLES
from stream.tables import Table
from tandem.settings import Settings


def expired(segments: Iterable[Segment], settings: Settings) -> Mapping[Table, Mapping[int, datetime]]:
    """Per table, and partition whose watermark has entered another hour, the instant before which rows leave."""
    entered = {
        segment.partition: hour
        for segment in segments
        if (hour := _hour(segment.watermark_after)) and hour != _hour(segment.watermark_before)
    }
    if not entered:
        return {}
    return {
        table: {partition: hour - getattr(settings, table.expiry.keep) for partition, hour in entered.items()}
        for table in TABLES
        if table.expiry
    }


def _hour(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(minute=0, second=0, microsecond=0)
