"""What is mailed, and to whom: reports, the summary of a range, notices; each incident once, and that it is over."""

from __future__ import annotations

import smtplib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from email.message import EmailMessage
from typing import Any, Protocol

import msgspec
import psycopg
import structlog

from reconciliation import chart, digest, digest_pages, failures, gather, incidents, notice, post, render, summary
from reconciliation.notice import Notice
from reconciliation.post import Delivery, Letter
from reconciliation.report import DayInTrend, Report
from reconciliation.summary import Failure, Summary
from tandem import database, pages
from tandem.errors import TandemError
from tandem.recipients import Severity
from tandem.settings import Settings

_BIAS = "bias:"
"""Begins the names of incidents of a bias."""

_log = structlog.get_logger(__name__)


class End(Protocol):
    """How one run of a range ended: ``failure`` is '' where it went through."""

    @property
    def business_date(self) -> date:
        """The date it worked on."""

    @property
    def failure(self) -> str:
        """The tasks that failed."""


def send_report(settings: Settings, business_date: date, *, again: bool = False) -> Delivery:
    """Keep the report of a date and mail it, unless it says of an incident what was told already and not ``again``.

    Raises TandemError for a date that was never reconciled.
    """
    with database.snapshot(settings) as seen, database.connect(settings, database.RECONCILIATION) as connection:
        report, is_news = incidents.note(connection, gather.report(seen, settings, business_date))
        kept = _keep(connection, settings, report)
        if is_news or again:
            to = post.addresses(settings, incidents.severity_of(report))
            letter = Letter(report.subject, render.text(report), render.html(report), render.pictures(report))
            post.queue(connection, post.compose(settings, to, letter), [kept])
        _queue_bias(connection, settings, report)
    return post.send_pending(settings)


def send_recoveries(settings: Settings, dates: Iterable[date] | None = None) -> Delivery:
    """Mail of every date with an open incident (of these ``dates`` only) that it is over, where it is."""
    asked = None if dates is None else set(dates)
    over: dict[date, None] = {}
    with database.snapshot(settings) as seen:
        for incident in incidents.open_ones(seen):
            day = incidents.date_of(incident)
            if day is None or (asked is not None and day not in asked):
                continue
            try:
                report = gather.report(seen, settings, day)
            except TandemError:  # of a date that failed before it was ever compared there is nothing to tell yet
                continue
            if report.state in incidents.SETTLED and incidents.is_answered(incident, report):
                over[day] = None
    told = [send_report(settings, day) for day in over]
    return replace(told[-1], sent=sum(one.sent for one in told)) if told else Delivery(0, 0)


def send_reports(settings: Settings, dates: Iterable[date]) -> Delivery:
    """Keep the report of every date and send one mail about all of them."""
    return _send_summary(settings, dict.fromkeys(dates, ""))


def send_summary(settings: Settings, ends: Sequence[End]) -> Delivery:
    """As ``send_reports``, for dates some of which may have failed; a date that ran again counts by its last end."""
    return _send_summary(settings, {end.business_date: end.failure for end in ends})


def _send_summary(settings: Settings, failures: dict[date, str]) -> Delivery:
    reports, failed, kept = [], [], []
    with database.snapshot(settings) as seen, database.connect(settings, database.RECONCILIATION) as connection:
        for day, failure in sorted(failures.items()):
            found = _of_range(seen, connection, settings, day, failure)
            if isinstance(found, Failure):
                failed.append(found)
            else:
                kept.append(_keep(connection, settings, found))
                reports.append(found)
        whole = Summary(tuple(reports), tuple(failed), gather.link(settings))
        pictures = _chart(summary.trend(whole))
        page = summary.html(whole) if pictures else summary.html(whole, chart_source="")
        letter = Letter(whole.subject, summary.text(whole), page, pictures)
        post.queue(connection, post.compose(settings, post.addresses(settings, whole.severity), letter), kept)
        if reports:
            _queue_bias(connection, settings, reports[-1])
    return post.send_pending(settings)


def send_digest(settings: Settings, last: date) -> Delivery:
    """Mail the digest of the week up to ``last`` to all who get mail. Raises digest.NothingReconciledError."""
    with database.snapshot(settings) as seen, database.connect(settings, database.RECONCILIATION) as connection:
        week = digest.of_week(seen, settings, last)
        pages = digest_pages.text(week), digest_pages.html(week), digest_pages.pictures(week)
        to = post.addresses(settings, Severity.CRITICAL)
        post.queue(connection, post.compose(settings, to, Letter(week.subject, *pages)), [])
    return post.send_pending(settings)


def _of_range(
    seen: psycopg.Connection[Any], connection: psycopg.Connection[Any], settings: Settings, day: date, failure: str
) -> Report | Failure:
    """What became of a date. One without a result is an incident, too."""
    if not failure:
        try:
            return incidents.note(connection, gather.report(seen, settings, day))[0]
        except TandemError as error:
            failure = error.problem
    incidents.open_(
        connection, incidents.unfinished(day), Severity.CRITICAL, f"{day} has no result: {failure}", failure
    )
    return Failure(day, failure)


def send_failure(
    settings: Settings, *, dag_id: str, task_id: str, business_date: str, error: str, link: str = ""
) -> Delivery:
    """Mail that a task failed for good. Never raises: it is called where something is wrong already."""
    told = notice.failure(dag_id=dag_id, task_id=task_id, business_date=business_date, error=error, link=link)
    return _notify(settings, told, failures.name(dag_id, task_id, business_date))


def send_overdue(settings: Settings, business_date: date, *, still_running: bool) -> Delivery:
    """Mail once that a date is not published though it should be. Never raises."""
    told = notice.overdue(business_date, still_running=still_running, link=gather.link(settings))
    return _notify(settings, told, incidents.overdue(business_date))


def _notify(settings: Settings, told: Notice, name: str) -> Delivery:
    """Mail an incident unless it was told so before. Where it cannot be kept it is sent at once, told or not."""
    message = _compose(settings, told)
    try:
        with database.connect(settings, database.RECONCILIATION) as connection:
            if not incidents.open_(connection, name, told.severity, told.headline, told.finding):
                return Delivery(0, 0)
            post.queue(connection, message, [])
        return post.send_pending(settings)
    except (TandemError, psycopg.Error) as error:
        _log.warning("mail could not be kept, sending it at once", reason=str(error))
    try:
        post.send(settings, message)
    except (OSError, smtplib.SMTPException) as error:
        _log.exception("mail lost", subject=told.subject)
        return Delivery(0, 0, str(error))
    return Delivery(1, 0)


def send_recovery(settings: Settings, *, dag_id: str, task_id: str, business_date: str) -> Delivery:
    """Mail that a task went through which had failed for good; nothing where it had not. Never raises."""
    try:
        with database.connect(settings, database.RECONCILIATION) as connection:
            place = {"dag_id": dag_id, "task_id": task_id, "business_date": business_date}
            ended = incidents.resolve(connection, *failures.open_within(connection, **place))
            for incident in ended:
                told = notice.recovered(**place, incident=incident)
                post.queue(connection, _compose(settings, told), [])
        return post.send_pending(settings) if ended else Delivery(0, 0)
    except (TandemError, psycopg.Error) as error:
        _log.warning("whether a failure is over could not be told", reason=str(error))
        return Delivery(0, 0, str(error))


def _compose(settings: Settings, told: Notice) -> EmailMessage:
    to = post.addresses(settings, told.severity)
    return post.compose(settings, to, Letter(told.subject, notice.text(told), notice.html(told)))


def _queue_bias(connection: psycopg.Connection[Any], settings: Settings, report: Report) -> None:
    """Mail once of each bias that has begun, and once when it is over; it is told again if it comes back.

    A date that is not the last says nothing of today.
    """
    row = connection.execute(
        database.queries("reports").is_newest_compared, {"business_date": report.business_date}
    ).fetchone()
    if not row or not row[0]:
        return
    raised = {f"{_BIAS}{one.name}:{one.kind}:{'short' if one.short else 'over'}": one for one in report.bias}
    told = []
    if over := incidents.resolve_others(connection, _BIAS, list(raised)):
        told.append(notice.unbiased(over, report.business_date, link=report.link))
    begun = [
        one
        for name, one in raised.items()
        if incidents.open_(connection, name, Severity.WARNING, notice.bias_in_short(one), name)
    ]
    if begun:
        told.append(notice.biased(begun, report.business_date, link=report.link))
    for one in told:
        post.queue(connection, _compose(settings, one), [])


def _keep(connection: psycopg.Connection[Any], settings: Settings, report: Report) -> int:
    """Keep the report, and its page for who follows a link; returns its number."""
    pages.keep(settings, pages.Kind.REPORT, report.business_date.isoformat(), render.standalone(report))
    parameters = {
        "reconciliation_id": report.reconciliation_id,
        "business_date": report.business_date,
        "report": msgspec.json.encode(render.document(report)).decode(),
    }
    row = connection.execute(database.queries("reconciliation").keep_report, parameters).fetchone()
    return int(row[0]) if row else 0


def _chart(trend: tuple[DayInTrend, ...]) -> dict[str, bytes]:
    return {render.TREND_ID: chart.trend_png(trend, render.limit_percent())} if trend else {}
