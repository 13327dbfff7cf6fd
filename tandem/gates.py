"""Where the page of a run's gate results is kept, and where people see it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tandem.settings import Settings

_RUN_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")


def file(settings: Settings, run_id: str) -> Path:
    """The file of a run's page. Raises ValueError for what is no run id."""
    if not _RUN_ID.fullmatch(run_id):
        raise ValueError(f"'{run_id}' is no run id")
    return settings.state_dir / "gates" / f"{run_id}.html"


def address(settings: Settings, run_id: str) -> str:
    """Where the page is shown: beside the caught mails, unless the pages stand elsewhere."""
    base = settings.public_base_url.rstrip("/") or f"http://{settings.host}:{settings.mail_page_port}"
    return f"{base}/gates/{run_id}"
