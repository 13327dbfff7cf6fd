"""Corrections as reconciliation keeps them: adjusting entries for single base cells, each with a deterministic id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import psycopg

from tandem import database

WAITING, PENDING, EMITTED = "waiting_approval", "pending", "emitted"

Cell = tuple[str, datetime, str, str]
"""cube, cell_start, key, measure"""

_NAMESPACE = uuid5(NAMESPACE_URL, "tandem:corrections")


@dataclass(frozen=True, slots=True)
class Correction:
    """One adjusting entry. ``delta`` = batch_value - stream_value, in the measure's unit.

    ``sequence``: nth correction of its cell. ``applied_at``: when the speed layer booked it.
    """

    correction_id: str
    business_date: date
    cube: str
    cell_start: datetime
    key: str
    measure: str
    sequence: int
    stream_value: int
    batch_value: int
    delta: int
    run_id: str
    reconciliation_id: int
    status: str
    reverses: str | None = None
    decided_by: str = ""
    created_at: datetime | None = None
    emitted_at: datetime | None = None
    applied_at: datetime | None = None

    @property
    def cell(self) -> Cell:
        """Which base cell it corrects."""
        return self.cube, self.cell_start, self.key, self.measure


def correction_id(business_date: date, cell: Cell, sequence: int) -> str:
    """The id of the nth correction of a cell, the same whoever works it out and however often."""
    cube, cell_start, key, measure = cell
    parts = (business_date.isoformat(), cube, cell_start.astimezone(UTC).isoformat(), key, measure, str(sequence))
    return str(uuid5(_NAMESPACE, "\x1f".join(parts)))


def last_sequences(connection: psycopg.Connection[Any], business_date: date) -> dict[Cell, int]:
    """How many corrections each cell of the date has had, those that wait for approval left out."""
    query = database.queries("reconciliation").last_sequences
    rows = connection.execute(query, {"business_date": business_date}).fetchall()
    return {(cube, cell_start, key, measure): last for cube, cell_start, key, measure, last in rows}


def find(
    connection: psycopg.Connection[Any],
    *,
    business_date: date | None = None,
    statuses: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
) -> list[Correction]:
    """The corrections that fit every condition given, by date and cell."""
    parameters = {
        "business_date": business_date,
        "statuses": None if statuses is None else list(statuses),
        "ids": None if ids is None else list(ids),
    }
    rows = connection.execute(database.queries("reconciliation").corrections, parameters).fetchall()
    return [Correction(*row) for row in rows]


def insert(connection: psycopg.Connection[Any], corrections: Sequence[Correction]) -> None:
    """Keep new corrections. Raises psycopg's UniqueViolation for one that is kept already."""
    rows = [{name: getattr(c, name) for name in Correction.__slots__} for c in corrections]
    with connection.cursor() as cursor:
        cursor.executemany(database.queries("reconciliation").insert_correction, rows)
