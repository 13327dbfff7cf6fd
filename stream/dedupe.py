"""dedupe: which valid events are duplicates or late, partition by partition, in the order of the log.

``decide_one`` is the rule. ``decide_many`` gives the same answers for a whole micro-batch without a loop over its
events, whatever the cuts between micro-batches: without repeated ids the watermark before each event is a running
maximum, and an id that may repeat is looked at by itself as long as it cannot move the watermark. Where it can, the
rule runs in order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from stream.types import MICROSECOND
from tandem.events import Decision

NO_WATERMARK = -(1 << 62)
"""Before the first accepted event; so early that nothing is late and no horizon underflows."""

_HOUR_US = timedelta(hours=1) // MICROSECOND
_COUNTED, _DUPLICATE, _LATE = 0, 1, 2
DECISIONS = (Decision.COUNTED, Decision.DUPLICATE, Decision.LATE)
"""What the codes of ``decide_many`` stand for."""

Times = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Horizons:
    """In microseconds: how late an event may be, and how long an id is remembered behind the watermark."""

    lateness_us: int
    dedupe_us: int


@dataclass(slots=True)
class PartitionState:
    """What a partition remembers. Times are microseconds since 1970.

    ``accepted``: greatest event time of accepted events by event id; ``by_hour``: the same ids by the hour of that
    time, so that what fell out of the horizon can be forgotten.
    """

    watermark_us: int = NO_WATERMARK
    accepted: dict[str, int] = field(default_factory=dict)
    by_hour: dict[int, list[str]] = field(default_factory=dict)

    def accept(self, event_id: str, time_us: int) -> None:
        """Remember an accepted event."""
        self.accepted[event_id] = max(self.accepted.get(event_id, NO_WATERMARK), time_us)
        self.by_hour.setdefault(time_us // _HOUR_US, []).append(event_id)
        self.watermark_us = max(self.watermark_us, time_us)

    def accept_new(self, event_ids: list[str], times_us: Times) -> None:
        """Remember accepted events whose ids are not known yet and do not repeat."""
        if not event_ids:
            return
        self.accepted.update(zip(event_ids, times_us.tolist(), strict=True))
        hours = times_us // _HOUR_US
        for hour in np.unique(hours).tolist():
            of_hour = np.flatnonzero(hours == hour).tolist()
            self.by_hour.setdefault(hour, []).extend(
                event_ids if len(of_hour) == len(event_ids) else [event_ids[row] for row in of_hour]
            )
        self.watermark_us = max(self.watermark_us, int(times_us.max()))

    def forget(self, horizon_us: int) -> None:
        """Drop ids that no later event can be a duplicate of."""
        bound_us = self.watermark_us - horizon_us
        for hour in [hour for hour in self.by_hour if (hour + 1) * _HOUR_US <= bound_us]:
            for event_id in self.by_hour.pop(hour):
                if self.accepted.get(event_id, bound_us) < bound_us:
                    del self.accepted[event_id]


def decide_one(state: PartitionState, event_id: str, time_us: int, horizons: Horizons) -> Decision:
    """The rule, for the next event of a partition that is neither ignored nor quarantined. Changes ``state``."""
    known_us = state.accepted.get(event_id)
    if known_us is not None and known_us >= state.watermark_us - horizons.dedupe_us:
        return Decision.DUPLICATE
    if time_us < state.watermark_us - horizons.lateness_us:
        return Decision.LATE
    state.accept(event_id, time_us)
    return Decision.COUNTED


def decide_many(
    state: PartitionState, event_ids: list[str], times_us: Times, horizons: Horizons
) -> tuple[Codes, Times]:
    """Codes of DECISIONS and the watermark before each event, for a partition's next events. Changes ``state``."""
    repeats = _may_repeat(state, event_ids)
    moving = times_us.copy()
    moving[repeats] = NO_WATERMARK
    before = np.maximum.accumulate(np.concatenate([[state.watermark_us], moving]))[:-1]
    if (times_us[repeats] > before[repeats]).any():
        return _in_order(state, event_ids, times_us, horizons)
    codes = np.where(times_us < before - horizons.lateness_us, _LATE, _COUNTED).astype(np.int8)
    new = codes == _COUNTED
    new[repeats] = False
    rows = np.flatnonzero(new).tolist()
    state.accept_new(event_ids if len(rows) == len(event_ids) else [event_ids[row] for row in rows], times_us[new])
    for row in repeats:
        known_us = state.accepted.get(event_ids[row])
        if known_us is not None and known_us >= before[row] - horizons.dedupe_us:
            codes[row] = _DUPLICATE
        elif codes[row] == _COUNTED:
            state.accept(event_ids[row], int(times_us[row]))
    state.forget(horizons.dedupe_us)
    return codes, before


def _may_repeat(state: PartitionState, event_ids: list[str]) -> list[int]:
    """Rows whose id was accepted before, or stands earlier in the list."""
    if len(set(event_ids)) == len(event_ids) and state.accepted.keys().isdisjoint(event_ids):
        return []
    seen: set[str] = set()
    rows = []
    for row, event_id in enumerate(event_ids):
        if event_id in seen or event_id in state.accepted:
            rows.append(row)
        seen.add(event_id)
    return rows


def _in_order(
    state: PartitionState, event_ids: Iterable[str], times_us: Times, horizons: Horizons
) -> tuple[Codes, Times]:
    codes, before = [], []
    for event_id, time_us in zip(event_ids, times_us.tolist(), strict=True):
        before.append(state.watermark_us)
        codes.append(DECISIONS.index(decide_one(state, event_id, time_us, horizons)))
    state.forget(horizons.dedupe_us)
    return np.array(codes, dtype=np.int8), np.array(before, dtype=np.int64)
