"""Which faults are planted, and on which dates: all kinds in equal shares, from a seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from tandem.errors import TandemError
from tandem.sources import faults
from tandem.sources.faults import KINDS, FaultPlan, FaultRequest

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Choice:
    """What to plant, and the dates that get nothing."""

    plan: FaultPlan
    clean: frozenset[date]


def choose(dates: Sequence[date], count: int, clean_days: int, seed: int, attempt: int = 0) -> Choice:
    """``count`` faults on the ``dates`` but ``clean_days`` of them. Each ``attempt`` of a seed is another choice.

    Raises TandemError where that leaves no date for the faults.
    """
    if count and clean_days > len(dates) - 3:
        raise TandemError(
            f"{clean_days} of {len(dates)} dates without faults leave too few for {count} faults",
            "give a longer range, or fewer --clean-days",
        )
    if clean_days > len(dates):
        raise TandemError(f"the range has {len(dates)} dates, not {clean_days}", "give a longer range")
    random = Random(f"{seed}:{attempt}")  # noqa: S311 - reproducible choices, nothing secret
    clean = frozenset(random.sample(dates, clean_days))
    kinds = random.sample(list(KINDS), len(KINDS))
    wanted: Counter[tuple[str, date]] = Counter()
    for number in range(count):
        kind = kinds[number % len(kinds)]
        fitting = [day for day in dates if _fits(kind, day, dates[-1], clean)]
        if not fitting:
            raise TandemError(f"no date of the range is fit for {kind}", "give a longer range, or fewer --clean-days")
        wanted[kind, random.choice(fitting)] += 1
    requests = tuple(FaultRequest(kind=kind, count=many, date=day) for (kind, day), many in sorted(wanted.items()))
    return Choice(FaultPlan(seed=random.randrange(2**32), fault=requests), clean)


def _fits(kind: str, day: date, last: date, clean: frozenset[date]) -> bool:
    """Whether the kind has room on a date, and touches no date that is to stay clean."""
    if day in clean:
        return False
    match kind:
        case faults.CANCELLED_NEXT_DAY:
            return day < last and day + _DAY not in clean
        case faults.COPY_BEYOND_HORIZON:
            return day < last - _DAY
        case faults.LATE_BEYOND_LATENESS | faults.LATE_WITHIN_LATENESS:
            return day < last
        case _:
            return True
