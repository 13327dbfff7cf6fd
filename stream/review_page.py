"""The review as a page asks it: what it says about each waiting record, and what an answer does."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

from stream import review
from stream.release import Address, Correction
from tandem.settings import Settings

_SHOWN_CHARACTERS = 4_000


def waiting(settings: Settings, day: date | None, reason: str | None, limit: int) -> list[dict[str, str]]:
    """``address``, ``subject`` and ``body`` (Markdown) of each record that waits."""
    found, _ = review.find(settings, review.Filter(review.WAITING, day, reason), limit)
    return [_page(review.show(settings, Address.parse(record.address))) for record in found]


def apply(settings: Settings, address: str, choice: str, entered: Mapping[str, Any], *, by: str) -> str:
    """Do what was chosen, ``Approve``, ``Reject`` or anything else for nothing; returns what became of the record.

    ``entered``: ``data``, ``whole`` and ``note``, each of which may be absent. Raises as stream.review does.
    """
    where, note = Address.parse(address), str(entered.get("note") or "")
    if choice == "Approve":
        correction = Correction(str(entered.get("data") or ""), bool(entered.get("whole")))
        return str(review.approve(settings, where, correction, by=by, now=datetime.now(UTC), note=note))
    if choice == "Reject":
        return str(review.reject(settings, where, by=by, note=note))
    return f"{address} stays in quarantine"


def _page(record: review.Record) -> dict[str, str]:
    reasons = ", ".join(record.reasons)
    text = _readable(record.value)
    # Whatever the record holds, it stays inside its fence.
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    facts = f"{record.event_type or 'no event type'} of {record.business_date or 'no date'}"
    body = f"{facts}. Failed checks: **{reasons}**.\n\n{fence}json\n{text}\n{fence}"
    return {"address": record.address, "subject": f"{record.address}: {reasons}", "body": body}


def _readable(value: bytes | None) -> str:
    text = (value or b"").decode("utf-8", "replace")
    with suppress(ValueError, RecursionError):  # what is no JSON is shown as it came
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    more = len(text) - _SHOWN_CHARACTERS
    return text if more <= 0 else f"{text[:_SHOWN_CHARACTERS]}\n… and {more} characters more"
