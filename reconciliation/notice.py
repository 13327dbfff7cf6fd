"""Short mails about a run rather than a date's figures: a task that failed, a date that was never published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from reconciliation import bias, render
from reconciliation.report import Bias, BiasKind, Step

_ERROR_LINES, _ERROR_CHARACTERS = 30, 4_000


@dataclass(frozen=True, slots=True)
class Notice:
    """What happened, in one sentence, and what to do. ``error`` is whatever a program said, of any length."""

    kind: str
    title: str
    subject: str
    headline: str
    steps: tuple[Step, ...]
    error: str = ""
    link: str = ""


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
    why = "The nightly run is still at work." if still_running else "No nightly run is at work on it."
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


def biased(found: Sequence[Bias], business_date: date, *, link: str = "") -> Notice:
    """Figures have begun to err to one side. ``business_date``: the last date of those that were looked at."""
    first, more = found[0], f", and {len(found) - 1} more" if len(found) > 1 else ""
    how = "date after date" if first.kind is BiasKind.ONE_SIDE else "by more and more"
    return Notice(
        kind="bias",
        title=render.long_date(business_date),
        subject=f"[Tandem] up to {business_date} the stream is {bias.side_of(first)} {how}{more}",
        headline=" ".join([*map(bias.in_words, found), bias.odds(min(found, key=lambda one: one.p_value))])
        + " Each date may be within its tolerance all the same. This is mailed once.",
        steps=(Step("See which cause adds to one side.", f"tandem explain --date {business_date}"),),
        link=link,
    )


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
