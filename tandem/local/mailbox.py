"""Caught mails: one .eml file each, as it came, below the state folder."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from tandem.settings import Settings

_NAME = re.compile(r"\d{19,20}-[0-9a-f]{8}")
# What the standard library raises on headers and bodies that break their own rules.
_MALFORMED = (ValueError, LookupError, AttributeError, TypeError)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a mail that is neither its text nor its HTML: an attachment, or a picture in the HTML."""

    number: int
    content_type: str
    file_name: str
    content_id: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail: ``name`` sorts by time of arrival; ``html`` and ``text`` are empty where there is none."""

    name: str
    path: Path
    subject: str
    date: str
    sender: str
    to: str
    html: str
    text: str
    parts: tuple[Part, ...]


def folder(settings: Settings) -> Path:
    """Where the mails lie."""
    return settings.state_dir / "mail"


def keep(folder: Path, content: bytes) -> Path:
    """Write one mail so that it is whole or absent, also after a power cut."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.time_ns()}-{secrets.token_hex(4)}.eml"
    draft = path.with_suffix(".new")
    with draft.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return path


def mails(folder: Path, newest: int | None = None) -> list[Mail]:
    """The mails, newest first; only the ``newest`` ones where given."""
    paths = sorted((path for path in folder.glob("*.eml") if _NAME.fullmatch(path.stem)), reverse=True)
    return [_read(path) for path in paths[:newest]]


def find(folder: Path, name: str) -> Mail | None:
    """One mail by name."""
    path = folder / f"{name}.eml"
    return _read(path) if _NAME.fullmatch(name) and path.is_file() else None


def _read(path: Path) -> Mail:
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    bodies = {"text/html": "", "text/plain": ""}
    parts = []
    for number, leaf in enumerate(_leaves(message)):
        kind = leaf.get_content_type()
        if leaf.get_content_disposition() != "attachment" and bodies.get(kind) == "":
            bodies[kind] = _text(leaf)
        else:
            parts.append(_part(number, leaf))
    return Mail(
        name=path.stem,
        path=path,
        subject=_header(message, "Subject") or "(no subject)",
        date=_header(message, "Date"),
        sender=_header(message, "From"),
        to=_header(message, "To") or _header(message, "X-Envelope-To"),
        html=bodies["text/html"],
        text=bodies["text/plain"],
        parts=tuple(parts),
    )


def _leaves(message: EmailMessage) -> Iterator[EmailMessage]:
    return (part for part in message.walk() if not part.is_multipart())


def _header(message: EmailMessage, name: str) -> str:
    try:
        return str(message[name] or "")
    except _MALFORMED:
        return "(unreadable)"


def _bytes(leaf: EmailMessage) -> bytes:
    payload = leaf.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(leaf: EmailMessage) -> str:
    try:
        return str(leaf.get_content()).replace("\r\n", "\n")
    except _MALFORMED:
        return _bytes(leaf).decode("utf-8", "replace")


def _part(number: int, leaf: EmailMessage) -> Part:
    return Part(
        number=number,
        content_type=leaf.get_content_type(),
        file_name=Path(leaf.get_filename() or f"part-{number}").name,
        content_id=_header(leaf, "Content-ID").strip("<> "),
        content=_bytes(leaf),
    )
