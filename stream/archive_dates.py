"""The business date under which an event is archived: a pruning hint that never contradicts a decoder.

A reader that wants date D reads the partitions D and UNKNOWN. So an event whose ``event_time`` a decoder reads as D
must lie in one of those two. Whatever engines might read differently (a repeated key, an escaped key, a time that no
clock shows) is UNKNOWN, which is always right and only costs pruning.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import polars as pl

from tandem import payloads
from tandem.events import EARLIEST_EVENT_TIME, EVENT_TIME_PATTERN
from tandem.master_dataset import UNKNOWN

FURTHEST_AHEAD = timedelta(days=1)
"""An event further ahead of the broker's clock has an implausible date: it would make a partition that nobody reads."""

_FIELD = "event_time"
_EARLIEST = datetime.fromisoformat(EARLIEST_EVENT_TIME)


class _Dated(msgspec.Struct):
    event_time: str | None = None


_decode = msgspec.json.Decoder(_Dated).decode


def business_dates(values: list[bytes | None], kafka_time: pl.Series, zone: ZoneInfo) -> pl.Series:
    """``YYYY-MM-DD`` in the zone, or UNKNOWN, for each value; ``kafka_time`` is the broker's time of each (UTC)."""
    frame = pl.DataFrame(
        {"text": pl.Series([event_time_text(value) for value in values], dtype=pl.String), "kafka_time": kafka_time}
    )
    moment = _moment(pl.col("text"))
    plausible = (moment >= _EARLIEST) & (moment <= pl.col("kafka_time") + FURTHEST_AHEAD)
    day = moment.dt.convert_time_zone(zone.key).dt.date().cast(pl.String)
    return frame.select(business_date=pl.when(plausible).then(day).otherwise(pl.lit(UNKNOWN)))["business_date"]


def event_time_text(value: bytes | None) -> str | None:
    """The one top-level ``event_time`` of a JSON object where it is text; None where there is any doubt."""
    if value is None:
        return None
    if not value.isascii() and not _is_utf8(value):
        return None  # no decoder takes any of it, so that under a date nobody would find it
    if b"\\u" in value or value.count(b"event_time") != 1:
        return _the_only_one(value) if payloads.readable(value) else None
    try:
        return _decode(value).event_time
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _the_only_one(value: bytes) -> str | None:
    """For keys that repeat or are escaped, where engines keep the first or the last."""
    try:
        pairs = json.loads(value, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return None
    if not isinstance(pairs, tuple):
        return None
    found = [text for key, text in pairs if key.casefold() == _FIELD]
    return found[0] if len(found) == 1 and isinstance(found[0], str) else None


def _moment(text: pl.Expr) -> pl.Expr:
    """The UTC instant of a text in the grammar of event_time, NULL where it is none or not a date of the calendar."""
    local = text.str.slice(0, 19).str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
    offset = text.str.extract(r"([+-][0-9]{2}:[0-9]{2})$")
    hours, minutes = (offset.str.slice(at, 2).cast(pl.Int64).fill_null(0) for at in (1, 4))
    sign = pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)
    utc = local - pl.duration(minutes=sign * (hours * 60 + minutes))
    return pl.when(text.str.contains(EVENT_TIME_PATTERN)).then(utc).otherwise(None).dt.replace_time_zone("UTC")
