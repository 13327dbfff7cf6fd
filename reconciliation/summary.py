"""Several dates in one report: what a backfill or a recompute came to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from reconciliation import chart, incidents, render, wording
from reconciliation.compare import Verdict
from reconciliation.report import DayInTrend, Report, State
from tandem.amounts import show
from tandem.kpis import Unit
from tandem.recipients import Severity

_MOST_LINES, _MOST_DETAILS, _MOST_BARS = 60, 5, 31
"""So that the mail stays small however long the range is."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A date that has no report, and why."""

    business_date: date
    reason: str


@dataclass(frozen=True, slots=True)
class Line:
    """One date of the overview."""

    business_date: date
    outcome: str
    tone: str
    revenue: str = "–"
    worst: str = "–"
    corrections: str = "–"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """The reports of a range, by date, and the dates that have none."""

    reports: tuple[Report, ...]
    failures: tuple[Failure, ...]
    link: str

    @property
    def span(self) -> str:
        """First and last date."""
        dates = self._dates()
        return f"{dates[0]}" if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"

    def _dates(self) -> list[date]:
        return sorted({report.business_date for report in self.reports} | {day.business_date for day in self.failures})

    def count(self, *states: State) -> int:
        """How many dates are in one of the states."""
        return sum(report.state in states for report in self.reports)

    @property
    def severity(self) -> Severity:
        """That of the date in the worst state."""
        each = [incidents.severity_of(report) for report in self.reports]
        return max([*each, *[Severity.CRITICAL] * len(self.failures)], key=lambda one: one.rank, default=Severity.INFO)

    @property
    def worst(self) -> Report | None:
        """The report of the date that is furthest off."""
        off = [
            report
            for report in self.reports
            if report.worst is not None and report.verdict is not Verdict.NOT_COMPARABLE
        ]
        return max(off, key=lambda report: report.worst.rank if report.worst else (), default=None)

    @property
    def state(self) -> str:
        """The range in a word or two."""
        if self.failures:
            return "not complete"
        if self.count(State.WAITS, State.DIFFERS, State.NOT_COMPARED, State.NOT_PUBLISHED):
            return "needs a look"
        return "corrected" if self.count(State.CORRECTED) else "agrees"

    @property
    def headline(self) -> str:
        """The range in one sentence."""
        said = [
            (self.count(State.AGREES), "within tolerance"),
            (self.count(State.CORRECTED), "corrected"),
            (self.count(State.WAITS), "waiting for approval"),
            (self.count(State.DIFFERS), "out of tolerance"),
            (self.count(State.NOT_COMPARED), "not compared"),
            (self.count(State.NOT_PUBLISHED), "not published"),
            (len(self.failures), "without a result"),
        ]
        parts = ", ".join(f"{count} {what}" for count, what in said if count)
        dates = len(self._dates())
        return f"{dates} date{'s' * (dates != 1)}: {parts}."

    @property
    def subject(self) -> str:
        """The range, the count of each outcome, and the worst metric with its date."""
        worst = f" (worst: {self.worst.business_date} {self.worst.worst_in_words()})" if self.worst else ""
        return f"[Tandem] {self.span}: {self.headline.split(': ', 1)[1].rstrip('.')}{worst}"


def html(summary: Summary, *, chart_source: str = f"cid:{render.TREND_ID}") -> str:
    """The summary as an HTML mail whose chart is at ``chart_source``."""
    context = {**_context(summary), "chart": chart_source if summary.reports else ""}
    return render.inlined(_template(summary, "html").render(context))


def text(summary: Summary) -> str:
    """The summary as plain text."""
    rendered: str = _template(summary, "txt").render(_context(summary))
    return rendered.strip() + "\n"


def trend(summary: Summary) -> tuple[DayInTrend, ...]:
    """Each date's own bar of the chart, the newest of a long range."""
    bars = [day for report in summary.reports for day in report.trend if day.business_date == report.business_date]
    return tuple(sorted(bars, key=lambda day: day.business_date)[-_MOST_BARS:])


def _template(summary: Summary, form: str) -> Any:
    first = summary.reports[0] if summary.reports else None
    zone = {"currency": first.currency, "timezone": first.timezone} if first else {}
    return render.template(f"summary.{form}.jinja", **zone)


def lines(summary: Summary) -> tuple[list[Line], int]:
    """One line a date, those that need a look before those that agree, and how many that agree were left out."""
    unsettled = [report for report in summary.reports if report.state is not State.AGREES]
    shown = [*map(_failed_line, summary.failures), *map(_line, unsettled)][:_MOST_LINES]
    agreeing = [report for report in summary.reports if report.state is State.AGREES]
    named = agreeing[: _MOST_LINES - len(shown)]
    in_order = sorted([*shown, *map(_line, named)], key=lambda line: line.business_date)
    return in_order, len(agreeing) - len(named)


def line_rows(found: list[Line]) -> list[list[str]]:
    """The overview as a table of texts."""
    rows = [[str(line.business_date), line.outcome, line.revenue, line.worst, line.corrections] for line in found]
    return [["date", "outcome", "revenue", "largest difference", "corrections"], *rows]


def tone(summary: Summary) -> str:
    """The colour of the range."""
    return {"agrees": "good", "corrected": "warn"}.get(summary.state, "bad")


def _context(summary: Summary) -> dict[str, Any]:
    found, more = lines(summary)
    unsettled = [report for report in summary.reports if report.state is not State.AGREES]
    return {
        "summary": summary,
        "tone": tone(summary),
        "lines": found,
        "more_lines": more,
        "details": unsettled[:_MOST_DETAILS],
        "next_steps": wording.steps,
        "line_rows": line_rows(found),
        "link": summary.link,
        "trend_in_words": chart.trend_in_words(trend(summary)),
    }


def _failed_line(failure: Failure) -> Line:
    return Line(failure.business_date, "failed", "bad", note=failure.reason)


def _line(report: Report) -> Line:
    sent, applied, waiting = report.corrections.sent, report.corrections.applied, report.corrections.waiting
    return Line(
        business_date=report.business_date,
        outcome=report.state.value,
        tone={State.AGREES: "good", State.CORRECTED: "good", State.NOT_COMPARED: "quiet"}.get(report.state, "bad"),
        revenue=show(report.figure("revenue_cents").batch, Unit.CENTS, report.currency),
        worst=report.worst_in_words(),
        corrections=f"{waiting:,} waiting" if waiting else f"{applied:,} of {sent:,} applied" if sent else "none",
        note="; ".join(filter(None, (report.reason, *(f"resolved: {told.said}" for told in report.resolved)))),
    )
