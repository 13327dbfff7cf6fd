"""Where in the log each fault goes: lateness is a matter of a record's place in its partition, so places are planned
in partition order, and then proved by following the watermark along the planned log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

import numpy as np
import numpy.typing as npt

from tandem.clock import day_bounds
from tandem.errors import TandemError
from tandem.events import Decision
from tandem.settings import Settings
from tandem.sources import faults
from tandem.sources.faults import KINDS, FaultKind, FaultPlan, FaultRequest
from tandem.sources.index import StreamIndex
from tandem.sources.payloads import instant, microseconds

MINUTE_US = timedelta(minutes=1) // timedelta(microseconds=1)
_UNIX_DAY = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Placement:
    """One fault in the order at ``position``: its record goes right after the event at ``after``, with event time
    ``at_us``. ``seed`` makes the same random choices in every replay."""

    kind: FaultKind
    position: int
    after: int
    at_us: int
    seed: str


@dataclass(slots=True)
class PlacingState:
    """What earlier requests have taken: orders with a fault, and events that a place depends on."""

    index: StreamIndex
    config: Settings
    taken: set[int] = field(default_factory=set)

    def place(self, request: FaultRequest, seed: str) -> Iterator[Placement]:
        """As many placements as asked for. Raises TandemError when the stream has too few fitting orders."""
        random = Random(seed)  # noqa: S311 - reproducible choices, nothing secret
        kind, placed = KINDS[request.kind], 0
        for position in _candidates(self.index, request, random):
            if placed == request.count:
                break
            if position in self.taken or (spot := self._spot(kind.name, position, random)) is None:
                continue
            self.taken |= {position, spot[0]}
            placed += 1
            yield Placement(kind, position, *spot, seed=f"{seed}:{placed}")
        if placed < request.count:
            raise _no_room(request, placed)

    def _spot(self, kind: str, position: int, random: Random) -> tuple[int, int] | None:
        """(after, at_us) for a fault in this order, or None where this stream has no such place."""
        at_us = int(self.index.at_us[position])
        if kind in {faults.CANCELLED_SAME_DAY, faults.CANCELLED_NEXT_DAY, faults.AMENDED_AMOUNT}:
            later_us = self._later(position, kind == faults.CANCELLED_NEXT_DAY, random)
            return None if later_us is None else (self.index.last_before(later_us), later_us)
        free = [follower for follower in self._followers(kind, position) if follower not in self.taken]
        return (random.choice(free), at_us) if free else None

    def _followers(self, kind: str, position: int) -> list[int]:
        """The events which the record may follow."""
        lateness_us = _microseconds(self.config.allowed_lateness)
        horizon_us = _microseconds(self.config.dedupe_horizon)
        after = self.index.after
        match kind:
            case faults.COPY_WITHIN_HORIZON:
                # Half of it, so that it holds whether the stream counts from the event's time or from its arrival.
                return after(position, 0, horizon_us // 2)
            case faults.COPY_BEYOND_HORIZON:
                return after(position, horizon_us + 2 * lateness_us)[:20]
            case faults.REPEATED_ORDER:
                return [position, *after(position, 0, lateness_us)]
            case faults.LATE_WITHIN_LATENESS:
                return after(position, 0, lateness_us)
            case faults.LATE_BEYOND_LATENESS:
                return after(position, lateness_us)[:5]
            case _:
                return [position]

    def _later(self, position: int, next_day: bool, random: Random) -> int | None:
        """A time on the order's business date, or on the next one where the stream has it, after the order."""
        day = _UNIX_DAY + timedelta(days=int(self.index.day[position]) + next_day)
        if (day - _UNIX_DAY).days > self.index.last_day:
            return None
        start, end = (microseconds(bound) for bound in day_bounds(day, self.config.zone))
        first = max(start, int(self.index.at_us[position]) + MINUTE_US)
        if first >= end:
            return None
        seconds = 1_000_000
        return random.randrange(-(-first // seconds), -(-end // seconds)) * seconds


def place_faults(index: StreamIndex, plan: FaultPlan, config: Settings) -> list[Placement]:
    """A place for every fault of the plan. Raises TandemError for one that cannot be placed."""
    state = PlacingState(index, config)
    return [
        placement
        for number, request in enumerate(plan.fault)
        for placement in state.place(request, f"{plan.seed}:{number}:{request.kind}")
    ]


def _candidates(index: StreamIndex, request: FaultRequest, random: Random) -> Iterator[int]:
    """Positions of the orders that fit the request, in the order in which they are tried."""
    least, most = request.bounds()
    fitting = index.sound & (index.cents >= least)
    if most is not None:
        fitting &= index.cents <= most
    if request.date is not None:
        fitting &= index.day == (request.date - _UNIX_DAY).days
    found = np.flatnonzero(fitting)
    if request.choose == "random":
        return _shuffled(found, random)
    sign = -1 if request.choose == "largest" else 1
    return map(int, found[np.argsort(sign * index.cents[found], kind="stable")])


def _shuffled(values: npt.NDArray[np.int64], random: Random) -> Iterator[int]:
    # Drawn one by one: a request needs a few of what may be millions.
    for start in range(len(values)):
        drawn = random.randrange(start, len(values))
        values[[start, drawn]] = values[[drawn, start]]
        yield int(values[start])


def _no_room(request: FaultRequest, placed: int) -> TandemError:
    where = f" on {request.date}" if request.date else ""
    least = f", in sum at least {request.at_least}" if request.at_least else ""
    most = f", in sum at most {request.at_most}" if request.at_most else ""
    asked = f"{request.count} {request.kind}{where}{least}{most}"
    return TandemError(
        f"the selected orders have room for only {placed} of {asked}",
        "ask for fewer, or replay more dates: a late or repeated record needs a later order in its partition",
    )


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class PlannedRecord:
    """One record of the planned log. ``expected`` is what the stream must decide; None where it is not sure to be
    accepted, so that nothing may depend on it."""

    partition: int
    at_us: int
    expected: Decision | None
    name: str


def prove(records: Iterable[PlannedRecord], config: Settings) -> None:
    """Follow each partition's watermark along the planned log. Raises TandemError where a decision is not certain.

    ``least`` is the watermark if nothing unsure is accepted, ``most`` if all of it is: a record is late only by the
    first, and in time only by the second.
    """
    lateness_us, horizon_us = _microseconds(config.allowed_lateness), _microseconds(config.dedupe_horizon)
    least: dict[int, int] = {}
    most: dict[int, int] = {}
    for record in records:
        behind_least = least.get(record.partition, record.at_us) - record.at_us
        behind_most = most.get(record.partition, record.at_us) - record.at_us
        holds = {
            Decision.COUNTED: behind_most <= lateness_us,
            Decision.LATE: behind_least > lateness_us,
            Decision.DUPLICATE: behind_most <= horizon_us,
        }
        if record.expected in holds and not holds[record.expected]:
            raise TandemError(
                f"{record.name} at {instant(record.at_us):%Y-%m-%d %H:%M:%S} would not be {record.expected}",
                "another seed, or fewer faults on that date, leaves more room",
            )
        if record.expected is Decision.COUNTED:
            least[record.partition] = max(least.get(record.partition, record.at_us), record.at_us)
        if record.expected in {Decision.COUNTED, None}:
            most[record.partition] = max(most.get(record.partition, record.at_us), record.at_us)
