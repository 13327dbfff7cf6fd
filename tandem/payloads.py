"""What a record's value must be before anything of it can be read."""

from __future__ import annotations

import msgspec


def readable(value: bytes | None) -> bool:
    """Whether a value is JSON in UTF-8 throughout, also where nobody needs it: no decoder takes it otherwise."""
    try:
        msgspec.json.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
