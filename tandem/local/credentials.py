"""Generated passwords and keys: files of mode 0600 in a folder of mode 0700, made once and kept."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from tandem.settings import Settings


def ensure_secret(settings: Settings, name: str, value: str | None = None) -> str:
    """The secret ``name``, made now if there is none: ``value``, or 32 random characters."""
    folder = settings.state_dir / "secrets"
    path = folder / name
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        write_private(path, value or secrets.token_urlsafe(24))
    return settings.secret(name)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads; it is whole or absent, and never readable by others on the way."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
