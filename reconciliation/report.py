"""The report of a date as one frozen value, from which HTML, text and JSON are all rendered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from reconciliation.agreement import Agreement
from reconciliation.compare import Status, Verdict, percent_off
from reconciliation.explain import Cause
from tandem.amounts import show_change
from tandem.kpis import Unit
from tandem.recipients import Severity


class State(StrEnum):
    """Where a date stands: its verdict, and what became of its corrections."""

    AGREES = "agrees"
    CORRECTED = "corrected"
    WAITS = "waits for approval"
    DIFFERS = "differs"
    NOT_COMPARED = "not compared"
    NOT_PUBLISHED = "not published"
    """A check on the night's data failed, so there is no batch figure to compare with."""


_MISSING = (Status.MISSING_IN_SPEED, Status.MISSING_IN_BATCH)


@dataclass(frozen=True, slots=True)
class Figure:
    """One KPI on both sides. Money is cents. None: the side has no value.

    ``speed``: as compared, counted and corrected before. ``speed_now``: with the corrections since.
    """

    name: str
    label: str
    unit: Unit
    batch: int | None
    counted: int | None
    speed: int | None
    speed_now: int | None
    allowed: int | None
    status: Status
    decides: bool

    @property
    def difference(self) -> int | None:
        """batch - speed, as compared."""
        return None if self.batch is None or self.speed is None else self.batch - self.speed

    @property
    def difference_as_counted(self) -> int | None:
        """batch - speed, without any correction."""
        return None if self.batch is None or self.counted is None else self.batch - self.counted

    @property
    def difference_now(self) -> int | None:
        """batch - speed, corrections since included."""
        return None if self.batch is None or self.speed_now is None else self.batch - self.speed_now

    @property
    def percent(self) -> float | None:
        """The difference in percent of batch, with its own sign; None where there is none or batch is 0."""
        return percent_off(self.difference, self.batch)

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """How far off it is, to be compared: a side that has none before a difference from 0 before any percentage."""
        return self.status in _MISSING, bool(self.difference) and self.percent is None, abs(self.percent or 0)


@dataclass(frozen=True, slots=True)
class CauseTotal:
    """What one cause adds to batch - speed as counted: ``events`` that differ, and amounts by KPI name."""

    cause: Cause
    events: int
    amounts: dict[str, int]


@dataclass(frozen=True, slots=True)
class DifferingEvent:
    """One event that the layers treat differently. Money is cents."""

    partition: int
    offset: int
    event_type: str | None
    order_id: str | None
    event_time: datetime | None
    speed_decision: str
    batch_decision: str
    speed_cents: int
    batch_cents: int
    cause: Cause
    evidence: str


@dataclass(frozen=True, slots=True)
class DayInTrend:
    """Revenue of one date: the difference in percent of batch as counted, and with all corrections."""

    business_date: date
    counted_percent: float
    now_percent: float
    verdict: Verdict


class BiasKind(StrEnum):
    """How a figure is biased."""

    ONE_SIDE = "one side"
    """It errs to the same side, date after date."""
    TRENDING = "trending"
    """It errs by more and more."""


@dataclass(frozen=True, slots=True)
class Bias:
    """A figure that errs to one side (``short`` or over) over ``dates``, though each may pass; reconciliation.bias.

    ``agreeing``: how many dates err to that side, or by more than the date before. ``percent``: the median error, or by
    how much it grows a date. ``p_value``: the chance of that without bias.
    """

    name: str
    label: str
    kind: BiasKind
    short: bool
    since: date
    dates: int
    agreeing: int
    percent: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Grace:
    """What an allowed lateness would have changed over the last dates: how many more (or fewer) ``events`` the stream
    would have counted, and how much of the difference that removes; below 0 it would have added to it.
    """

    minutes: float
    events: int
    removed_cents: int
    percent: float | None


@dataclass(frozen=True, slots=True)
class Lateness:
    """What other lateness would have made of ``dates``, and which is advised; reconciliation.lateness."""

    dates: int
    now_minutes: float
    advised_minutes: float
    graces: tuple[Grace, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """One expectation about the batch run's data."""

    expectation: str
    level: str
    success: bool
    observed: str


@dataclass(frozen=True, slots=True)
class Run:
    """The batch run that was compared, and where it was cut. ``records``: how many offsets lie below the cut."""

    run_id: str
    version: int
    published_at: datetime
    rule_version: str
    code_version: str
    archive_version: int | None
    facts_version: int | None
    cut_taken_at: datetime | None
    records: int | None


@dataclass(frozen=True, slots=True)
class Corrections:
    """The corrections of the date so far. ``reason``: why some wait."""

    sent: int
    applied: int
    waiting: int
    reversed: int


@dataclass(frozen=True, slots=True)
class Serving:
    """What the serving view says of the date now."""

    status: str
    layer: str | None
    version: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Of what the date's published ``segments`` or ``rankings`` rest on, where that is not published dates alone."""

    of: str
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Certified:
    """The newest certificate of the comparison: its own hash, and those of both books with all ``corrections``."""

    sha256: str
    speed_sha256: str
    batch_sha256: str
    corrections: int


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do next, with the command to copy where there is one."""

    text: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that people were told of by mail: what was ``said`` of it, and ``since`` when."""

    name: str
    severity: Severity
    said: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a date's report says."""

    business_date: date
    reconciliation_id: int
    verdict: Verdict
    reason: str
    remedy: str
    compared_at: datetime
    currency: str
    timezone: str
    figures: tuple[Figure, ...]
    causes: tuple[CauseTotal, ...]
    events: tuple[DifferingEvent, ...]
    """The largest of them."""
    events_total: int
    cells_compared: int
    cells_differing: int
    speed_hash: str
    batch_hash: str
    certificate: Certified | None
    corrections: Corrections
    gates: tuple[Gate, ...]
    run: Run | None
    serving: Serving
    trend: tuple[DayInTrend, ...]
    bias: tuple[Bias, ...]
    lateness: Lateness | None
    link: str
    """Where the date's runs are shown."""
    gates_link: str
    """Where all checks of the run are shown; '' where there were none."""
    agreement: tuple[Agreement, ...] = ()
    """How far the layers agree on rankings of products, as compared, and on each customer, as counted."""
    standing: tuple[Standing, ...] = ()
    """The segments and rankings whose status is not plain ``certified``."""
    resolved: tuple[Incident, ...] = ()
    """The incidents that are over with this report."""

    @property
    def state(self) -> State:
        """Where the date stands."""
        if self.verdict is Verdict.NOT_COMPARABLE:
            return State.NOT_PUBLISHED if self.run is None and self.failed_gates else State.NOT_COMPARED
        if self.verdict is Verdict.MATCH:
            return State.AGREES
        if self.corrections.waiting:
            return State.WAITS
        all_applied = self.corrections.sent and self.corrections.applied == self.corrections.sent
        equal = all((figure.batch or 0) == (figure.speed_now or 0) for figure in self.figures)
        return State.CORRECTED if all_applied and equal else State.DIFFERS

    @property
    def failed_gates(self) -> tuple[Gate, ...]:
        """The checks that kept the batch run from being published."""
        return tuple(gate for gate in self.gates if gate.level == "fail" and not gate.success)

    @property
    def warnings(self) -> tuple[Gate, ...]:
        """The checks that do not hold and kept nothing from being published."""
        return tuple(gate for gate in self.gates if gate.level == "warn" and not gate.success)

    @property
    def worst(self) -> Figure | None:
        """The KPI that is furthest off, a missing one before any other; None where every one is equal."""
        off = [f for f in self.figures if f.status in _MISSING or f.difference]
        if self.verdict is Verdict.MISMATCH:
            off = [f for f in off if f.decides and f.status is not Status.MATCH] or off
        return max(off, key=lambda figure: figure.rank, default=None)

    def figure(self, name: str) -> Figure:
        """The KPI of that name."""
        return next(figure for figure in self.figures if figure.name == name)

    def worst_in_words(self) -> str:
        """The KPI that is furthest off, as in a subject line."""
        worst = self.worst
        if self.verdict is Verdict.NOT_COMPARABLE:
            return "not compared"
        if worst is None:
            return "no difference"
        if worst.difference is None:
            side = "the stream" if worst.status is Status.MISSING_IN_SPEED else "the batch layer"
            return f"{side} has no {worst.label}"
        if worst.percent is None:
            return f"{worst.label} {show_change(worst.difference, worst.unit, self.currency)}"
        return f"{worst.label} {worst.percent:+.2f} %"

    @property
    def subject(self) -> str:
        """Verdict, date and worst metric in one line."""
        said = {
            State.AGREES: f"agrees ({self.worst_in_words()})",
            State.CORRECTED: f"was out of tolerance, corrected ({self.worst_in_words()})",
            State.WAITS: f"is out of tolerance, corrections wait for approval ({self.worst_in_words()})",
            State.DIFFERS: f"is out of tolerance ({self.worst_in_words()})",
            State.NOT_COMPARED: f"could not be compared ({self.reason})",
            State.NOT_PUBLISHED: f"has no batch figures: {_checks(self.failed_gates)}",
        }
        over = self.resolved and self.state in {State.AGREES, State.CORRECTED}
        return f"[Tandem] {self.business_date} {'is resolved: it ' if over else ''}{said[self.state]}"


def _checks(failed: tuple[Gate, ...]) -> str:
    """Failed checks, as in a subject line."""
    more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
    return f"a check failed ({failed[0].expectation}{more})" if failed else "a check failed"
