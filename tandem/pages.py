"""Pages of our own that a run leaves: where their files are kept, and where people see them."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tandem.settings import Settings

_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")


class Kind(StrEnum):
    """What a page shows, and by what it is named."""

    GATES = "gates"
    """What the checks of a run found; by run id."""
    REPORT = "reports"
    """The newest reconciliation report of a date; by date."""


def file(settings: Settings, kind: Kind, name: str) -> Path:
    """The file of a page. Raises ValueError for what names none."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"'{name}' is no name of a page")
    return settings.state_dir / kind / f"{name}.html"


def keep(settings: Settings, kind: Kind, name: str, page: str) -> Path:
    """Write a page where it is shown from, whole or not at all; returns its path."""
    path = file(settings, kind, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(page, encoding="utf-8")
    draft.replace(path)
    return path


def address(settings: Settings, kind: Kind, name: str) -> str:
    """Where the page is shown: beside the caught mails, unless the pages stand elsewhere."""
    base = settings.public_base_url.rstrip("/") or f"http://{settings.host}:{settings.mail_page_port}"
    return f"{base}/{kind}/{name}"
