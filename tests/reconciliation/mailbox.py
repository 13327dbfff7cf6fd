"""A mail server that takes what is sent, and what there is to be told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from typer.testing import CliRunner

from reconciliation import reconcile
from tandem import cli
from tandem.settings import Settings
from tests.reconciliation.books import DAY
from tests.reconciliation.decisions import Record
from tests.reconciliation.scene import stage

AGREED = [Record(n, order_id=f"o{n}", customer=f"c{n}") for n in range(10)]
HOSTILE = '"><script>alert(1)</script>'
OUTSIDE = [*AGREED, Record(20, speed="late", order_id=HOSTILE, customer="bob", cents=700)]
WAITING = "[Tandem] 2017-12-23 is out of tolerance, corrections wait for approval (order count +9.09 %)"


class Mailbox:
    """What a mail server took, as the server's handler; refuses recipients named so."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802 - aiosmtpd's name
        if address.startswith("refused"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's name
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        self.recipients.append(envelope.rcpt_tos)
        return "250 OK"


@dataclass
class Post:
    """A mail server that can go away and come back."""

    settings: Settings
    box: Mailbox
    server: Controller

    @property
    def subjects(self) -> list[str]:
        return [str(message["Subject"]) for message in self.box.mails]


def reconcile_date(settings: Settings, records: list[Record]) -> None:
    stage(settings, records)
    reconcile.run(settings, DAY, apply_timeout=timedelta(0))


def reconcile_again(settings: Settings) -> None:
    reconcile.run(settings, DAY, apply_timeout=timedelta(0))


def parts(message: EmailMessage) -> dict[str, object]:
    return {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}


def invoke(*arguments: str):
    return CliRunner().invoke(cli.app, list(arguments))
