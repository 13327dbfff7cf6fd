"""The mail catcher: takes every mail over SMTP, keeps it as a file and shows it on a page. Nothing is sent on.

``python -m tandem.local.mail_catcher`` runs it.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from tandem.local import mailbox
from tandem.local.mail_page import page_server
from tandem.settings import settings


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


if __name__ == "__main__":
    main()
