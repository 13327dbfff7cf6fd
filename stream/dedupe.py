"""dedupe: which valid events are duplicates or late, partition by partition, in the order of the log.

``decide_one`` is the rule. ``decide_many`` gives the same answers for a whole micro-batch without a loop over its
events, whatever the cuts between micro-batches: without repeated ids the watermark before each event is a running
maximum, and an id that may repeat is looked at by itself as long as it cannot move the watermark. Where it can, the
rule runs in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from stream.accepted import NEVER, AcceptedIds, Times
from stream.hashed import Texts
from stream.types import MICROSECOND
from tandem.events import Decision

NO_WATERMARK = NEVER
"""Before the first accepted event; so early that nothing is late and no horizon underflows."""

_HOUR_US = timedelta(hours=1) // MICROSECOND
_COUNTED, _DUPLICATE, _LATE = 0, 1, 2
DECISIONS = (Decision.COUNTED, Decision.DUPLICATE, Decision.LATE)
"""What the codes of ``decide_many`` stand for."""

Codes = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Horizons:
    """In microseconds: how late an event may be, and how long an id is remembered behind the watermark."""

    lateness_us: int
    dedupe_us: int


@dataclass(slots=True)
class PartitionState:
    """What a partition remembers. ``watermark_us``: greatest event time of accepted events, microseconds since 1970."""

    watermark_us: int = NO_WATERMARK
    accepted: AcceptedIds = field(default_factory=AcceptedIds)

    def accept(self, event_ids: Texts, times_us: Times) -> None:
        """Remember accepted events."""
        self.accepted.add(event_ids, times_us)
        self.watermark_us = max(self.watermark_us, int(times_us.max(initial=NO_WATERMARK)))


def decide_one(known_us: int, watermark_us: int, time_us: int, horizons: Horizons) -> Decision:
    """The rule, for an event that is neither ignored nor quarantined, after ``watermark_us`` of its partition.

    ``known_us``: the greatest event time its id was accepted with, NO_WATERMARK if it was not.
    """
    if known_us >= max(watermark_us - horizons.dedupe_us, NO_WATERMARK + 1):
        return Decision.DUPLICATE
    if time_us < watermark_us - horizons.lateness_us:
        return Decision.LATE
    return Decision.COUNTED


def decide_many(state: PartitionState, event_ids: Texts, times_us: Times, horizons: Horizons) -> tuple[Codes, Times]:
    """Codes of DECISIONS and the watermark before each event, for a partition's next events. Changes ``state``."""
    known_us = state.accepted.latest(event_ids)
    is_repeat = (known_us > NO_WATERMARK) | _repeated(event_ids)
    moving = np.where(is_repeat, NO_WATERMARK, times_us)
    before = np.maximum.accumulate(np.concatenate([[state.watermark_us], moving]))[:-1]
    if (times_us[is_repeat] > before[is_repeat]).any():
        least = np.full(len(event_ids), state.watermark_us)
        codes, before = _one_by_one(event_ids, times_us, known_us, least, horizons)
    else:
        codes = np.where(times_us < before - horizons.lateness_us, _LATE, _COUNTED).astype(np.int8)
        if is_repeat.any():
            # By their hashes: an id beside them that has the same is looked at too, by the same rule.
            rows = np.flatnonzero(np.isin(event_ids.hashes, event_ids.hashes[is_repeat]))
            codes[rows], _ = _one_by_one(event_ids.take(rows), times_us[rows], known_us[rows], before[rows], horizons)
    counted = codes == _COUNTED
    state.accept(event_ids if counted.all() else event_ids.take(np.flatnonzero(counted)), times_us[counted])
    state.accepted.forget(state.watermark_us - horizons.dedupe_us, _HOUR_US)
    return codes, before


def _repeated(event_ids: Texts) -> npt.NDArray[np.bool_]:
    """Whether an id stood before among these."""
    if not event_ids.may_repeat:
        return np.zeros(len(event_ids), np.bool_)
    return ~event_ids.texts.is_first_distinct().to_numpy()


def _one_by_one(
    event_ids: Texts, times_us: Times, known_us: Times, before: Times, horizons: Horizons
) -> tuple[Codes, Times]:
    """Codes of events by the rule, in order, and the watermark before each; all events of their ids are among them.

    ``before``: what the watermark is at least before each, because of what came earlier and is not among them.
    """
    codes, marks = [], []
    latest: dict[str, int] = {}
    mark = NO_WATERMARK
    columns = (times_us.tolist(), known_us.tolist(), before.tolist())
    for event_id, time_us, known, least in zip(event_ids.texts, *columns, strict=True):
        of_id, mark = latest.get(event_id, known), max(mark, least)
        decision = decide_one(of_id, mark, time_us, horizons)
        codes.append(DECISIONS.index(decision))
        marks.append(mark)
        if decision is Decision.COUNTED:
            of_id, mark = max(of_id, time_us), max(mark, time_us)
        latest[event_id] = of_id
    return np.array(codes, dtype=np.int8), np.array(marks, dtype=np.int64)
