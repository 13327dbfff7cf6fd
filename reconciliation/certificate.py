"""The convergence certificate (capability B3): what was compared, at which cut, from which versions, the hashes of
both books before and after the corrections, and the corrections themselves.

Anyone can work it out again from the books; docs/certificate.md says how. ``sha256`` is the document's own hash,
without that field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from reconciliation import canonical, cut, sides, store
from reconciliation.compare import Verdict
from reconciliation.sides import Sides
from tandem import database, documents, kpis, topics
from tandem.errors import TandemError
from tandem.settings import Settings

FORMAT = "tandem-certificate/1"

Certificate = dict[str, Any]
"""A certificate as JSON: see docs/certificate.md."""


def issue(
    connection: psycopg.Connection[Any],
    settings: Settings,
    reconciliation_id: int,
    corrected_before: Sequence[str] | None = None,
) -> Certificate | None:
    """Certify a comparison and the corrections since, as the books are now, and keep that. None: nothing was compared.

    ``corrected_before``: ids of the corrections that the comparison saw; left out, those of its last certificate.
    """
    found = store.read(connection, reconciliation_id)
    if found.verdict is Verdict.NOT_COMPARABLE:
        return None
    with connection.transaction():
        if corrected_before is None:
            earlier = newest(connection, reconciliation_id)
            corrected_before = earlier["corrections"]["before"] if earlier else []
        document = _document(connection, settings, found, corrected_before)
        parameters = {"reconciliation_id": reconciliation_id, "certificate": Jsonb(document)}
        connection.execute(database.queries("reconciliation").insert_certificate, parameters)
    return document


def of(settings: Settings, reconciliation_id: int) -> Certificate:
    """The certificate of a reconciliation. Raises TandemError where it has none."""
    with database.connect(settings, database.READER) as connection:
        found = newest(connection, reconciliation_id)
        if found is None:
            day = store.read(connection, reconciliation_id).business_date
            raise TandemError(
                f"reconciliation {reconciliation_id} of {day} has no certificate",
                f"compare the date: tandem reconcile --date {day}",
            )
    return found


def newest(connection: psycopg.Connection[Any], reconciliation_id: int) -> Certificate | None:
    """The last certificate of a reconciliation, or None."""
    query = database.queries("reconciliation").certificate
    row = connection.execute(query, {"reconciliation_id": reconciliation_id}).fetchone()
    return dict(row[0]) if row else None


def renew(connection: psycopg.Connection[Any], settings: Settings, reconciliation_id: int) -> None:
    """Certify again after corrections were approved or taken back; what had no certificate gets none."""
    if newest(connection, reconciliation_id) is not None:
        issue(connection, settings, reconciliation_id)


def signature(document: Certificate) -> str:
    """The SHA-256 that a certificate must carry."""
    return canonical.document_sha256({name: value for name, value in document.items() if name != "sha256"})


def _document(
    connection: psycopg.Connection[Any], settings: Settings, found: store.Reconciliation, before: Sequence[str]
) -> Certificate:
    queries = database.queries("reconciliation")
    where = {"business_date": found.business_date, "run_id": found.run_id}
    both, hashes = _books(connection, settings, found, before)
    taken = cut.read(connection, found.run_id)
    run = connection.execute(queries.run_versions, where).fetchone()
    if taken is None or run is None:
        raise TandemError(f"the cut of run {found.run_id} is gone", "run the date again")
    entries = correction_rows(connection, both.corrected_by)
    since = sorted(set(both.corrected_by) - set(before))
    document: Certificate = {
        "format": FORMAT,
        "reconciliation_id": found.reconciliation_id,
        "business_date": found.business_date.isoformat(),
        "timezone": settings.business_timezone,
        "currency": settings.currency,
        "compared_at": documents.instant(found.compared_at),
        "verdict": found.verdict.value,
        "cut": {
            "run_id": taken.run_id,
            "topic": topics.ORDER_EVENTS,
            "taken_at": documents.instant(taken.taken_at),
            "next_offsets": {str(partition): offset for partition, offset in sorted(taken.offsets.items())},
        },
        "versions": dict(zip(_VERSIONS, run, strict=True)) | {"speed_rules": taken.rule_version},
        "cells": {"compared": found.cells_compared, "differing": found.cells_differing},
        "figures": {"batch": both.batch_day, "counted": both.counted_day, "corrected": both.speed_day},
        "before": {
            "counted_sha256": hashes.counted,
            "speed_sha256": found.speed_hash,
            "batch_sha256": found.batch_hash,
        },
        "ledger_sha256": ledger_sha256(connection, found.reconciliation_id),
        "corrections": {
            "before": sorted(before),
            "since": since,
            "waiting": _waiting(connection, found),
            "sha256": canonical.sha256(entries),
        },
        "after": {
            "speed_sha256": hashes.speed,
            "batch_sha256": found.batch_hash,
            "equal": hashes.speed == found.batch_hash,
        },
    }
    return {**document, "sha256": signature(document)}


@dataclass(frozen=True, slots=True)
class _Hashes:
    """Of the stream's books as counted, and with the corrections so far."""

    counted: str
    speed: str


def _books(
    connection: psycopg.Connection[Any], settings: Settings, found: store.Reconciliation, before: Sequence[str]
) -> tuple[Sides, _Hashes]:
    """Both sides now, with the cells of the orders at least. Where no correction came since, what was hashed stands."""
    both = sides.read(connection, settings, found.business_date, found.run_id, cubes=[kpis.ORDERS])
    if not before and not both.corrected_by:
        return both, _Hashes(found.speed_hash, found.speed_hash)
    both = sides.read(connection, settings, found.business_date, found.run_id)
    since = set(both.corrected_by) != set(before)
    return both, _Hashes(both.counted.sha256(), both.speed.sha256() if since else found.speed_hash)


_VERSIONS = ("batch_version", "batch_rules", "code", "archive", "facts")


def correction_rows(connection: psycopg.Connection[Any], ids: Sequence[str]) -> list[tuple[Any, ...]]:
    """The entries of these corrections, as they were decided."""
    query = database.queries("reconciliation").correction_entries
    return connection.execute(query, {"ids": list(ids)}).fetchall()


def ledger_sha256(connection: psycopg.Connection[Any], reconciliation_id: int) -> str:
    """The hash of a comparison's causes."""
    query = database.queries("reconciliation").ledger_rows
    return canonical.sha256(connection.execute(query, {"reconciliation_id": reconciliation_id}))


def _waiting(connection: psycopg.Connection[Any], found: store.Reconciliation) -> int:
    query = database.queries("reconciliation").corrections_of_reconciliation
    row = connection.execute(query, {"reconciliation_id": found.reconciliation_id}).fetchone()
    return int(row[1]) if row else 0
