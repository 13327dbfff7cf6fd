"""Planted × found: a pure function from what must be found and what was found to the confusion matrix."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from reconciliation.drill.expect import NOTHING, PRECEDENCE, Cell, Expected, Place
from reconciliation.drill.found import Day, Decided, Differing, Found
from tandem.sources.labels import Label

NOT_PLANTED = "not planted"
UNEXPLAINED = "unexplained"
CAUSES = PRECEDENCE
"""Columns of the matrix, as far as they hold anything."""


@dataclass(frozen=True, slots=True)
class Entry:
    """So many faults of one planted cause under one found cause; their differences in revenue, planted and found."""

    events: int
    planted_cents: int
    found_cents: int


@dataclass(frozen=True, slots=True)
class KindLine:
    """The faults of one kind. ``cents``: the money of their events; ``found``: how many of them were right in all."""

    kind: str
    cause: str
    planted: int
    cents: int
    found: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a drill came to. ``problems``: a sentence for each thing that is not as it must be."""

    planted: int
    found: int
    matrix: Mapping[tuple[str, str], Entry]
    """By planted cause, or NOT_PLANTED, and found cause."""
    kinds: tuple[KindLine, ...]
    wrong_cause: int
    wrong_amount: int
    wrong_decision: int
    """Faults with which a layer did something else than their label says."""
    wrong_cells: int
    """Cells of the ledgers that are not what labels and records make them."""
    unexplained_cents: int
    unexplained_cells: int
    false_alarms: int
    """Events that differ and were not planted, and dates without a planted difference that raised an alarm."""
    not_compared: int
    not_converged: int
    """Dates out of tolerance that were not exact after their corrections."""
    dates: int
    clean_dates: int
    out_of_tolerance: int
    problems: tuple[str, ...]

    @property
    def is_diagonal(self) -> bool:
        """Whether every fault, and nothing else, stands under its own cause with its own amount."""
        return all(
            planted == found and entry.planted_cents == entry.found_cents
            for (planted, found), entry in self.matrix.items()
        )

    @property
    def passed(self) -> bool:
        """Whether nothing at all is wrong."""
        wrong = (self.unexplained_cents, self.unexplained_cells, self.false_alarms, len(self.problems))
        return self.is_diagonal and self.found == self.planted and not any(wrong)


@dataclass(frozen=True, slots=True)
class _Judged:
    """One planted fault: its place in the matrix, and what is not as its label says, in a word and in words."""

    place: Place
    label: Label
    cause: str
    cents: int
    wrong: tuple[tuple[str, str], ...]


def judge(expected: Expected, found: Found, dates: Sequence[date], clean: Collection[date]) -> Outcome:
    """Hold what was found on ``dates`` against what must be found; ``clean``: those on which nothing was planted."""
    judged = _judged(expected, found)
    alarms = [each for each in found.differing if each.place not in expected.planted]
    cells = list(wrong_cells(expected.cells, found.cells))
    false_days = list(_false_days(expected, found.days, dates))
    absent = [day for day in dates if day not in found.days or found.days[day].verdict == "not_comparable"]
    left = list(_not_converged(found.days))
    cents, unexplained = _unexplained(found.cells)
    counts = Counter(name for each in judged for name, _ in each.wrong)
    right = {each.place for each in judged if not each.wrong}
    return Outcome(
        planted=len(judged),
        found=len(right),
        matrix=_matrix(judged, alarms),
        kinds=_kinds(expected.planted, right),
        wrong_cause=counts["cause"],
        wrong_amount=counts["amount"],
        wrong_decision=counts["decision"],
        wrong_cells=len(cells),
        unexplained_cents=cents,
        unexplained_cells=unexplained,
        false_alarms=len(alarms) + len(false_days),
        not_compared=len(absent),
        not_converged=len(left),
        dates=len(dates),
        clean_dates=len(clean),
        out_of_tolerance=sum(day.verdict == "mismatch" for day in found.days.values()),
        problems=(
            *(f"{_named(each.label, each.place)}: {said}" for each in judged for _, said in each.wrong),
            *(f"{each.business_date}: {each.cause} {each.cents} cents at {each.place}, not planted" for each in alarms),
            *cells,
            *false_days,
            *left,
            *(f"{day} was not compared" for day in absent),
        ),
    )


def _judged(expected: Expected, found: Found) -> list[_Judged]:
    of_place: dict[Place, list[Differing]] = defaultdict(list)
    for differing in found.differing:
        of_place[differing.place].append(differing)
    judged = []
    for place, label in expected.planted.items():
        cause, cents = _seen(of_place[place])
        wrong = tuple(_wrong(label, cause, cents, found.speed.get(place), found.batch.get(place)))
        judged.append(_Judged(place, label, cause, cents, wrong))
    return judged


def _matrix(judged: Sequence[_Judged], alarms: Sequence[Differing]) -> dict[tuple[str, str], Entry]:
    entries: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for each in judged:
        entries[each.label.cause, each.cause].append(Entry(1, each.label.difference_cents, each.cents))
    for alarm in alarms:
        entries[NOT_PLANTED, alarm.cause].append(Entry(1, 0, alarm.cents))
    return {place: _sum(many) for place, many in sorted(entries.items(), key=_order)}


def _seen(differing: list[Differing]) -> tuple[str, int]:
    """The cause and amount of a record, which may differ on two dates."""
    if not differing:
        return NOTHING, 0
    return min((each.cause for each in differing), key=CAUSES.index), sum(each.cents for each in differing)


def _wrong(
    label: Label, cause: str, cents: int, speed: Decided | None, batch: Decided | None
) -> Iterator[tuple[str, str]]:
    """What is not as a label says, in a word and in words."""
    if cause != label.cause:
        yield "cause", f"found as {cause}, is {label.cause}"
    elif cents != label.difference_cents:
        yield "amount", f"found with {cents} cents, is {label.difference_cents}"
    if speed != Decided(label.speed, label.check or ""):
        yield "decision", f"the stream made it {speed}, is {label.speed} {label.check or ''}".rstrip()
    # The batch layer keeps no facts of what has no date, or one to come; those are all in quarantine.
    decided = batch.decision if batch else "quarantined"
    if decided != label.batch:
        yield "decision", f"the batch layer made it {decided}, is {label.batch}"


def _named(label: Label, place: Place) -> str:
    return f"{label.kind} of {label.business_date} at partition {place[0]}, offset {place[1]}"


def wrong_cells(expected: Mapping[Cell, int], found: Mapping[Cell, int]) -> Iterator[str]:
    """A sentence for each cell and cause whose amount in the ledgers is not what it must be."""
    for cell in sorted(expected.keys() | found.keys()):
        is_, must_be = found.get(cell, 0), expected.get(cell, 0)
        if is_ != must_be:
            day, cube, hour, key, measure, cause = cell
            where = f"{cube} {hour:%H:%M} {key}".rstrip()
            yield f"ledger of {day}, {where}, {measure}: {cause} has {is_}, must have {must_be}"


def _false_days(expected: Expected, days: Mapping[date, Day], dates: Sequence[date]) -> Iterator[str]:
    """Dates that raised an alarm of any kind though nothing planted makes a difference there."""
    differ = {cell[0] for cell in expected.cells}
    for day in dates:
        found = days.get(day)
        if day in differ or found is None:
            continue
        if found.verdict == "mismatch" or found.cells_differing or found.sent or found.waiting:
            yield f"{day}: {found.verdict}, {found.cells_differing} cells differ, though nothing planted differs"


def _not_converged(days: Mapping[date, Day]) -> Iterator[str]:
    for day, found in days.items():
        if found.verdict != "mismatch":
            continue
        if found.waiting or found.applied != found.sent:
            yield f"{day}: of the corrections {found.applied} were applied, {found.sent} sent, {found.waiting} wait"
        elif found.verdict_after != "match" or found.differing_after:
            yield f"{day}: {found.verdict_after}, {found.differing_after} cells still differ after the corrections"


def _unexplained(cells: Mapping[Cell, int]) -> tuple[int, int]:
    """Cents under no cause, in the cube that has the most of them, and how many cells have anything there."""
    of_cube: Counter[str] = Counter()
    count = 0
    for (_, cube, _, _, measure, cause), amount in cells.items():
        if cause == UNEXPLAINED:
            count += 1
            of_cube[cube] += abs(amount) if measure.endswith("_cents") else 0
    return max(of_cube.values(), default=0), count


def _sum(entries: list[Entry]) -> Entry:
    return Entry(
        sum(entry.events for entry in entries),
        sum(entry.planted_cents for entry in entries),
        sum(entry.found_cents for entry in entries),
    )


def _order(item: tuple[tuple[str, str], Any]) -> tuple[int, int]:
    planted, found = item[0]
    return (len(CAUSES) if planted == NOT_PLANTED else CAUSES.index(planted), CAUSES.index(found))


def _kinds(planted: Mapping[Place, Label], right: Collection[Place]) -> tuple[KindLine, ...]:
    lines = []
    for kind, cause in sorted({(label.kind, label.cause) for label in planted.values()}, key=lambda k: (k[1], k[0])):
        places = [place for place, label in planted.items() if label.kind == kind]
        cents = sum(planted[place].cents for place in places)
        lines.append(KindLine(kind, cause, len(places), cents, sum(place in right for place in places)))
    return tuple(lines)
