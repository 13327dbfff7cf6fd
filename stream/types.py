"""The nouns of the speed layer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from tandem.settings import Settings

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

Position = tuple[str, int]
"""Topic, by its name without an installation's prefix, and partition."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides about an event besides the event itself."""

    zone: ZoneInfo
    currency: str
    allowed_lateness: timedelta
    dedupe_horizon: timedelta
    watermark_delay: timedelta = timedelta(seconds=5)
    """How far behind the watermark an hour must end to be final."""
    high_value_cents: int = 100_000

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """The rules of an installation."""
        return cls(
            settings.zone,
            settings.currency,
            settings.allowed_lateness,
            settings.dedupe_horizon,
            settings.watermark_delay,
            settings.high_value_cents,
        )


@dataclass(frozen=True, slots=True)
class Records:
    """Records of ``order-events`` as they came, sorted by partition and offset; one element per record in each list."""

    partitions: list[int]
    offsets: list[int]
    kafka_times_ms: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]

    def __len__(self) -> int:
        return len(self.offsets)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Typed records. ``events``: EVENT_COLUMNS but for ``items``, one row per record, in the order of the records.

    ``lines``: the items, one row each: ``row`` (position of the event), product_id, category, quantity, amount_cents.
    """

    events: pl.DataFrame
    lines: pl.DataFrame
