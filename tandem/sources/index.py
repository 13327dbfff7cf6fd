"""The selected stream as columns: what a fault needs to know to find its order and its place in the log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from tandem.events import EARLIEST_EVENT_TIME, EventType
from tandem.settings import Settings
from tandem.sources.lines import heads, whole_events
from tandem.sources.partitioning import partition_of
from tandem.sources.payloads import microseconds

NO_PARTITION = -1
_EARLIEST_US = microseconds(datetime.fromisoformat(EARLIEST_EVENT_TIME))


@dataclass(frozen=True)
class StreamIndex:
    """One entry per event, by event time: time, cents, Kafka partition (NO_PARTITION without a key), business date as
    days since 1970, and whether it is an order that passes every check."""

    at_us: npt.NDArray[np.int64]
    cents: npt.NDArray[np.int64]
    partition: npt.NDArray[np.int64]
    day: npt.NDArray[np.int64]
    sound: npt.NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Number of events."""
        return len(self.at_us)

    @cached_property
    def last_day(self) -> int:
        """The last business date that has events."""
        return int(self.day.max())

    @cached_property
    def sound_in_partition(self) -> dict[int, npt.NDArray[np.int64]]:
        """Positions of the sound orders of each partition, by event time."""
        return {int(p): np.flatnonzero((self.partition == p) & self.sound) for p in np.unique(self.partition)}

    def after(self, position: int, more_us: int, up_to_us: int | None = None) -> list[int]:
        """Sound orders of the same partition that are later than ``more_us`` after it, and at most ``up_to_us``."""
        same = self.sound_in_partition[int(self.partition[position])]
        times = self.at_us[same]
        at_us = int(self.at_us[position])
        start = np.searchsorted(times, at_us + more_us, side="right")
        end = len(same) if up_to_us is None else np.searchsorted(times, at_us + up_to_us, side="right")
        return [int(p) for p in same[start:end]]

    def last_before(self, at_us: int) -> int:
        """Position of the last event that is not after this time."""
        return int(np.searchsorted(self.at_us, at_us, side="right")) - 1


def index_stream(frames: Iterable[pl.DataFrame], partitions: int, config: Settings) -> StreamIndex:
    """Read the stream once."""
    columns = pl.concat([_columns(lines, counts, config) for lines, counts in whole_events(frames)])
    customers = columns["customer_id"].to_list()
    partition = [partition_of(customer.encode(), partitions) if customer else NO_PARTITION for customer in customers]
    return StreamIndex(
        columns["at_us"].to_numpy(),
        columns["total_cents"].to_numpy(),
        np.array(partition, dtype=np.int64),
        columns["day"].to_numpy(),
        columns["sound"].to_numpy(),
    )


def _columns(lines: pl.DataFrame, counts: pl.Series, config: Settings) -> pl.DataFrame:
    bad_items = lines.filter(pl.col("product_id").is_null())["event_id"].unique().to_list()
    # An order that counts in both layers, so that a fault planted in it is the only one.
    sound = (
        (pl.col("event_type") == str(EventType.ORDER_CREATED))
        & (pl.col("total_cents") > 0)
        & (pl.col("at_us") >= _EARLIEST_US)
        & pl.col("order_id").is_not_null()
        & pl.col("customer_id").is_not_null()
        & (pl.col("currency").fill_null(config.currency) == config.currency)
        & ~pl.col("event_id").is_in(bad_items)
    )
    utc = pl.from_epoch("at_us", "us").dt.replace_time_zone("UTC")
    day = utc.dt.convert_time_zone(config.business_timezone).dt.date().cast(pl.Int32).cast(pl.Int64)
    return heads(lines, counts).select("at_us", "total_cents", "customer_id", day=day, sound=sound)
