"""A drill from the choice of the faults to the matrix."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from reconciliation.drill import choose, found, log, matrix
from reconciliation.drill.choose import Choice
from reconciliation.drill.expect import expect
from reconciliation.drill.matrix import Outcome
from reconciliation.drill.platform import Platform
from tandem import clock
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.sources.completejourney import completejourney
from tandem.sources.labels import write_labels
from tandem.sources.planning import ReplayPlan, plan_replay

_ATTEMPTS = 10
"""A fault may land where an earlier one leaves it no room; another choice of the same seed has it."""


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for: so many faults on the dates from ``first`` to ``last``, none on ``clean_days`` of them."""

    first: date
    last: date
    faults: int
    clean_days: int
    seed: int

    @property
    def dates(self) -> tuple[date, ...]:
        """All dates."""
        return tuple(clock.days(self.first, self.last))


def plan(order: Order, settings: Settings) -> tuple[ReplayPlan, Choice]:
    """The log with its faults. Raises TandemError where they find no room."""
    source = completejourney(order.first, order.last, settings)
    refusal: TandemError | None = None
    for attempt in range(_ATTEMPTS):
        choice = choose.choose(order.dates, order.faults, order.clean_days, order.seed, attempt)
        try:
            return plan_replay(source, settings, choice.plan), choice
        except TandemError as error:
            refusal = error
    raise TandemError(f"{order.faults} faults find no room: {refusal}", "plant fewer, or give a longer range")


def conduct(order: Order, platform: Platform) -> Outcome:
    """Plant, run both layers, reconcile every date, and hold what was found against what was planted."""
    own, say = platform.settings, platform.progress.say
    say(f"planning {order.faults} faults from seed {order.seed} on {order.first} to {order.last}")
    planned, choice = plan(order, own)
    labels = own.state_dir / "drill.labels.jsonl"
    write_labels(planned.labels, labels)
    say(f"what is planted stands in {labels}")
    platform.send(iter(planned))
    ends = platform.end_offsets()
    expected = expect(log.lay_out(planned, log.read(own, ends)), own.zone)
    platform.catch_up()
    platform.compute(order.first, order.last)
    platform.progress.run("up", "speed")
    platform.reconcile(order.dates)
    return matrix.judge(expected, found.read(own, expected.planted.keys()), order.dates, choice.clean)
