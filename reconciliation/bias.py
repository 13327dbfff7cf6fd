"""The bias alarm (capability B8): dates that each pass, but err to the same side, or further and further.

Two exact tests over the last dates that were compared, of what the stream had counted, without corrections:

- one side: a sign test. Without bias a date that errs does so to either side alike; a date without error says nothing.
- trending: Mann and Kendall's test. Without a trend the dates' errors could as well have come in any other order.

Each is made for every figure of WATCHED, and each gets the same share of FALSE_ALARM_RATE: where dates err without bias
and independently, at most that share of dates raises any alarm at all, whatever the errors' distribution and however
the figures hang together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction
from functools import cache
from itertools import combinations, pairwise
from math import comb, factorial
from statistics import median

from reconciliation.report import Bias, BiasKind
from tandem import kpis

DAYS = 30
FALSE_ALARM_RATE = 0.01
WATCHED = tuple(
    kpi.name
    for kpi in kpis.KPIS
    if kpi.decides and not kpi.tolerance.minimum_base and isinstance(kpi.source, str | kpis.Distinct)
)
"""Figures that decide and are counted themselves; those made of them err with them."""

Errors = Sequence[tuple[date, float]]
"""By date, oldest first: batch - stream as counted, in percent of batch. Above 0 the stream was short."""


def alarms(errors: Mapping[str, Errors], rate: float = FALSE_ALARM_RATE) -> tuple[Bias, ...]:
    """What is biased, by figure. ``rate``: see FALSE_ALARM_RATE."""
    allowed = rate / (2 * len(WATCHED))
    found = [
        bias
        for name in WATCHED
        for bias in (_one_side(name, errors.get(name, ())), _trending(name, errors.get(name, ())))
        if bias is not None and bias.p_value <= allowed
    ]
    return tuple(found)


def sign_test(above: int, below: int) -> float:
    """The chance that of so many fair coins at least so many fall to one side, whichever it is."""
    tossed, most = above + below, max(above, below)
    tail = sum(comb(tossed, heads) for heads in range(most, tossed + 1))
    return float(min(Fraction(1), Fraction(2 * tail, 2**tossed)))


def trend_test(values: Sequence[float]) -> float:
    """The chance that so many more pairs of a series rise than fall, or fall than rise, if its order means nothing.

    Equal values count as neither, for which the chance given is too high rather than too low.
    """
    pairs = len(values) * (len(values) - 1) // 2
    falling_at_most = (pairs - abs(_rising_less_falling(values))) // 2
    orders = sum(_inversions(len(values))[: falling_at_most + 1])
    return float(min(Fraction(1), Fraction(2 * orders, factorial(len(values)))))


def _rising_less_falling(values: Sequence[float]) -> int:
    return sum((later > earlier) - (later < earlier) for earlier, later in combinations(values, 2))


@cache
def _inversions(length: int) -> tuple[int, ...]:
    """How many orders of so many different values have 0, 1, 2, ... pairs that fall."""
    counts = [1]
    for place in range(2, length + 1):
        sums = [0]
        for count in [*counts, *[0] * (place - 1)]:
            sums.append(sums[-1] + count)
        counts = [high - sums[max(0, index + 1 - place)] for index, high in enumerate(sums[1:])]
    return tuple(counts)


def _one_side(name: str, errors: Errors) -> Bias | None:
    off = [(day, error) for day, error in errors if error]
    if not off:
        return None
    short = sum(error > 0 for _, error in off)
    to_short = 2 * short >= len(off)
    return Bias(
        name=name,
        label=_label(name),
        kind=BiasKind.ONE_SIDE,
        short=to_short,
        since=off[0][0],
        dates=len(off),
        agreeing=short if to_short else len(off) - short,
        percent=median(error for _, error in off),
        p_value=sign_test(short, len(off) - short),
    )


def _trending(name: str, errors: Errors) -> Bias | None:
    """None also where the errors go towards 0."""
    values = [error for _, error in errors]
    if len(values) < 3:
        return None
    rising = _rising_less_falling(values)
    lately = median(values[-max(3, len(values) // 3) :])
    if rising * lately <= 0:
        return None
    slopes = [
        (later - earlier) / (after - before) for (before, earlier), (after, later) in combinations(enumerate(values), 2)
    ]
    return Bias(
        name=name,
        label=_label(name),
        kind=BiasKind.TRENDING,
        short=rising > 0,
        since=errors[0][0],
        dates=len(values),
        agreeing=sum(later > earlier if rising > 0 else later < earlier for earlier, later in pairwise(values)),
        percent=median(slopes),
        p_value=trend_test(values),
    )


def _label(name: str) -> str:
    return name.removesuffix("_cents").replace("_", " ")


def in_words(bias: Bias) -> str:
    """An alarm in one sentence."""
    if bias.kind is BiasKind.ONE_SIDE:
        return (
            f"The stream was {side_of(bias)} on {bias.agreeing} of the {bias.dates} dates that differed since"
            f" {bias.since}, by {abs(bias.percent):.2f} % in the median."
        )
    return (
        f"The stream is {side_of(bias)} by more and more: {abs(bias.percent):.3f} % a date over the"
        f" {bias.dates} dates since {bias.since}."
    )


def side_of(bias: Bias) -> str:
    """On which side the stream errs, in which figure."""
    return f"{'short of' if bias.short else 'over in'} {bias.label}"


def odds(bias: Bias) -> str:
    """How likely that is without bias, and how often all tests together are wrong."""
    return (
        f"Without bias that comes up once in {round(1 / bias.p_value):,} dates; all such tests together raise a false"
        f" alarm on at most {100 * FALSE_ALARM_RATE:g} % of dates."
    )
