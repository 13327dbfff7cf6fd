"""Mail: reports, notices, and the outbox that keeps each until a mail server has taken it."""

from __future__ import annotations

import smtplib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import localtime, make_msgid
from typing import Any, Protocol, cast

import msgspec
import psycopg
import structlog

from reconciliation import chart, gather, notice, render, summary
from reconciliation.notice import Notice
from reconciliation.report import DayInTrend, Report
from reconciliation.summary import Failure, Summary
from tandem import database
from tandem.errors import TandemError
from tandem.settings import Settings

# Folded at the usual 78 columns, a subject that begins with a bracket starts on a line of its own, with a space.
_POLICY = policy.SMTP.clone(max_line_length=900, refold_source="none")
_TIMEOUT_S = 10
_ATTEMPTS = 3
_BIAS = "bias:"
"""Begins the names of notices of a bias."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How many mails went out, how many are kept for the next time, and why."""

    sent: int
    kept: int
    reason: str = ""


class End(Protocol):
    """How one run of a range ended: ``failure`` is '' where it went through."""

    @property
    def business_date(self) -> date:
        """The date it worked on."""

    @property
    def failure(self) -> str:
        """The tasks that failed."""


def send_report(settings: Settings, business_date: date) -> Delivery:
    """Keep the report of a date and mail it. Raises TandemError for a date that was never reconciled."""
    with database.connect(settings, database.RECONCILIATION) as connection:
        report = gather.report(connection, settings, business_date)
        kept = _keep(connection, report)
        pictures = render.pictures(report)
        _queue(
            connection, compose(settings, report.subject, render.text(report), render.html(report), pictures), [kept]
        )
        _queue_new_bias(connection, settings, report)
    return send_pending(settings)


def send_reports(settings: Settings, dates: Iterable[date]) -> Delivery:
    """Keep the report of every date and send one mail about all of them."""
    return _send_summary(settings, dict.fromkeys(dates, ""))


def send_digest(settings: Settings, ends: Sequence[End]) -> Delivery:
    """As ``send_reports``, for dates some of which may have failed; a date that ran again counts by its last end."""
    return _send_summary(settings, {end.business_date: end.failure for end in ends})


def _send_summary(settings: Settings, failures: dict[date, str]) -> Delivery:
    reports, failed, kept = [], [], []
    with database.connect(settings, database.RECONCILIATION) as connection:
        for day, failure in sorted(failures.items()):
            if failure:
                failed.append(Failure(day, failure))
                continue
            try:
                report = gather.report(connection, settings, day)
            except TandemError as error:
                failed.append(Failure(day, error.problem))
                continue
            kept.append(_keep(connection, report))
            reports.append(report)
        whole = Summary(tuple(reports), tuple(failed), gather.link(settings))
        pictures = _chart(summary.trend(whole))
        page = summary.html(whole) if pictures else summary.html(whole, chart_source="")
        _queue(connection, compose(settings, whole.subject, summary.text(whole), page, pictures), kept)
        if reports:
            _queue_new_bias(connection, settings, reports[-1])
    return send_pending(settings)


def send_failure(
    settings: Settings, *, dag_id: str, task_id: str, business_date: str, error: str, link: str = ""
) -> Delivery:
    """Mail that a task failed for good. Never raises: it is called where something is wrong already."""
    return _notify(
        settings,
        notice.failure(dag_id=dag_id, task_id=task_id, business_date=business_date, error=error, link=link),
    )


def send_overdue(settings: Settings, business_date: date, *, still_running: bool) -> Delivery:
    """Mail that a date is not published though it should be. Never raises."""
    return _notify(settings, notice.overdue(business_date, still_running=still_running, link=gather.link(settings)))


def _notify(settings: Settings, told: Notice) -> Delivery:
    message = compose(settings, told.subject, notice.text(told), notice.html(told), {})
    try:
        with database.connect(settings, database.RECONCILIATION) as connection:
            _queue(connection, message, [])
        return send_pending(settings)
    except (TandemError, psycopg.Error) as error:
        _log.warning("mail could not be kept, sending it at once", reason=str(error))
    try:
        _send(settings, message)
    except (OSError, smtplib.SMTPException) as error:
        _log.exception("mail lost", subject=told.subject)
        return Delivery(0, 0, str(error))
    return Delivery(1, 0)


def _queue_new_bias(connection: psycopg.Connection[Any], settings: Settings, report: Report) -> None:
    """Mail once of each bias that has begun; one that is over is forgotten, so that it is told again if it comes back.

    A date that is not the last says nothing of today.
    """
    queries = database.queries("reports")
    row = connection.execute(queries.is_newest_compared, {"business_date": report.business_date}).fetchone()
    if not row or not row[0]:
        return
    raised = {f"{_BIAS}{one.name}:{one.kind}:{'short' if one.short else 'over'}": one for one in report.bias}
    connection.execute(queries.forget_other_notices, {"prefix": _BIAS, "notices": list(raised)})
    new = {notice for (notice,) in connection.execute(queries.new_notices, {"notices": list(raised)})}
    if new:
        begun = [one for key, one in raised.items() if key in new]
        told = notice.biased(begun, report.business_date, link=report.link)
        _queue(connection, compose(settings, told.subject, notice.text(told), notice.html(told), {}), [])


def _keep(connection: psycopg.Connection[Any], report: Report) -> int:
    parameters = {
        "reconciliation_id": report.reconciliation_id,
        "business_date": report.business_date,
        "report": msgspec.json.encode(render.document(report)).decode(),
    }
    row = connection.execute(database.queries("reconciliation").keep_report, parameters).fetchone()
    return int(row[0]) if row else 0


def _chart(trend: tuple[DayInTrend, ...]) -> dict[str, bytes]:
    return {render.TREND_ID: chart.trend_png(trend, render.limit_percent())} if trend else {}


def compose(settings: Settings, subject: str, text: str, html: str, pictures: dict[str, bytes]) -> EmailMessage:
    """A mail of text, HTML, and PNGs by the content id under which the HTML shows them."""
    message = EmailMessage(policy=policy.SMTP)
    message["From"], message["To"] = settings.mail_from, settings.mail_to
    message["Subject"] = " ".join(subject.split())
    message["Date"] = localtime()
    message["Message-ID"] = make_msgid(domain=settings.mail_from.rpartition("@")[2] or None)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    message.add_alternative(html, subtype="html")
    page = cast("list[EmailMessage]", message.get_payload())[1]
    for content_id, picture in pictures.items():
        page.add_related(
            picture,
            "image",
            "png",
            cid=f"<{content_id}>",
            filename=f"{content_id.partition('@')[0]}.png",
            disposition="inline",
        )
    return message


def _queue(connection: psycopg.Connection[Any], message: EmailMessage, report_ids: list[int]) -> None:
    content = message.as_bytes(policy=_POLICY)
    parameters = {"subject": str(message["Subject"]), "message": content, "report_ids": report_ids}
    connection.execute(database.queries("reconciliation").queue_mail, parameters)


def send_pending(settings: Settings) -> Delivery:
    """Send every mail that was kept, oldest first; what cannot be sent now stays for the next time.

    A mail server that is away is no error. A crash between sending and marking sends a mail again, under the same
    Message-ID.
    """
    queries = database.queries("reconciliation")
    sent, after, reason = 0, 0, ""
    with database.connect(settings, database.RECONCILIATION, autocommit=True) as connection:
        while True:
            with connection.transaction():
                row = connection.execute(queries.next_unsent, {"after": after}).fetchone()
                if row is None:
                    break
                after, content, report_ids = row
                try:
                    _send(settings, message_from_bytes(content, policy=_POLICY))
                except (OSError, smtplib.SMTPException, TandemError) as error:
                    reason = f"the mail server at {settings.smtp_host}:{settings.smtp_port} did not take it: {error}"
                    _log.warning("mail kept for the next run", reason=reason)
                    if not _is_about_the_mail(error):
                        break
                    continue
                connection.execute(queries.mark_sent, {"mail_id": after})
                connection.execute(queries.mark_mailed, {"report_ids": report_ids})
                sent += 1
        kept = connection.execute(queries.count_unsent).fetchone()
    return Delivery(sent, int(kept[0]) if kept else 0, reason)


def _is_about_the_mail(error: Exception) -> bool:
    """Whether the server refused this mail, rather than being away: another one may pass."""
    refusals = (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError)
    return isinstance(error, refusals)


def _send(settings: Settings, message: EmailMessage) -> None:
    import stamina

    def passes(error: Exception) -> bool:
        return isinstance(error, OSError | smtplib.SMTPException) and not _is_about_the_mail(error)

    for attempt in stamina.retry_context(on=passes, attempts=_ATTEMPTS, timeout=3 * _TIMEOUT_S, wait_initial=0.2):
        with attempt, smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=_TIMEOUT_S) as server:
            if settings.smtp_starttls:
                server.starttls()
            if settings.smtp_user:
                server.login(settings.smtp_user, settings.secret("smtp"))
            server.send_message(message)
