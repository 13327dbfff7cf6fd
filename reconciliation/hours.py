"""On which hour of the business's clock an instant falls, worked out apart from both layers."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

_SOME_INSTANT = datetime(1970, 1, 1, tzinfo=UTC)


def hour_start(time: pl.Expr, zone: str) -> pl.Expr:
    """Start of the hour, in UTC, as the offset from UTC at the instant has it.

    To cut local time goes wrong where clocks shift by half an hour, and fails where they skip the start of an hour.
    """
    if zone == "UTC":
        return time.dt.truncate("1h")
    local = time.fill_null(_SOME_INSTANT).dt.convert_time_zone(zone)  # polars looks beneath NULLs too
    ahead = local.dt.base_utc_offset() + local.dt.dst_offset()
    # An offset is in milliseconds, and so would be what it was added to.
    return ((time + ahead).dt.truncate("1h") - ahead).dt.cast_time_unit("us")
