"""Tasks that failed for good, as incidents: what every task asks when it ends well, so this loads no engine.

``incidents`` and ``mail`` know reports, and with them polars and Arrow, which cost a task more than most tasks do.
"""

from __future__ import annotations

from datetime import date

import psycopg

from tandem import database
from tandem.errors import TandemError
from tandem.settings import Settings

PREFIX = "failure:"
"""Begins the names of tasks that failed."""


def name(dag_id: str, task_id: str, business_date: str) -> str:
    """The name under which a task that failed for good is kept."""
    return f"{PREFIX}{dag_id}:{task_id}:{business_date}"


def date_of(named: str) -> date | None:
    """The date that a task of such a name worked on; None where it worked on none, or on several."""
    first, _, last = named.rpartition(":")[2].partition(" to ")
    return date.fromisoformat(first) if first and last in {"", first} else None


def may_be_open(settings: Settings, *, dag_id: str, task_id: str, business_date: str) -> bool:
    """Whether people were told that the task failed, and not yet that it went through. True where nobody can say."""
    place = {"name": name(dag_id, task_id, business_date)}
    try:
        with database.connect(settings, database.RECONCILIATION) as connection:
            row = connection.execute(database.queries("incidents").is_open, place).fetchone()
    except (TandemError, psycopg.Error):
        return True
    return row is None or bool(row[0])
