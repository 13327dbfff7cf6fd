"""The review of quarantined records (capability Q3): approve puts the corrected event back, reject deletes for good.

A decision is one Postgres transaction: the record leaves ``speed.quarantine``, the decision stands in ``speed.reviews``
with who and when, and what was approved waits in the outbox, from where a speed worker sends it. So a record is decided
once, however many decide at once and whatever dies half-way; and what is sent twice has one event id, and counts once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from stream.release import Address, Correction, Release, release
from stream.types import Rules
from tandem import database
from tandem.checks import CHECKS
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

WAITING, APPROVED, REJECTED = "waiting", "approved", "rejected"
STATUSES = (WAITING, APPROVED, REJECTED)
_queries = database.queries("review")


@dataclass(frozen=True, slots=True)
class Record:
    """A quarantined record and what became of it. ``sent``: Kafka has the event that was approved; None where there is
    none. The values only where one record was asked for; ``value`` as it came.
    """

    topic: str
    partition: int
    offset: int
    reasons: list[str]
    event_id: str | None
    event_type: str | None
    order_id: str | None
    business_date: date | None
    status: str
    decided_by: str | None
    decided_at: datetime | None
    note: str
    released_date: date | None
    sent: bool | None
    value: bytes | None = None
    released_value: bytes | None = None

    @property
    def address(self) -> str:
        """Where it stands in Kafka."""
        return str(Address(self.topic, self.partition, self.offset))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records; None is any."""

    status: str | None = WAITING
    business_date: date | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision. ``already``: it was taken before, by whoever is named. ``release``: what goes out, if anything."""

    address: Address
    decision: str
    decided_by: str
    already: bool = False
    release: Release | None = None

    def __str__(self) -> str:
        if self.already:
            return f"{self.address} was {self.decision} by {self.decided_by} already: nothing changes"
        if self.release is None:
            return f"{self.address} rejected"
        warned = f", with {', '.join(self.release.warnings)}" if self.release.warnings else ""
        return f"{self.address} approved: goes out as {self.release.event_id} of {self.release.business_date}{warned}"


def find(settings: Settings, wanted: Filter, limit: int) -> tuple[list[Record], int]:
    """The first ``limit`` records by their place in Kafka, and how many there are in all.

    Raises TandemError where no check is called like the reason that is asked for.
    """
    codes = [check.code for check in CHECKS]
    if wanted.reason is not None and wanted.reason not in codes:
        raise TandemError(f"'{wanted.reason}' is no check", f"give one of {', '.join(codes)}")
    where = {**asdict(wanted), "topic": None, "partition": None, "offset": None, "limit": limit}
    return _found(settings, where)


def show(settings: Settings, address: Address) -> Record:
    """One record with its values. Raises TandemError where it was never quarantined."""
    where = {"status": None, "business_date": None, "reason": None, **asdict(address), "limit": 1}
    found, _ = _found(settings, where)
    if not found:
        raise _never_quarantined(address)
    return found[0]


def approve(
    settings: Settings, address: Address, correction: Correction, *, by: str, now: datetime, note: str = ""
) -> Decided:
    """Put the corrected event back. Raises StillFailsError where it would be quarantined again, TandemError where the
    record is not in quarantine, was rejected, or was approved with other data.
    """

    def released(value: bytes | None) -> Release:
        return release(address, value, correction, Rules.of(settings), now)

    with database.connect(settings, database.REVIEW, row_factory=dict_row) as connection:
        record = connection.execute(_queries.take, asdict(address)).fetchone()
        if record is None:
            before = _decided(connection, address)
            if before["decision"] != APPROVED or released(before["value"]).value != before["released_value"]:
                raise _otherwise(address, before)
            return Decided(address, APPROVED, before["decided_by"], already=True)
        out = released(record["value"])
        sending = {"dedupe_id": out.event_id, "to": ORDER_EVENTS, "key": out.key, "value": out.value}
        connection.execute(_queries.send, sending)
        changes = {"released_key": out.key, "released_value": out.value, "released_date": out.business_date}
        _keep(connection, address, {**record, **changes}, decision=APPROVED, by=by, note=note)
    return Decided(address, APPROVED, by, release=out)


def reject(settings: Settings, address: Address, *, by: str, note: str = "") -> Decided:
    """Delete a record for good. Raises TandemError where it is not in quarantine or was approved."""
    with database.connect(settings, database.REVIEW, row_factory=dict_row) as connection:
        record = connection.execute(_queries.take, asdict(address)).fetchone()
        if record is None:
            before = _decided(connection, address)
            if before["decision"] != REJECTED:
                raise _otherwise(address, before)
            return Decided(address, REJECTED, before["decided_by"], already=True)
        nothing = {"value": None, "released_key": None, "released_value": None, "released_date": None}
        _keep(connection, address, {**record, **nothing}, decision=REJECTED, by=by, note=note)
    return Decided(address, REJECTED, by)


def _found(settings: Settings, where: dict[str, Any]) -> tuple[list[Record], int]:
    with database.connect(settings, database.READER, row_factory=dict_row) as connection:
        rows = connection.execute(_queries.found, where).fetchall()
    total = rows[0]["found"] if rows else 0
    return [Record(**{name: row[name] for name in Record.__slots__}) for row in rows], total


def _decided(connection: psycopg.Connection[Any], address: Address) -> dict[str, Any]:
    before = connection.execute(_queries.decided, asdict(address)).fetchone()
    if before is None:
        raise _never_quarantined(address)
    return dict(before)


def _keep(
    connection: psycopg.Connection[Any], address: Address, record: dict[str, Any], *, decision: str, by: str, note: str
) -> None:
    values = {**record, **asdict(address), "decision": decision, "decided_by": by, "note": note}
    connection.execute(_queries.keep, values)


def _never_quarantined(address: Address) -> TandemError:
    return TandemError(f"{address} is not in quarantine", "see 'tandem quarantine list'")


def _otherwise(address: Address, before: dict[str, Any]) -> TandemError:
    words = f"{address} was {before['decision']} by {before['decided_by']} at {before['decided_at']:%Y-%m-%d %H:%M}"
    if before["decision"] == REJECTED:
        return TandemError(words, "only the archive has it: send the order again under a new event id")
    return TandemError(
        f"{words}, with other data or another decision", "it counts once: cancel or amend the order by an event"
    )
