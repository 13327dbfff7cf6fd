"""What was found of the faults in the layers, held against what must be found: pure functions over frozen values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from reconciliation.drill.expect import NOTHING, Cell, Expected, Place
from reconciliation.drill.found import Day, Found
from reconciliation.drill.matrix import UNEXPLAINED, wrong_cells

GATE = "not published"
"""Found by the checks between Spark and publication."""
JOURNAL = "journal lost"
"""Found by the holes that are left in the journal while both books agree."""


class Corrections(StrEnum):
    """What must become of a date's corrections."""

    SENT = "sent"
    """The stream was wrong: it is corrected and then agrees exactly."""
    WAIT = "wait"
    """The batch layer may be the one that is wrong: nothing goes out before somebody says so."""
    NONE = "none"
    """Nothing is out of tolerance, or nothing was compared."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A fault in a layer. ``dates``: on which it shows; ``cause``: as what it must be found.

    ``events``: which events must be named, with batch - speed in cents; none where the layers decided alike.
    """

    name: str
    layer: str
    dates: tuple[date, ...]
    cause: str
    corrections: Corrections
    events: Mapping[Place, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LayerLine:
    """How a fault was found. ``found``: cells of the ledger and their cents in the orders' revenue, by cause."""

    fault: Planted
    found: Mapping[str, tuple[int, int]]
    corrections: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LayerOutcome:
    """What a drill of the layers came to. ``false_alarms``: a sentence for each alarm on a date without a fault."""

    lines: tuple[LayerLine, ...]
    false_alarms: tuple[str, ...]
    dates: int

    @property
    def found(self) -> int:
        """How many faults were found as what they are."""
        return sum(not line.problems for line in self.lines)

    @property
    def passed(self) -> bool:
        """Whether nothing at all is wrong."""
        return self.found == len(self.lines) and not self.false_alarms


def judge(
    planted: Sequence[Planted],
    expected: Expected,
    found: Found,
    failed_gates: Mapping[date, Sequence[str]],
    dates: Sequence[date],
) -> LayerOutcome:
    """Hold all dates against what must be found; ``failed_gates``: the checks that kept a date from being published."""
    lines = [_line(fault, expected, found, failed_gates) for fault in planted]
    spoilt = {day for fault in planted for day in fault.dates}
    alarms = [alarm for day in dates if day not in spoilt for alarm in _alarms(day, expected, found)]
    return LayerOutcome(tuple(lines), tuple(alarms), len(dates))


def _line(fault: Planted, expected: Expected, found: Found, failed_gates: Mapping[date, Sequence[str]]) -> LayerLine:
    days = {day: found.days.get(day) for day in fault.dates}
    problems: list[str] = []
    for day, seen in days.items():
        if seen is None:
            problems.append(f"{day} was never compared")
            continue
        problems += _of_ledger(day, expected, found)
        problems += _of_corrections(day, seen, fault.corrections)
        if fault.cause == GATE and not (seen.verdict == "not_comparable" and failed_gates.get(day)):
            problems.append(f"{day}: {seen.verdict}, though no check should have let it be published")
        if (fault.cause == JOURNAL) != ("journal has lost" in seen.reason):
            problems.append(f"{day}: of the journal it says '{seen.reason}'")
    problems += _of_events(fault, found)
    return LayerLine(fault, _seen_as(fault, found, failed_gates), _corrections(days), tuple(problems))


def _of_ledger(day: date, expected: Expected, found: Found) -> Iterator[str]:
    yield from wrong_cells(_on(expected.cells, day), _on(found.cells, day))


def _on(cells: Mapping[Cell, int], day: date) -> dict[Cell, int]:
    return {cell: amount for cell, amount in cells.items() if cell[0] == day}


def _of_corrections(day: date, seen: Day, wanted: Corrections) -> Iterator[str]:
    said = f"{day}: {seen.verdict}, {seen.sent} corrections sent, {seen.applied} applied, {seen.waiting} wait"
    if wanted is Corrections.NONE and (seen.sent or seen.waiting):
        yield f"{said}; there must be none"
    if wanted is Corrections.WAIT and (seen.sent or not seen.waiting):
        yield f"{said}; all must wait"
    if wanted is Corrections.SENT and seen.verdict == "mismatch":
        if seen.waiting or not seen.sent or seen.sent != seen.applied:
            yield f"{said}; all must be applied"
        elif seen.verdict_after != "match" or seen.differing_after:
            yield f"{day}: {seen.differing_after} cells still differ after the corrections"


def _of_events(fault: Planted, found: Found) -> Iterator[str]:
    named = {each.place: (each.cause, each.cents) for each in found.differing if each.business_date in fault.dates}
    wanted = {place: (fault.cause, cents) for place, cents in fault.events.items()}
    for place in sorted(named.keys() | wanted.keys()):
        if named.get(place) != wanted.get(place):
            yield f"the event at {place} is named {named.get(place, NOTHING)}, must be {wanted.get(place, NOTHING)}"


def _alarms(day: date, expected: Expected, found: Found) -> Iterator[str]:
    seen = found.days.get(day)
    if seen is None:
        yield f"{day} was never compared"
        return
    yield from _of_ledger(day, expected, found)
    if seen.verdict != "match" or seen.cells_differing or seen.sent or seen.waiting or seen.reason:
        yield f"{day}: {seen.verdict}, {seen.cells_differing} cells differ, {seen.reason or 'without a fault'}"


def _seen_as(fault: Planted, found: Found, failed_gates: Mapping[date, Sequence[str]]) -> dict[str, tuple[int, int]]:
    counts: Counter[str] = Counter()
    cents: Counter[str] = Counter()
    for (day, cube, _, _, measure, cause), amount in found.cells.items():
        if day in fault.dates:
            counts[cause] += 1
            cents[cause] += amount if (cube, measure) == ("orders", "revenue_cents") else 0
    seen = {cause: (counts[cause], cents[cause]) for cause in sorted(counts)}
    for day in fault.dates:
        if "journal has lost" in (found.days[day].reason if day in found.days else ""):
            seen[JOURNAL] = (0, 0)
        if failed_gates.get(day):
            seen[GATE] = (0, 0)
    return seen or {NOTHING: (0, 0)}


def _corrections(days: Mapping[date, Day | None]) -> str:
    seen = [day for day in days.values() if day is not None]
    applied, waiting = sum(day.applied for day in seen), sum(day.waiting for day in seen)
    return f"{waiting} wait" if waiting else f"{applied} applied" if applied else "none"


def document(outcome: LayerOutcome) -> dict[str, Any]:
    """As ``--json`` prints it; the same names as for faults in the data."""
    unexplained = [line for line in outcome.lines if line.fault.cause != UNEXPLAINED]
    return {
        "passed": outcome.passed,
        "planted": len(outcome.lines),
        "found": outcome.found,
        "wrong_cause": sum(set(line.found) != {line.fault.cause} for line in outcome.lines),
        "unexplained_cents": sum(abs(line.found[UNEXPLAINED][1]) for line in unexplained if UNEXPLAINED in line.found),
        "false_alarms": len(outcome.false_alarms),
        "dates": outcome.dates,
        "matrix": {
            line.fault.name: {
                cause: {"cells": cells, "found_cents": cents} for cause, (cells, cents) in line.found.items()
            }
            for line in outcome.lines
        },
        "faults": [
            {
                "fault": line.fault.name,
                "layer": line.fault.layer,
                "dates": [str(day) for day in line.fault.dates],
                "cause": line.fault.cause,
                "corrections_must": str(line.fault.corrections),
                "corrections": line.corrections,
                "problems": list(line.problems),
            }
            for line in outcome.lines
        ],
        "problems": [*outcome.false_alarms, *(said for line in outcome.lines for said in line.problems)],
    }
