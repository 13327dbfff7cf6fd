"""What a report says in words beyond its figures: what a cause means, which figure to use, what to do next."""

from __future__ import annotations

from collections.abc import Iterator

from reconciliation.explain import Cause
from reconciliation.report import Report, State, Step
from tandem.amounts import count

CAUSES = {
    Cause.RELEASED: "released from quarantine",
    Cause.QUARANTINED: "rejected by the checks of one layer only",
    Cause.BOUNDARY: "booked under another hour or date",
    Cause.VERSION: "worked out under different rules",
    Cause.DUPLICATE: "sent twice, and counted twice by one layer",
    Cause.LATE: "came after the stream had stopped waiting",
    Cause.MISSING_IN_STREAM: "never reached the stream",
    Cause.MISSING_IN_BATCH: "never reached the batch layer",
    Cause.AGGREGATION: "in the stream's journal, not in its sums",
    Cause.UNEXPLAINED: "nothing explains it",
}


def which_figure(report: Report) -> str:
    """Which layer's figures to use now, and why."""
    serving = report.serving
    if serving.status == "certified":
        if report.state is State.WAITS:
            return (
                "Rely on no figure before somebody has looked: readers see the batch layer's"
                f" (version {serving.version}), and it may be the one that is wrong."
            )
        later = f" ({serving.reason})" if serving.reason else ""
        return f"Use the batch layer's figures: certified, version {serving.version}{later}."
    if serving.layer == "speed":
        return f"Use the stream's figures, as {serving.status}: {serving.reason}."
    return f"There is no figure to use: {serving.reason}."


def steps(report: Report) -> tuple[Step, ...]:
    """What to do next; never empty."""
    if report.state in {State.NOT_PUBLISHED, State.NOT_COMPARED}:
        return tuple(_before_it_can_be_compared(report))
    doubts = tuple(_doubts(report))
    settled = report.state in {State.AGREES, State.CORRECTED} and not report.reason
    return (*doubts, *_steps(report)) if settled else (*_steps(report), *doubts)


def _before_it_can_be_compared(report: Report) -> Iterator[Step]:
    date = f"--date {report.business_date}"
    if report.state is State.NOT_PUBLISHED:
        yield Step("Mend the data or the rule that failed; then compute the date again.", f"tandem batch {date}")
    else:
        yield _remedy("Make it comparable: ", report.remedy)
        yield Step("Then compare again.", f"tandem reconcile {date}")


def _doubts(report: Report) -> Iterator[Step]:
    """That both layers agree does not make a figure right that a check finds unusual."""
    for check in report.warnings:
        seen = f" ({check.observed})" if check.observed else ""
        text = f"See whether the figures can be right: '{check.expectation}' does not hold{seen}."
        yield Step(text, f"tandem gates --date {report.business_date}")
    for one in report.standing:
        command = "" if one.status == "unchecked" else "tandem restate --dry-run"
        yield Step(f"Know before you use the {one.of} of the date: they are {one.status}, {one.reason}.", command)


def _steps(report: Report) -> Iterator[Step]:
    date = f"--date {report.business_date}"
    sent, applied = report.corrections.sent, report.corrections.applied
    doubted = report.warnings or report.standing
    nothing = "Nothing else has to be done." if doubted else "Nothing has to be done."
    if report.reason:
        yield _remedy(f"As {report.reason}, ", report.remedy)
    elif report.state is State.AGREES:
        yield Step(nothing)
    if report.state is State.CORRECTED:
        yield Step(f"{nothing} To see it for yourself, compare again.", f"tandem reconcile {date}")
    elif report.state is State.WAITS:
        yield Step("See what differs and why.", f"tandem explain {date}")
        yield Step("Let the corrections go if the batch layer is right.", f"tandem corrections approve {date}")
    elif report.state is State.DIFFERS and applied < sent:
        verb = "is" if sent - applied == 1 else "are"
        yield Step(
            f"{sent - applied:,} of {count(sent, 'correction')} {verb} not applied yet: see that the stream runs.",
            "tandem status",
        )
    elif report.state is State.DIFFERS:
        yield Step("Compare again; what then differs is corrected.", f"tandem reconcile {date}")
    if report.events_total and report.state is not State.WAITS:
        yield Step("All events that differ, with their causes.", f"tandem explain {date}")


def _remedy(why: str, remedy: str) -> Step:
    """A remedy as it is kept with a comparison, its command apart where it has one."""
    text, _, command = remedy.rpartition(": ")
    return Step(f"{why}{text}:", command) if command.startswith("tandem ") else Step(f"{remedy}.")
