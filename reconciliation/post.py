"""The post: composes mails, keeps each until a mail server has taken it, and sends what is kept."""

from __future__ import annotations

import smtplib
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import localtime, make_msgid
from typing import Any, cast

import psycopg
import structlog

from tandem import database, recipients
from tandem.amounts import count
from tandem.errors import TandemError
from tandem.recipients import Severity
from tandem.settings import Settings

# Folded at the usual 78 columns, a subject that begins with a bracket starts on a line of its own, with a space.
_POLICY = policy.SMTP.clone(max_line_length=900, refold_source="none")
_TIMEOUT_S = 10
_ATTEMPTS = 3

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How many mails went out, how many are kept for the next time, and why."""

    sent: int
    kept: int
    reason: str = ""

    @property
    def not_sent(self) -> TandemError:
        """What to tell where mails are kept."""
        kept = count(self.kept, "mail is", "mails are")
        return TandemError(f"{kept} kept: {self.reason}", "what is kept goes out with the next one")


def addresses(settings: Settings, severity: Severity) -> tuple[str, ...]:
    """Who gets a mail so urgent."""
    return recipients.who_gets(recipients.parse(settings.mail_to), severity)


@dataclass(frozen=True, slots=True)
class Letter:
    """What a mail says: text, HTML, and PNGs by the content id under which the HTML shows them."""

    subject: str
    text: str
    html: str
    pictures: dict[str, bytes] = field(default_factory=dict)


def compose(settings: Settings, to: tuple[str, ...], letter: Letter) -> EmailMessage:
    """A letter as a mail to these addresses."""
    message = EmailMessage(policy=policy.SMTP)
    message["From"], message["To"] = settings.mail_from, ", ".join(to)
    message["Subject"] = " ".join(letter.subject.split())
    message["Date"] = localtime()
    message["Message-ID"] = make_msgid(domain=settings.mail_from.rpartition("@")[2] or None)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    message.add_alternative(letter.html, subtype="html")
    page = cast("list[EmailMessage]", message.get_payload())[1]
    for content_id, picture in letter.pictures.items():
        page.add_related(
            picture,
            "image",
            "png",
            cid=f"<{content_id}>",
            filename=f"{content_id.partition('@')[0]}.png",
            disposition="inline",
        )
    return message


def queue(connection: psycopg.Connection[Any], message: EmailMessage, report_ids: list[int]) -> None:
    """Keep a mail until it is sent, in the transaction of what it tells. One that nobody is to get is none."""
    if not message["To"]:
        return
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
                    send(settings, message_from_bytes(content, policy=_POLICY))
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


def send(settings: Settings, message: EmailMessage) -> None:
    """Hand a mail to the server. Raises OSError or SMTPException where it does not take it for anybody."""
    import stamina

    def passes(error: Exception) -> bool:
        return isinstance(error, OSError | smtplib.SMTPException) and not _is_about_the_mail(error)

    for attempt in stamina.retry_context(on=passes, attempts=_ATTEMPTS, timeout=3 * _TIMEOUT_S, wait_initial=0.2):
        with attempt, smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=_TIMEOUT_S) as server:
            if settings.smtp_starttls:
                server.starttls()
            if settings.smtp_user:
                server.login(settings.smtp_user, settings.secret("smtp"))
            refused = server.send_message(message)
            if refused:
                _log.warning("mail refused for some", subject=str(message["Subject"]), refused=sorted(refused))
