"""Is the archive what it claims to be: each offset at most once, and none at or past the recorded next offset."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from stream.archive_table import MasterDataset
from tandem import delta
from tandem.amounts import count
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS


@dataclass(frozen=True, slots=True)
class PartitionState:
    """What the archive holds of one Kafka partition. Offsets between records belong to transaction markers."""

    partition: int
    next_offset: int
    """The recorded one, 0 where none is."""
    events: int
    distinct_offsets: int
    first_offset: int | None
    last_offset: int | None

    def problems(self) -> tuple[str, ...]:
        """What is wrong, a line each; empty where nothing is."""
        found = []
        if twice := self.events - self.distinct_offsets:
            found.append(
                f"partition {self.partition}: {count(twice, 'record is', 'records are')} archived more than once"
            )
        if self.last_offset is not None and self.last_offset >= self.next_offset:
            found.append(
                f"partition {self.partition}: offset {self.last_offset} is archived,"
                f" though the recorded next offset is {self.next_offset}"
            )
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Verification:
    """The state of every partition at one version of the archive."""

    version: int | None
    partitions: tuple[PartitionState, ...]

    @property
    def events(self) -> int:
        """All archived records."""
        return sum(state.events for state in self.partitions)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, a line each; empty where nothing is."""
        return tuple(problem for state in self.partitions for problem in state.problems())


def verify(settings: Settings) -> Verification:
    """Read the offsets of the whole archive and hold them against the recorded next offsets."""
    dataset = MasterDataset.find(settings.archive, ORDER_EVENTS)
    if dataset is None:
        return Verification(None, ())
    recorded = dataset.next_offsets()
    found = {row["partition"]: row for row in _count(dataset).iter_rows(named=True)}
    nothing = {"events": 0, "distinct_offsets": 0, "first_offset": None, "last_offset": None}
    states = (
        PartitionState(**{"partition": p, **nothing, **found.get(p, {}), "next_offset": recorded.get(p, 0)})
        for p in sorted({*recorded, *found})
    )
    return Verification(dataset.version, tuple(states))


def _count(dataset: MasterDataset) -> pl.DataFrame:
    offset = pl.col("offset")
    return (
        delta.scan(dataset.delta_table)
        .filter(pl.col("topic") == ORDER_EVENTS)
        .group_by("partition")
        .agg(
            events=pl.len().cast(pl.Int64),
            distinct_offsets=offset.n_unique().cast(pl.Int64),
            first_offset=offset.min(),
            last_offset=offset.max(),
        )
        .collect(engine="streaming")
    )
