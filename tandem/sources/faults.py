"""The faults that a replay can plant, as data, and the file that orders them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import msgspec

from tandem.checks import CHECKS, Severity
from tandem.errors import TandemError
from tandem.events import Decision, EventType
from tandem.sources.payloads import cents_of

NO_DIFFERENCE = "no difference"


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind of fault: what each layer does with the planted event, and the cause the ledger must find.

    ``check``: the check that the event fails. ``revenue_sign``: the sign of batch - speed in the day's revenue.
    """

    name: str
    meaning: str
    speed: Decision
    batch: Decision
    cause: str = NO_DIFFERENCE
    check: str | None = None
    revenue_sign: int = 0
    event_type: EventType = EventType.ORDER_CREATED


COPY_WITHIN_HORIZON = "copy_within_horizon"
COPY_BEYOND_HORIZON = "copy_beyond_horizon"
REPEATED_ORDER = "repeated_order"
LATE_WITHIN_LATENESS = "late_within_lateness"
LATE_BEYOND_LATENESS = "late_beyond_lateness"
CANCELLED_SAME_DAY = "cancelled_same_day"
CANCELLED_NEXT_DAY = "cancelled_next_day"
AMENDED_AMOUNT = "amended_amount"
INVALID_EMAIL_FORMAT = "invalid_email_format"
REPLACING = frozenset({LATE_WITHIN_LATENESS, LATE_BEYOND_LATENESS, INVALID_EMAIL_FORMAT})
"""Kinds whose record takes the place of the order itself, which still counts; all others add a record."""

_COUNTED, _DUPLICATE, _LATE = Decision.COUNTED, Decision.DUPLICATE, Decision.LATE

_ORDER_FAULTS = (
    FaultKind(COPY_WITHIN_HORIZON, "the same event again, soon enough to be known", _DUPLICATE, _DUPLICATE),
    FaultKind(
        COPY_BEYOND_HORIZON,
        "the same event again, when the stream has forgotten its id and rejects it as late",
        _LATE,
        _DUPLICATE,
    ),
    FaultKind(
        REPEATED_ORDER,
        "the same order again under a new event id, which only the batch layer sees",
        _COUNTED,
        _DUPLICATE,
        cause="duplicate",
        revenue_sign=-1,
    ),
    FaultKind(LATE_WITHIN_LATENESS, "an order that comes out of order, in time to count", _COUNTED, _COUNTED),
    FaultKind(
        LATE_BEYOND_LATENESS,
        "an order that comes too late for the stream; the batch layer counts it",
        _LATE,
        _COUNTED,
        cause="late",
        revenue_sign=1,
    ),
    FaultKind(
        CANCELLED_SAME_DAY,
        "an order cancelled later on its business date",
        _COUNTED,
        _COUNTED,
        event_type=EventType.ORDER_CANCELLED,
    ),
    FaultKind(
        CANCELLED_NEXT_DAY,
        "an order cancelled on the next business date",
        _COUNTED,
        _COUNTED,
        event_type=EventType.ORDER_CANCELLED,
    ),
    FaultKind(
        AMENDED_AMOUNT,
        "one line of an order bought once more, or taken off, later on its business date",
        _COUNTED,
        _COUNTED,
        event_type=EventType.ORDER_AMENDED,
    ),
)


def _failing(code: str, meaning: str, severities: set[Severity]) -> FaultKind:
    decision = Decision.QUARANTINED if Severity.CRITICAL in severities else Decision.COUNTED
    return FaultKind(code.lower(), meaning, decision, decision, check=code)


KINDS: dict[str, FaultKind] = {
    kind.name: kind
    for kind in (
        *_ORDER_FAULTS,
        *(_failing(check.code, check.meaning, set(check.severity.values())) for check in CHECKS),
    )
}
"""Every kind by its name in a faults file: the faults of orders above, and one per check, named like the check."""


class FaultRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """So many faults of one kind, on one business date or anywhere; ``at_least`` and ``at_most`` are money in sum."""

    kind: str
    count: int = 1
    date: date | None = None
    choose: Literal["random", "largest", "smallest"] = "random"
    at_least: str | None = None
    at_most: str | None = None

    def bounds(self) -> tuple[int, int | None]:
        """Cents that each chosen order has at least and at most, so that their sum keeps the request."""
        least = -(-cents_of(self.at_least) // self.count) if self.at_least else 0
        return least, cents_of(self.at_most) // self.count if self.at_most else None


class FaultPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A faults file: the same seed plants the same faults into the same data."""

    seed: int
    fault: tuple[FaultRequest, ...] = ()


def load_faults(path: Path) -> FaultPlan:
    """The plan in a TOML file. Raises TandemError that names the file and the key that is wrong."""
    try:
        plan = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), FaultPlan)
        for request in plan.fault:
            _check(request)
    except OSError as failure:
        raise TandemError(f"cannot read {path}: {failure.strerror}", "check the path") from failure
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError, ValueError) as failure:
        raise TandemError(f"{path}: {failure}", "docs/faults.md describes the file") from failure
    return plan


def _check(request: FaultRequest) -> None:
    if request.kind not in KINDS:
        raise ValueError(f"no fault kind '{request.kind}'; there are {', '.join(KINDS)}")
    if request.count < 1:
        raise ValueError(f"count of {request.kind} must be at least 1, not {request.count}")
    request.bounds()
