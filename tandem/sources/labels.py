"""What was planted, written down: the answers that the ledger is measured against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import msgspec

from tandem.errors import TandemError


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """One planted fault.

    ``event_id``, ``order_id`` and ``customer_id`` are those a reader of the record finds, None where it finds none;
    ``partition`` is None where the record has no key.
    ``business_date`` and ``event_time`` are the planted event's. ``cents`` is its money: the total, or for an amendment
    the change of the total. ``speed`` and ``batch`` are the decisions, ``check`` the check it fails, ``cause`` what the
    ledger must say. ``difference_cents`` is batch - speed in that date's revenue.
    """

    kind: str
    event_id: str | None
    order_id: str | None
    customer_id: str | None
    business_date: date
    event_time: str
    partition: int | None
    cents: int
    speed: str
    batch: str
    check: str | None
    cause: str
    difference_cents: int


def write_labels(labels: Iterable[Label], path: Path) -> None:
    """One JSON object per line. Raises TandemError when the file cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(msgspec.json.encode(label) + b"\n" for label in labels))
    except OSError as failure:
        raise TandemError(f"cannot write {path}: {failure.strerror}", "give another file with --labels") from failure


def read_labels(path: Path) -> tuple[Label, ...]:
    """The labels of a file that ``write_labels`` wrote."""
    return tuple(msgspec.json.decode(line, type=Label) for line in path.read_bytes().splitlines())


def by_kind(labels: Iterable[Label]) -> dict[str, int]:
    """How many of each kind, in the order planted."""
    return dict(Counter(label.kind for label in labels))


def revenue_difference(labels: Iterable[Label]) -> dict[date, int]:
    """Per business date, batch - speed in revenue cents that the faults make."""
    difference: Counter[date] = Counter()
    for label in labels:
        difference[label.business_date] += label.difference_cents
    return dict(sorted(difference.items()))
