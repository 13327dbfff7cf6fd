"""Corrections as reconciliation keeps them: adjusting entries for single base cells, each with a deterministic id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import psycopg
import structlog
from psycopg.rows import dict_row

from tandem import database

WAITING, PENDING, EMITTED = "waiting_approval", "pending", "emitted"

_log = structlog.get_logger(__name__)

Cell = tuple[str, datetime, str, str]
"""cube, cell_start, key, measure"""

ADOPTED = "adopted"
"""Stands for who decided a correction that was found in the speed layer's books."""
_MOST_SEQUENCES = 1_000

_NAMESPACE = uuid5(NAMESPACE_URL, "tandem:corrections")


@dataclass(frozen=True, slots=True)
class Correction:
    """One adjusting entry. ``delta`` = batch_value - stream_value, in the measure's unit.

    ``sequence``: nth correction of its cell. ``reconciliation_id``: of the comparison that it was made of; None where
    it was adopted. ``applied_at``: when the speed layer booked it.
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
    reconciliation_id: int | None
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
    """How many corrections each cell of the date has had, or is to have where one waits for approval."""
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


def adopt(connection: psycopg.Connection[Any], business_date: date) -> int:
    """Keep what the speed layer has booked of a date as it has it, where that was not decided here. Returns how many.

    After a backup was restored the speed layer reads again what was sent since. The same ids would be given to what is
    decided anew, and another amount under one of them would never be booked, though all comparisons count it.
    """
    queries = database.queries("reconciliation")
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(queries.booked_otherwise, {"business_date": business_date}).fetchall()
        last = last_sequences(connection, business_date) if rows else {}
        for row in rows:
            cell = (row["cube"], row["cell_start"], row["key"], row["measure"])
            last[cell] = _sequence(business_date, cell, row["correction_id"], last.get(cell, 0))
            decided = {"business_date": business_date, "sequence": last[cell], "decided_by": ADOPTED}
            cursor.execute(queries.adopt, {**row, **decided})
    if rows:
        _log.warning("corrections adopted from the stream's books", date=str(business_date), corrections=len(rows))
    return len(rows)


def _sequence(business_date: date, cell: Cell, known_id: str, last: int) -> int:
    """Which correction of its cell an id is; the next one where it says nothing, or that is taken."""
    after = range(last + 1, _MOST_SEQUENCES)
    return next((n for n in after if correction_id(business_date, cell, n) == known_id), last + 1)


def insert(connection: psycopg.Connection[Any], corrections: Sequence[Correction]) -> None:
    """Keep new corrections. Raises psycopg's UniqueViolation for one that is kept already."""
    rows = [{name: getattr(c, name) for name in Correction.__slots__} for c in corrections]
    with connection.cursor() as cursor:
        cursor.executemany(database.queries("reconciliation").insert_correction, rows)
