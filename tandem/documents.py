"""What ``--json`` prints: values that JSON has, and every instant in one form."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec


def instant(moment: datetime) -> str:
    """An aware instant as RFC 3339 in UTC, 2017-12-23T09:05:00Z, with a fraction only where there is one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """Any value as JSON's own: dates and durations in ISO 8601, instants as ``instant`` writes them, else as text."""
    return _written(msgspec.to_builtins(value, builtin_types=(datetime,), str_keys=True, enc_hook=str))


def text(value: Any, *, indent: int | None = 2) -> str:
    """Any value as one JSON document; on one line where ``indent`` is None."""
    return json.dumps(plain(value), indent=indent)


def _written(value: Any) -> Any:
    match value:
        case datetime():
            return instant(value)
        case dict():
            return {name: _written(part) for name, part in value.items()}
        case list() | tuple():
            return [_written(part) for part in value]
    return value
