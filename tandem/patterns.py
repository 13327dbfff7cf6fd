"""The patterns (capability S9) as declarations: what is worth an alert in the order of one customer's events.

Events of a customer stand in the order of the log of their partition, as for the watermark: so an alert depends on the
log alone, and never on micro-batch cuts, restarts or the clock. The customer's clock is the greatest event time so
far in that order. A window of length ``w`` holds the events whose event time is after the clock - ``w``: an event that
comes out of order counts in the windows that are still open when it comes, and one that is ``w`` or more behind the
customer's clock is judged by no window and seen by none. Nothing is judged again.

A condition is an SQL expression, in the small common part of ``tandem.checks``, over the event and what came before it:

- ``cents``, ``event_type``: of the event; ``cents_1``, ``event_type_1``: of the customer's event of these types just
  before it, and so on to ``rows - 1``. The pattern is looked at only where event times of all ``rows`` events are less
  than ``window`` apart.
- ``earlier_count``, ``earlier_cents``: the window's events before this one, number and sum.
- ``z_score``: how many (sample) standard deviations of the earlier events' ``cents`` this event's are away from their
  mean; NULL with fewer than two, or where they are all equal.
- ``all_earlier_count``, ``all_earlier_cents``: the customer's created orders before this one, of all time. Both are
  wide enough to be multiplied by an amount.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from tandem.events import EventType
from tandem.topics import ABNORMAL_ORDER_ALERTS, SUSPICIOUS_ACTIVITY_ALERTS


class Urgency(StrEnum):
    """How soon somebody should look."""

    CRITICAL = "critical"
    WARNING = "warning"


class Fires(StrEnum):
    """What one occurrence is."""

    EACH = "each"
    """Every event the condition holds for; matches may overlap (after a match, skip to the next row)."""
    ONCE = "once"
    """The event at which the condition begins to hold: it did not at the one before, or that is out of the window."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern over the events of one key that are of types ``of``. Each occurrence is one alert on ``topic``."""

    name: str
    meaning: str
    condition: str
    window: timedelta
    severity: Urgency
    topic: str
    of: tuple[EventType, ...] = (EventType.ORDER_CREATED,)
    rows: int = 1
    fires: Fires = Fires.EACH
    key: str = "customer_id"

    @property
    def reach(self) -> timedelta:
        """How far back from an event's time the events lie that can decide about it."""
        return self.window * (2 if self.fires is Fires.ONCE else 1)


_PAYMENTS = (EventType.PAYMENT_SUCCEEDED, EventType.PAYMENT_FAILED)


def order_burst(orders: int = 5, window: timedelta = timedelta(minutes=5)) -> Pattern:
    """Many orders in a short time. Going on at that rate is the same burst."""
    return Pattern(
        "order_burst",
        f"{orders} or more orders of a customer within {_minutes(window)}",
        f"earlier_count >= {orders - 1}",
        window,
        Urgency.WARNING,
        SUSPICIOUS_ACTIVITY_ALERTS,
        fires=Fires.ONCE,
    )


def above_average(times: int = 3, minimum_orders: int = 5) -> Pattern:
    """An order out of all proportion; not before the average says something."""
    return Pattern(
        "above_average",
        f"an order above {times} × the average of the customer's {minimum_orders} or more orders so far",
        f"all_earlier_count >= {minimum_orders} AND cents * all_earlier_count > {times} * all_earlier_cents",
        timedelta(0),
        Urgency.WARNING,
        ABNORMAL_ORDER_ALERTS,
    )


def payment_failures(failures: int = 3, window: timedelta = timedelta(hours=1)) -> Pattern:
    """Payments that fail one after the other; a success ends the row, further failures go on with it."""
    names = ["event_type", *(f"event_type_{back}" for back in range(1, failures))]
    return Pattern(
        "payment_failures",
        f"{failures} payments of a customer failed one after the other within {_minutes(window)}",
        " AND ".join(f"{name} = '{EventType.PAYMENT_FAILED}'" for name in names),
        window,
        Urgency.CRITICAL,
        SUSPICIOUS_ACTIVITY_ALERTS,
        of=_PAYMENTS,
        rows=failures,
        fires=Fires.ONCE,
    )


def escalation(first_above_cents: int = 100_000, window: timedelta = timedelta(minutes=10)) -> Pattern:
    """Each order half as much again: someone feels for a card's limit."""
    return Pattern(
        "escalation",
        f"four consecutive orders of a customer within {_minutes(window)}, the first above"
        f" {first_above_cents / 100:,.2f}, each above 1.5 × the one before",
        f"cents_3 > {first_above_cents} AND 2 * cents_2 > 3 * cents_3 AND 2 * cents_1 > 3 * cents_2"
        " AND 2 * cents > 3 * cents_1",
        window,
        Urgency.CRITICAL,
        SUSPICIOUS_ACTIVITY_ALERTS,
        rows=4,
    )


def unusual_amount(deviations: float = 3.0, minimum_orders: int = 5, window: timedelta = timedelta(hours=1)) -> Pattern:
    """An order far from the customer's others of the last hour, up or down."""
    return Pattern(
        "unusual_amount",
        f"an order more than {deviations:g} standard deviations from the mean of the {minimum_orders} or more that the"
        f" customer placed within {_minutes(window)} before it",
        f"earlier_count >= {minimum_orders} AND abs(z_score) > {deviations:g}",
        window,
        Urgency.WARNING,
        ABNORMAL_ORDER_ALERTS,
    )


def _minutes(window: timedelta) -> str:
    minutes = window // timedelta(minutes=1)
    return f"{minutes} minutes"


PATTERNS: tuple[Pattern, ...] = (
    order_burst(),
    above_average(),
    payment_failures(),
    escalation(),
    unusual_amount(),
)
