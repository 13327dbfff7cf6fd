"""Tasks that failed for good, as incidents: what every task asks when it ends well, so this loads no engine.

``incidents`` and ``mail`` know reports, and with them polars and Arrow, which cost a task more than most tasks do.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import psycopg

from tandem import database
from tandem.errors import TandemError
from tandem.settings import Settings

PREFIX = "failure:"
"""Begins the names of tasks that failed."""
_AFTER_PUBLICATION = frozenset({"reconcile", "correct", "report", "judge"})
"""Tasks whose dates are no longer due once they have failed, so that none of a later run does them."""


def name(dag_id: str, task_id: str, business_date: str) -> str:
    """The name under which a task that failed for good is kept."""
    return f"{PREFIX}{dag_id}:{task_id}:{business_date}"


def date_of(named: str) -> date | None:
    """The date that a task of such a name worked on; None where it worked on none, or on several."""
    first, last = _dates(named.rpartition(":")[2])
    return first if first == last else None


def is_after_publication(named: str) -> bool:
    """Whether a task of such a name works on what is published."""
    return named.split(":")[2] in _AFTER_PUBLICATION


def _dates(said: str) -> tuple[date | None, date | None]:
    """The first and the last date of those that a task worked on, as text; None where it worked on none."""
    first, _, last = said.partition(" to ")
    return (date.fromisoformat(first), date.fromisoformat(last or first)) if first else (None, None)


def open_within(
    connection: psycopg.Connection[Any], *, dag_id: str, task_id: str, business_date: str
) -> tuple[str, ...]:
    """The names of what is open of a task for these dates; and for some of them, where one run takes what others left
    undone.
    """
    own, prefix = name(dag_id, task_id, business_date), name(dag_id, task_id, "")
    rows = connection.execute(database.queries("incidents").open_ones, {"prefix": prefix}).fetchall()
    found = [named for named, *_ in rows]
    if is_after_publication(own):
        return tuple(named for named in found if named == own)
    return tuple(named for named in found if _is_within(named.removeprefix(prefix), business_date))


def _is_within(some: str, dates: str) -> bool:
    (first, last), (begins, ends) = _dates(some), _dates(dates)
    if first is None or last is None or begins is None or ends is None:
        return some == dates
    return begins <= first and last <= ends


def may_be_open(settings: Settings, *, dag_id: str, task_id: str, business_date: str) -> bool:
    """Whether people were told that the task failed, and not yet that it went through. True where nobody can say."""
    place = {"dag_id": dag_id, "task_id": task_id, "business_date": business_date}
    try:
        with database.connect(settings, database.RECONCILIATION) as connection:
            return bool(open_within(connection, **place))
    except (TandemError, psycopg.Error):
        return True
