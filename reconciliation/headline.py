"""A date's report in one sentence: what differed, by how much, which orders made it, and what was done."""

from __future__ import annotations

from reconciliation.compare import Status, Verdict
from reconciliation.explain import Cause
from reconciliation.report import CauseTotal, Figure, Report, State
from tandem.amounts import count, show, show_change
from tandem.kpis import Unit

_NOUNS = {
    Cause.RELEASED: "released from quarantine",
    Cause.QUARANTINED: "rejected by one layer only",
    Cause.BOUNDARY: "booked under another hour or date",
    Cause.VERSION: "worked out under other rules",
    Cause.DUPLICATE: "sent twice",
    Cause.LATE: "that came late",
    Cause.MISSING_IN_STREAM: "that the stream never got",
    Cause.MISSING_IN_BATCH: "that the batch layer never got",
}
_MOST_CAUSES = 3


def headline(report: Report) -> str:
    """The report in one sentence or two."""
    if report.state is State.NOT_COMPARED:
        return f"The two layers could not be compared: {report.reason}."
    if report.state is State.NOT_PUBLISHED:
        return f"There are no batch figures: {_failed(report)}, so nothing was published."
    # What was compared with a doubt says so: the journal may have lost what would explain it.
    doubt = f" But {report.reason}." if report.reason else ""
    if report.state is State.AGREES:
        return f"{_agrees(report)}{doubt}"
    return f"{_begun(_difference(report))}{_because(report)}. {_done(report)}{doubt}"


def _agrees(report: Report) -> str:
    if report.worst is None:
        after = f" after {count(report.corrections.sent, 'correction')}" if report.corrections.sent else ""
        if report.cells_differing:
            cells = f"{report.cells_differing:,} of {report.cells_compared:,} cells by hour, product or category"
            return f"Stream and batch agree in every figure of the day{after}, to the cent, but not in {cells}."
        return f"Stream and batch agree in every figure{after}, to the cent."
    return f"Stream and batch agree within tolerance: {_difference(report)}{_because(report)}."


def _failed(report: Report) -> str:
    first = report.failed_gates[0]
    observed = f" ({first.observed})" if first.observed else ""
    if (more := len(report.failed_gates) - 1) > 0:
        return f"the check '{first.expectation}' failed{observed}, and {more} more"
    return f"the check '{first.expectation}' failed{observed}"


def _done(report: Report) -> str:
    found = report.corrections
    if report.state is State.CORRECTED:
        return f"This was corrected ({count(found.applied, 'cell')}), and now both agree to the cent."
    if report.state is State.WAITS:
        waiting = count(found.waiting, "correction waits", "corrections wait")
        them = "it" if found.waiting == 1 else "them"
        return f"Nothing was corrected yet: {waiting} for a person to approve {them}."
    if found.applied < found.sent:
        return f"Corrections are on their way: {found.applied:,} of {found.sent:,} are applied."
    return "That is more than the tolerance allows, and it is not corrected."


def _lead(report: Report) -> Figure | None:
    """The figure that the sentence is about: revenue where it differs, else the one that is furthest off.

    Of a date out of tolerance the sentence says so, and revenue alone may be within.
    """
    revenue = next((figure for figure in report.figures if figure.name == "revenue_cents"), None)
    if revenue is None or not revenue.difference:
        return report.worst
    return report.worst if report.verdict is Verdict.MISMATCH and revenue.status is Status.MATCH else revenue


def _difference(report: Report) -> str:
    figure = _lead(report)
    if figure is None:
        return "there is no difference"
    if figure.difference is None:
        return report.worst_in_words()
    by = show(abs(figure.difference), figure.unit, report.currency)
    percent = f" ({abs(figure.percent):.2f} %)" if figure.percent is not None else ""
    amount = f"{by} of {figure.label}" if figure.unit is Unit.CENTS else f"{by} in {figure.label}"
    return f"the stream was {amount}{percent} {'short' if figure.difference > 0 else 'over'}"


def _because(report: Report) -> str:
    """The causes with what each adds to the figure, the largest first; '' where none adds to it."""
    figure = _lead(report)
    if figure is None or figure.difference != figure.difference_as_counted:
        return ""
    ranked = sorted(report.causes, key=lambda line: -abs(line.amounts.get(figure.name, 0)))
    adding = [line for line in ranked if line.amounts.get(figure.name)]
    said = [
        f"{_noun(line)} ({show_change(line.amounts[figure.name], figure.unit, report.currency)})"
        for line in adding[:_MOST_CAUSES]
    ]
    said += ["other causes"] if len(adding) > _MOST_CAUSES else []
    return f": {', '.join(said)}" if said else ""


def _noun(line: CauseTotal) -> str:
    if line.cause not in _NOUNS:
        return {Cause.AGGREGATION: "a fault in the stream's sums"}.get(line.cause, "what nothing explains")
    created_only = abs(line.amounts.get("order_count", 0)) == line.events
    what = "order" if created_only else "order event"
    return f"{line.events:,} {what}{'s' * (line.events != 1)} {_NOUNS[line.cause]}"


def _begun(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
