"""The digest: a week's verdicts, totals, corrections, open incidents and waiting corrections as one frozen value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, timedelta
from typing import Any

import psycopg

from reconciliation import gather, incidents
from reconciliation.compare import Verdict, percent_off
from reconciliation.explain import Cause
from reconciliation.report import CauseTotal, Incident, Report
from reconciliation.summary import Failure, Summary
from tandem import clock, database, documents, kpis
from tandem.errors import TandemError
from tandem.kpis import Unit
from tandem.settings import Settings

DAYS = 7


class NothingReconciledError(TandemError):
    """No date of the week was ever reconciled."""


@dataclass(frozen=True, slots=True)
class Total:
    """One KPI over the dates that have both sides. Money is cents. ``now``: the stream's with all corrections."""

    name: str
    label: str
    unit: Unit
    batch: int | None
    counted: int | None
    now: int | None

    @property
    def difference(self) -> int | None:
        """batch - stream as counted."""
        return None if self.batch is None or self.counted is None else self.batch - self.counted

    @property
    def difference_now(self) -> int | None:
        """batch - stream, corrections included."""
        return None if self.batch is None or self.now is None else self.batch - self.now

    @property
    def percent(self) -> float | None:
        """The difference in percent of batch, with its own sign."""
        return percent_off(self.difference, self.batch)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Corrections of a date that wait for a person."""

    business_date: date
    corrections: int
    command: str


@dataclass(frozen=True, slots=True)
class Digest:
    """A week as it stands now. ``incidents``: all that are open, of whatever date."""

    first: date
    last: date
    currency: str
    timezone: str
    summary: Summary
    incidents: tuple[Incident, ...]

    @property
    def subject(self) -> str:
        """The week, the count of each outcome, and the worst metric with its date."""
        return self.summary.subject.replace(self.summary.span, f"week {self.first} to {self.last}", 1)

    @property
    def compared(self) -> tuple[Report, ...]:
        """The dates that have both sides: of these are the totals."""
        return tuple(report for report in self.summary.reports if _has_both_sides(report))

    @property
    def not_in_totals(self) -> tuple[date, ...]:
        """The dates of the week whose figures are not in the totals."""
        known = {report.business_date for report in self.compared}
        dates = {*(r.business_date for r in self.summary.reports), *(f.business_date for f in self.summary.failures)}
        return tuple(sorted(dates - known))

    @property
    def totals(self) -> tuple[Total, ...]:
        """Every KPI that can be added up over dates; one that is a ratio from the sums of its parts."""
        return tuple(_totals(self.compared))

    @property
    def causes(self) -> tuple[CauseTotal, ...]:
        """What each cause adds to the week's differences."""
        found: dict[Cause, CauseTotal] = {}
        for cause in (cause for report in self.compared for cause in report.causes):
            so_far = found.get(cause.cause, CauseTotal(cause.cause, 0, {}))
            names = {*so_far.amounts, *cause.amounts}
            amounts = {name: so_far.amounts.get(name, 0) + cause.amounts.get(name, 0) for name in sorted(names)}
            found[cause.cause] = replace(so_far, events=so_far.events + cause.events, amounts=amounts)
        return tuple(found[cause] for cause in Cause if cause in found)

    @property
    def events_total(self) -> int:
        """How many events of the week differ."""
        return sum(cause.events for cause in self.causes)

    @property
    def corrected(self) -> tuple[Report, ...]:
        """The dates of which corrections were applied."""
        return tuple(report for report in self.summary.reports if report.corrections.applied)

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """The dates of which corrections wait."""
        return tuple(
            Waiting(day, report.corrections.waiting, f"tandem corrections approve --date {day}")
            for report in self.summary.reports
            if report.corrections.waiting and (day := report.business_date)
        )


def of_week(connection: psycopg.Connection[Any], settings: Settings, last: date) -> Digest:
    """The digest of the seven dates up to ``last``. Raises NothingReconciledError where there is none.

    A date that was never reconciled and had ended before Tandem was installed is not missing.
    """
    first = last - timedelta(days=DAYS - 1)
    ((installed,),) = connection.execute(database.queries("orchestration").installed_at).fetchall()
    reports, failures = [], []
    for day in clock.days(first, last):
        try:
            reports.append(gather.report(connection, settings, day))
        except TandemError as error:
            if clock.day_bounds(day, settings.zone)[1] > installed.astimezone(UTC):
                failures.append(Failure(day, error.problem))
    if not reports:
        remedy = "name another week, or reconcile its dates"
        raise NothingReconciledError(f"no date from {first} to {last} was reconciled", remedy)
    whole = Summary(tuple(reports), tuple(failures), gather.link(settings))
    open_now = incidents.open_ones(connection)
    return Digest(first, last, settings.currency, settings.business_timezone, whole, open_now)


def _has_both_sides(report: Report) -> bool:
    if report.verdict is Verdict.NOT_COMPARABLE:
        return False
    revenue = report.figure("revenue_cents")
    return revenue.batch is not None and revenue.counted is not None


def _totals(reports: tuple[Report, ...]) -> Iterator[Total]:
    sums: dict[str, Total] = {}
    for kpi in kpis.KPIS:
        if isinstance(kpi.source, kpis.Distinct) or not reports:
            continue
        label = kpi.name.removesuffix("_cents").replace("_", " ")
        if isinstance(kpi.source, kpis.Ratio):
            if not {kpi.source.numerator, kpi.source.denominator} <= sums.keys():
                continue
            over, under = (sums[name] for name in (kpi.source.numerator, kpi.source.denominator))
            sides = [_ratio(getattr(over, side), getattr(under, side)) for side in ("batch", "counted", "now")]
        else:
            figures = [figure for report in reports for figure in report.figures if figure.name == kpi.name]
            if len(figures) < len(reports):  # declared within the week
                continue
            sides = [_sum([getattr(f, side) for f in figures]) for side in ("batch", "counted", "speed_now")]
        sums[kpi.name] = Total(kpi.name, label, kpi.unit, *sides)
    yield from sums.values()


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _ratio(numerator: int | None, denominator: int | None) -> int | None:
    return None if numerator is None or denominator is None else kpis.ratio_half_up(numerator, denominator)


def document(digest: Digest) -> dict[str, Any]:
    """The digest as plain values for JSON."""
    worst = digest.summary.worst
    plain: dict[str, Any] = documents.plain(
        {
            "first": digest.first,
            "last": digest.last,
            "subject": digest.subject,
            "state": digest.summary.state,
            "headline": digest.summary.headline,
            "days": [*map(_day, digest.summary.reports), *map(_missing, digest.summary.failures)],
            "totals": [_total(total) for total in digest.totals],
            "not_in_totals": digest.not_in_totals,
            "causes": digest.causes,
            "worst": worst and {"business_date": worst.business_date, "metric": worst.worst_in_words()},
            "incidents": digest.incidents,
            "waiting": digest.waiting,
        }
    )
    return plain


def _total(total: Total) -> dict[str, Any]:
    derived = ("difference", "difference_now", "percent")
    named = ("name", "unit", "batch", "counted", "now", *derived)
    return {name: getattr(total, name) for name in named}


def _day(report: Report) -> dict[str, Any]:
    return {
        "business_date": report.business_date,
        "verdict": report.verdict,
        "state": report.state,
        "worst": report.worst_in_words(),
        "corrections": report.corrections,
        "reason": report.reason,
    }


def _missing(failure: Failure) -> dict[str, Any]:
    return {"business_date": failure.business_date, "verdict": None, "state": None, "reason": failure.reason}
