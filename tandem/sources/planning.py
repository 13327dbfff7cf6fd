"""The whole replay, planned before the first record goes out: the source's events in order, the faults in place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tandem.events import Decision
from tandem.settings import Settings
from tandem.sources.faults import REPLACING, FaultPlan
from tandem.sources.index import StreamIndex, index_stream
from tandem.sources.labels import Label
from tandem.sources.lines import Source, assemble, pick
from tandem.sources.payloads import OutgoingEvent, outgoing
from tandem.sources.placing import PlannedRecord, place_faults, prove
from tandem.sources.planting import PlantedRecord, plant
from tandem.topics import ORDER_EVENTS, TOPICS

PARTITIONS = next(topic.partitions for topic in TOPICS if topic.name == ORDER_EVENTS)


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What a replay sends: ``size`` records; ``labels`` say what was planted, in the order of the log."""

    source: Source
    size: int
    labels: tuple[Label, ...] = ()
    planted: Mapping[int, Sequence[PlantedRecord]] = field(default_factory=dict, repr=False)
    """Faults by the position of the source's event that they follow."""
    replaced: frozenset[int] = frozenset()
    """Positions of the source's events that go out elsewhere or otherwise, as a planted record."""

    def __iter__(self) -> Iterator[OutgoingEvent]:
        """The records in the order of the log; can be read again from the start."""
        for position, event in enumerate(assemble(self.source)):
            if position not in self.replaced:
                yield outgoing(event)
            for fault in self.planted.get(position, ()):
                yield fault.record


def plan_replay(
    source: Source, config: Settings, faults: FaultPlan | None = None, partitions: int = PARTITIONS
) -> ReplayPlan:
    """Plan a replay onto a topic of so many partitions.

    Raises TandemError for a fault that the source's events have no room for.
    """
    if faults is None or not faults.fault:
        return ReplayPlan(source, source.size())
    index = index_stream(source.frames(), partitions, config)
    placements = place_faults(index, faults, config)
    orders = pick(source, {placement.position for placement in placements})
    records = [plant(placement, orders[placement.position], partitions, config) for placement in placements]
    # After the same event, records go by event time, so that only what must be out of order is.
    records.sort(key=lambda r: (r.placement.after, r.placement.at_us, r.record.event_id))
    planted: dict[int, list[PlantedRecord]] = defaultdict(list)
    for record in records:
        planted[record.placement.after].append(record)
    replaced = frozenset(p.position for p in placements if p.kind.name in REPLACING)
    prove(_log(index, planted, replaced), config)
    size = index.size - len(replaced) + len(records)
    return ReplayPlan(source, size, tuple(r.label for r in records), planted, replaced)


def _log(
    index: StreamIndex, planted: Mapping[int, Sequence[PlantedRecord]], replaced: frozenset[int]
) -> Iterator[PlannedRecord]:
    for position in range(index.size):
        if position not in replaced:
            expected = Decision.COUNTED if index.sound[position] else None
            partition, at_us = int(index.partition[position]), int(index.at_us[position])
            yield PlannedRecord(partition, at_us, expected, "an order")
        for fault in planted.get(position, ()):
            placement = fault.placement
            partition = int(index.partition[placement.position])
            yield PlannedRecord(partition, fault.record.at_us, placement.kind.speed, placement.kind.name)
