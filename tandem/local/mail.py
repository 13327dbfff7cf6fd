"""The mail catcher: takes every mail over SMTP, keeps it as a file and shows it on a page. Nothing is sent on.

``python -m tandem.local.mail`` runs it.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from tandem.local import mailbox, process
from tandem.local.mail_page import page_server
from tandem.local.ports import answers
from tandem.local.service import Service
from tandem.settings import PROJECT_ROOT, Settings, settings

NAME = "mail"


class Catcher:
    """Keeps what aiosmtpd receives; a mail is acknowledged only when its file is on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep one mail, with the envelope in front as mail servers do it."""
        recipients = ", ".join(envelope.rcpt_tos)
        head = f"X-Envelope-From: {envelope.mail_from}\r\nX-Envelope-To: {recipients}\r\n"
        path = mailbox.keep(self._folder, head.encode("utf-8", "replace") + envelope.content)
        print(f"kept {path.name} for {recipients}", flush=True)
        return "250 kept"


def main() -> None:
    """Serve SMTP and the page until SIGTERM."""
    own = settings()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    smtp = Controller(Catcher(mailbox.folder(own)), hostname=own.host, port=own.smtp_port)
    page = page_server(own)
    smtp.start()
    threading.Thread(target=page.serve_forever, daemon=True).start()
    ended.wait()
    smtp.stop()
    page.shutdown()


def start(own: Settings) -> None:
    """Start the catcher and wait until both of its ports answer."""
    if process.find(own, NAME) is None:
        argv = (sys.executable, "-m", "tandem.local.mail")
        process.start(own, process.Program(name=NAME, argv=argv, cwd=PROJECT_ROOT))
    process.wait_until_ready(own, NAME, lambda: is_ready(own), timeout_s=60)


def is_ready(own: Settings) -> bool:
    """Whether both ports answer."""
    return answers(own.host, own.smtp_port) and answers(own.host, own.mail_page_port)


def page_address(own: Settings) -> str:
    """Where the mails are shown."""
    return f"http://{own.host}:{own.mail_page_port}"


SERVICE = Service(
    name=NAME, start=start, is_ready=is_ready, address=page_address, ports=("mail_page_port", "smtp_port")
)

if __name__ == "__main__":
    main()
