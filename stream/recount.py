"""recount: the customers of dates and months from their rows, held against what triggers keep count of beside them.

A trigger only adds and takes away, so a count that is wrong once stays wrong, and no other row tells of it.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import psycopg

from stream.rebuild_compare import Difference
from tandem import database

TABLES = ("customer_months", "month_customers", "date_customers")
"""In the order in which they are counted: of whom a month has, how many."""
_queries = database.queries("recount")


def differences(live: psycopg.Connection[Any], since: date) -> list[Difference]:
    """Every count from a date, and from its month, on that is not what its rows come to. ``live``: in autocommit."""
    rows = live.execute(_queries.differences, _scope(since)).fetchall()
    return [
        Difference(table, key, None if kept is None else {"customers": kept}, {"customers": counted})
        for table, key, kept, counted in rows
    ]


def count_again(live: psycopg.Connection[Any], since: date) -> None:
    """Put right what ``differences`` finds, while nobody settles rows."""
    for table in TABLES:
        live.execute(getattr(_queries, f"forget_{table}"), _scope(since))
        live.execute(getattr(_queries, f"count_{table}"), _scope(since))


def _scope(since: date) -> dict[str, date]:
    return {"since_date": since, "since_month": since.replace(day=1)}
