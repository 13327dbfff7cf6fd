"""A reader of date D opens the partitions D and unknown: there it must find every event that it decodes to D."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from awkward import VALUES, mixed

from stream.archive_dates import business_dates
from stream.decode import decode
from stream.types import Records
from tandem.master_dataset import UNKNOWN

KAFKA_TIME = datetime(2017, 12, 21, 10, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Kiritimati"])
def test_no_event_is_archived_under_another_date_than_the_speed_layer_decodes(zone: str):
    values = [*VALUES, *(mixed(seed) for seed in range(20_000))]
    times = pl.Series([KAFKA_TIME] * len(values), dtype=pl.Datetime("us", "UTC"))
    archived = business_dates(values, times, ZoneInfo(zone))
    records = Records(
        partitions=[0] * len(values),
        offsets=list(range(len(values))),
        kafka_times_ms=[int(KAFKA_TIME.timestamp() * 1000)] * len(values),
        keys=[None] * len(values),
        values=values,
    )
    event_time = decode(records, "USD").events["event_time"]
    decoded = event_time.dt.convert_time_zone(zone).dt.date().cast(pl.String)
    elsewhere = decoded.is_not_null() & (archived != decoded) & (archived != UNKNOWN)
    assert [values[at] for at in elsewhere.arg_true()] == []
    nowhere = decoded.is_null() & (archived != UNKNOWN)
    assert [values[at] for at in nowhere.arg_true()] == [], "its date would never have a row for it"
    # And the dates are worth having: most that can be decoded are found under their own.
    assert (archived == decoded).sum() > 0.9 * decoded.is_not_null().sum()
