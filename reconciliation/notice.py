"""Short mails about a run rather than a date's figures: a task that failed, a date that was never published, a bias;
and that it is over."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from reconciliation import bias, render
from reconciliation.report import Bias, BiasKind, Incident, Step
from tandem.recipients import Severity

_ERROR_LINES, _ERROR_CHARACTERS = 30, 4_000


@dataclass(frozen=True, slots=True)
class Notice:
    """What happened, in one sentence, and what to do. ``error`` is whatever a program said, of any length."""

    kind: str
    title: str
    subject: str
    headline: str
    steps: tuple[Step, ...]
    severity: Severity = Severity.CRITICAL
    tone: str = "bad"
    error: str = ""
    link: str = ""

    @property
    def finding(self) -> str:
        """What tells one notice of an incident from the next: the last line of the error, whatever figures are in it.

        A time or a process id is another one each time.
        """
        return re.sub(r"[0-9a-f]*\d[0-9a-f]*", "#", self.error.splitlines()[-1] if self.error else "")


def failure(*, dag_id: str, task_id: str, business_date: str, error: str, link: str = "") -> Notice:
    """A task failed for good. ``business_date``: the date or dates it worked on, as text; '' where it had none yet."""
    of_date = f" for {business_date}" if business_date else ""
    again = Step(f"When the cause is gone, clear the task '{task_id}' in Airflow: the run goes on from there.")
    look = Step("See what serves as the date's figures meanwhile.", f"tandem kpi --date {business_date}")
    return Notice(
        kind="a task failed",
        title=f"{dag_id}: {task_id}",
        subject=f"[Tandem] {dag_id} failed at {task_id}{of_date}",
        headline=f"The task '{task_id}' of '{dag_id}'{of_date} failed, and retrying did not help.",
        steps=(again, look) if business_date else (again,),
        error=_end_of(error),
        link=link,
    )


def overdue(business_date: date, *, still_running: bool, link: str = "") -> Notice:
    """A date's nightly run should have published by now."""
    why = "A run is still at work on it." if still_running else "No nightly run is at work on it."
    look = Step("See which parts run.", "tandem status")
    again = Step("Run the date by hand in Airflow: trigger 'nightly' with it.")
    wait = Step("Wait for it, or look into the task that takes so long.")
    return Notice(
        kind="overdue",
        title=render.long_date(business_date),
        subject=f"[Tandem] {business_date} is overdue: no batch figures are published",
        headline=f"The batch figures of {business_date} should have been published by now. {why}"
        " Until they are, readers get the stream's figures, flagged overdue.",
        steps=(look, wait) if still_running else (look, again),
        link=link,
    )


def recovered(*, dag_id: str, task_id: str, business_date: str, incident: Incident) -> Notice:
    """A task went through that had failed for good: then it was ``incident``."""
    of_date = f" for {business_date}" if business_date else ""
    return Notice(
        kind="resolved",
        title=f"{dag_id}: {task_id}",
        subject=f"[Tandem] {dag_id} is resolved: {task_id}{of_date} went through",
        headline=f"The task '{task_id}' of '{dag_id}'{of_date} went through. It had failed on {_moment(incident)}.",
        steps=(Step("Nothing has to be done."),),
        severity=incident.severity,
        tone="good",
    )


def biased(found: Sequence[Bias], business_date: date, *, link: str = "") -> Notice:
    """Figures have begun to err to one side. ``business_date``: the last date of those that were looked at."""
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return Notice(
        kind="bias",
        title=render.long_date(business_date),
        subject=f"[Tandem] up to {business_date} the stream is {bias_in_short(found[0])}{more}",
        headline=" ".join([*map(bias.in_words, found), bias.odds(min(found, key=lambda one: one.p_value))])
        + " Each date may be within its tolerance all the same. This is mailed once.",
        steps=(Step("See which cause adds to one side.", f"tandem explain --date {business_date}"),),
        severity=Severity.WARNING,
        link=link,
    )


def unbiased(over: Sequence[Incident], business_date: date, *, link: str = "") -> Notice:
    """Figures no longer err to one side. ``over``: what was told of them."""
    said = [f"The stream is no longer {one.said}, as was told on {_moment(one)}." for one in over]
    more = f", and {len(over) - 1} more" if len(over) > 1 else ""
    return Notice(
        kind="resolved",
        title=render.long_date(business_date),
        subject=f"[Tandem] up to {business_date} the stream is no longer {over[0].said}{more}",
        headline=" ".join(said),
        steps=(Step("Nothing has to be done."),),
        severity=max((one.severity for one in over), key=lambda severity: severity.rank),
        tone="good",
        link=link,
    )


def bias_in_short(one: Bias) -> str:
    """On which side the stream errs, and how."""
    return f"{bias.side_of(one)} {'date after date' if one.kind is BiasKind.ONE_SIDE else 'by more and more'}"


def _moment(incident: Incident) -> str:
    return f"{incident.since:%Y-%m-%d %H:%M %Z}"


def _end_of(error: str) -> str:
    """The last lines, where the cause stands; control characters, which a mail must not hold, are taken out."""
    printable = "".join(c for c in error if c in "\n\t" or c.isprintable())
    return "\n".join(printable.strip().splitlines()[-_ERROR_LINES:])[-_ERROR_CHARACTERS:]


def html(notice: Notice) -> str:
    """The notice as an HTML mail."""
    return render.inlined(render.template("notice.html.jinja").render(notice=notice))


def text(notice: Notice) -> str:
    """The notice as plain text."""
    rendered: str = render.template("notice.txt.jinja").render(notice=notice)
    return rendered.strip() + "\n"
