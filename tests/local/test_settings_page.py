"""``docs/settings.md`` as the declarations in tandem/settings.py make it."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from tandem.settings import PROJECT_ROOT, Settings

PAGE = PROJECT_ROOT / "docs" / "settings.md"
_HEAD = """# Settings

<!-- Made from tandem/settings.py by tests/local/test_settings_page.py: edit that. -->

Every setting is an environment variable. Durations are seconds (`3600`) or ISO 8601 (`PT1H`, `P7D`). A value that is
not valid, two that do not fit together and a name that is misspelt are refused in one line. A path that is not absolute
begins in the folder where the command does. Secrets are none of them: `TANDEM_SECRET_<ROLE>`, see
[architecture](architecture.md#least-privilege).

Those that figures depend on stand in the books, and nothing works under others: [which, and how to change
them](operations.md#change-a-setting-that-figures-depend-on).

| variable | default | what |
| --- | --- | --- |
"""


def shown(value: Any) -> str:
    """A default as one would write it."""
    if isinstance(value, timedelta) and value and not value % timedelta(days=1):
        return f"P{value.days}D"
    if isinstance(value, timedelta):
        return str(TypeAdapter(timedelta).dump_python(value, mode="json"))
    if isinstance(value, Path):
        return f"{value.relative_to(PROJECT_ROOT)} in the project"
    return str(value).lower() if isinstance(value, bool) else str(value)


def page() -> str:
    """The whole page."""
    lines = []
    for name, field in Settings.model_fields.items():
        default = field.default if field.default_factory is None else getattr(Settings.model_construct(), name)
        what = " ".join((field.description or "").split()).replace("``", "`")
        lines.append(f"| `TANDEM_{name.upper()}` | {f'`{shown(default)}`' if default != '' else ''} | {what} |")
    return _HEAD + "\n".join(lines) + "\n"


def test_the_page_about_the_settings_says_what_their_declarations_say() -> None:
    if os.environ.get("TANDEM_REGENERATE"):
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "docs/settings.md is behind; TANDEM_REGENERATE=1 .venv/bin/pytest tests/local/test_settings_page.py"
    )


def test_every_setting_says_what_it_is() -> None:
    assert not [name for name, field in Settings.model_fields.items() if not field.description]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("3600", timedelta(hours=1)),
        ("0", timedelta()),
        ("0.5", timedelta(milliseconds=500)),
        ("PT1H", timedelta(hours=1)),
    ],
)
def test_a_duration_may_be_written_in_seconds(monkeypatch: pytest.MonkeyPatch, written: str, meant: timedelta) -> None:
    monkeypatch.setenv("TANDEM_WATERMARK_DELAY", written)
    assert Settings().watermark_delay == meant
