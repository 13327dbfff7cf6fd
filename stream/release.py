"""A quarantined record, corrected: the event that goes out in its place, checked as the speed layer checks every event.

Pure. Its ``event_id`` names the record's place in Kafka, so that all releases of one record are copies of each other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from stream.decode import decode
from stream.fold import business_date
from stream.types import Records, Rules
from stream.validate import validate
from tandem.errors import TandemError
from tandem.events import Decision
from tandem.kafka_client import LARGEST_MESSAGE
from tandem.topics import ORDER_EVENTS


@dataclass(frozen=True, slots=True)
class Address:
    """Where a record stands in Kafka; written ``topic:partition:offset``, the topic without the prefix."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """The address that ``text`` writes. Raises TandemError."""
        topic, *numbers = text.strip().rsplit(":", 2)
        if not topic or len(numbers) != 2 or not all(number.isascii() and number.isdigit() for number in numbers):
            raise TandemError(f"'{text}' is not an address", "write it as 'tandem quarantine list' does: topic:0:17")
        return cls(topic, int(numbers[0]), int(numbers[1]))


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person changes. ``document``: a JSON object, '' for nothing; ``whole``: it is the event, else a merge
    patch (RFC 7386: a member replaces, ``null`` removes).
    """

    document: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Release:
    """What goes out. ``warnings``: codes of failed checks that do not keep an event from counting."""

    event_id: str
    key: bytes
    value: bytes
    business_date: date
    warnings: tuple[str, ...]


class StillFailsError(TandemError):
    """The event would be quarantined again."""


def release(address: Address, value: bytes | None, correction: Correction, rules: Rules, now: datetime) -> Release:
    """The event in place of the record at ``address``, of the same bytes for the same correction.

    Raises StillFailsError where a check fails, TandemError where there is nothing to check.
    """
    if address.topic != ORDER_EVENTS:
        raise TandemError(
            f"{address} is no order event: it cannot be released", f"reject it: tandem quarantine reject {address}"
        )
    event_id = f"release:{address}"
    document = {**_corrected(address, value, correction), "event_id": event_id}
    # What UTF-8 has no bytes for, such as half a surrogate pair, must reach the checks, which refuse it.
    corrected = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
    records = Records([address.partition], [address.offset], [round(now.timestamp() * 1000)], [None], [corrected])
    checked = validate(decode(records, rules.currency).events)
    row = checked.with_columns(business_date(pl.col("event_time"), rules.zone).alias("business_date")).row(
        0, named=True
    )
    if row["decision"] is not None:
        raise StillFailsError(f"{address} still does not count: {_why(row)}", "correct it with --data")
    key = row["customer_id"].encode()
    if (size := len(key) + len(corrected)) > LARGEST_MESSAGE:
        raise TandemError(
            f"{address} is larger than Kafka takes ({size:,} bytes)", "shorten it with --data, or reject it"
        )
    reasons = tuple(row["reasons"].split(",")) if row["reasons"] else ()
    return Release(event_id, key, corrected, row["business_date"], reasons)


def _why(row: dict[str, Any]) -> str:
    if row["decision"] == Decision.IGNORED:
        return f"{row['event_type']} is not an event type that counts"
    return str(row["reasons"].replace(",", ", "))


def _corrected(address: Address, value: bytes | None, correction: Correction) -> dict[str, Any]:
    given = _object(correction.document.encode("utf-8", "surrogatepass")) if correction.document.strip() else {}
    if given is None:
        raise TandemError(f"the data for {address} is not a JSON object", 'give for example {"customer_id": "c-17"}')
    if correction.whole:
        return given
    original = _object(value)
    if original is None:
        raise TandemError(
            f"{address} does not hold a JSON object, so nothing can be merged into it", "give the whole event: --whole"
        )
    return _merged(original, given)


def _object(value: bytes | None) -> dict[str, Any] | None:
    """The JSON object, read as the event contract says; None where it is none."""
    try:
        found = json.loads((value or b"").decode("utf-8"), object_pairs_hook=_first_counts)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _first_counts(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


def _merged(original: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    merged = dict(original)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            inner = merged.get(name)
            merged[name] = _merged(inner if isinstance(inner, dict) else {}, value)
        else:
            merged[name] = value
    return merged
