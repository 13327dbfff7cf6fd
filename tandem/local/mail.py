"""The mail catcher as a local part. The server itself is in mail_catcher, which this does not load."""

from __future__ import annotations

import sys

from tandem.local import process
from tandem.local.ports import answers
from tandem.local.service import Service
from tandem.settings import PROJECT_ROOT, Settings

NAME = "mail"


def start(own: Settings) -> None:
    """Start the catcher and wait until both of its ports answer."""
    if process.find(own, NAME) is None:
        argv = (sys.executable, "-m", "tandem.local.mail_catcher")
        process.start(own, process.Program(name=NAME, argv=argv, cwd=PROJECT_ROOT))
    process.wait_until_ready(own, NAME, lambda: is_ready(own))


def is_ready(own: Settings) -> bool:
    """Whether both ports answer."""
    return answers(own.host, own.smtp_port) and answers(own.host, own.mail_page_port)


def page_address(own: Settings) -> str:
    """Where the mails are shown."""
    return f"http://{own.host}:{own.mail_page_port}"


SERVICE = Service(
    name=NAME, start=start, is_ready=is_ready, address=page_address, ports=("mail_page_port", "smtp_port")
)
