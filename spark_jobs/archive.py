"""Read the master dataset: which dates it holds, up to which offsets, and the raw records of some of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from tandem.errors import TandemError
from tandem.topics import ORDER_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import DataFrame, SparkSession

    from tandem.settings import Settings

UNKNOWN = "unknown"
"""The partition of records whose date the archiver would not guess. Every run reads it."""


@dataclass(frozen=True, slots=True)
class Archive:
    """The archive at one Delta version. ``next_offsets``: by partition, everything below is in it."""

    version: int
    dates: frozenset[date]
    next_offsets: dict[int, int]


def look(settings: Settings) -> Archive:
    """The archive as it is now. Raises TandemError where there is none."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    try:
        table = DeltaTable(settings.archive)
        names = {partition["business_date"] for partition in table.partitions()}
    except TableNotFoundError as error:
        raise TandemError(f"there is no archive at {settings.archive}", "run 'tandem archive'") from error
    except (DeltaError, OSError) as error:
        raise TandemError(f"the archive at {settings.archive} cannot be read ({error})", "check the storage") from error
    offsets: dict[int, int] = {}
    while (offset := table.transaction_version(f"tandem:{ORDER_EVENTS}:{len(offsets)}")) is not None:
        offsets[len(offsets)] = offset
    dates = frozenset(date.fromisoformat(name) for name in names if name != UNKNOWN)
    return Archive(table.version(), dates, offsets)


def records(spark: SparkSession, settings: Settings, version: int, dates: Iterable[date]) -> DataFrame:
    """``partition, offset, kafka_time, value`` of everything archived under ``dates``, or under no date."""
    wanted = [str(day) for day in dates]
    table = spark.read.format("delta").option("versionAsOf", version).load(settings.archive)
    return table.filter(F.col("business_date").isin([*wanted, UNKNOWN]) & (F.col("topic") == ORDER_EVENTS)).select(
        "partition", "offset", "kafka_time", "value"
    )
