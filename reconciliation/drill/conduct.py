"""A drill from the choice of the faults to the matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from reconciliation.drill import choose, found, log, matrix
from reconciliation.drill.choose import Choice
from reconciliation.drill.expect import expect
from reconciliation.drill.matrix import Outcome
from reconciliation.drill.platform import Platform
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.sources.completejourney import CompleteJourney, completejourney
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


def dates_with_orders(source: CompleteJourney) -> tuple[date, ...]:
    """The dates on which anything was sold: on Christmas Day there is nothing to compare."""
    times = pl.from_epoch(source.lines()["at_us"].unique(), "us").dt.replace_time_zone("UTC")
    return tuple(times.dt.convert_time_zone(source.zone.key).dt.date().unique().sort())


def plan(order: Order, dates: Sequence[date], settings: Settings) -> tuple[ReplayPlan, Choice]:
    """The log with its faults on ``dates``. Raises TandemError where they find no room."""
    source = completejourney(order.first, order.last, settings)
    refusal: TandemError | None = None
    for attempt in range(_ATTEMPTS):
        choice = choose.choose(dates, order.faults, order.clean_days, order.seed, attempt)
        try:
            return plan_replay(source, settings, choice.plan), choice
        except TandemError as error:
            refusal = error
    raise TandemError(f"{order.faults} faults find no room: {refusal}", "plant fewer, or give a longer range")


def conduct(order: Order, platform: Platform) -> Outcome:
    """Plant, run both layers, reconcile every date, and hold what was found against what was planted."""
    own, say = platform.settings, platform.progress.say
    say(f"planning {order.faults} faults from seed {order.seed} on {order.first} to {order.last}")
    dates = dates_with_orders(completejourney(order.first, order.last, own))
    planned, choice = plan(order, dates, own)
    labels = own.state_dir / "drill.labels.jsonl"
    write_labels(planned.labels, labels)
    say(f"what is planted stands in {labels}")
    platform.send(iter(planned))
    ends = platform.end_offsets()
    expected = expect(log.lay_out(planned, log.read(own, ends)), own.zone)
    platform.catch_up()
    platform.compute(order.first, order.last)
    platform.progress.run("up", "speed")
    platform.reconcile(dates)
    return matrix.judge(expected, found.read(own, expected.planted.keys()), dates, choice.clean)
