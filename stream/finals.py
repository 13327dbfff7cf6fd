"""finals: hours become final, in the transaction that brings the last partition past their end (S6)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import psycopg

from stream.hours import HOUR_CUBES
from stream.types import EPOCH, MICROSECOND, Rules
from tandem import database
from tandem.topics import ORDER_EVENTS

_QUARTER = timedelta(minutes=15)
"""Every hour of every time zone begins on one."""
Executes = psycopg.Connection[Any] | psycopg.Cursor[Any]
_queries = database.queries("hours")


def may_close_an_hour(before: datetime | None, after: datetime | None, rules: Rules) -> bool:
    """Whether a watermark that moves so far may pass the end of an hour by the delay."""
    return after is not None and (before is None or _quarter(before, rules) != _quarter(after, rules))


def _quarter(watermark: datetime, rules: Rules) -> int:
    return (watermark - rules.watermark_delay - EPOCH) // _QUARTER


def lock(connection: Executes) -> None:
    """Until the transaction ends nobody else makes hours final or adds a partition."""
    connection.execute(_queries.lock)


def mark_new(connection: Executes, partition: int, start: int) -> None:
    """Hold a partition that nobody has read yet to be as far as the hours that are final already."""
    connection.execute(_queries.mark_new, {"partition": partition, "start": start})


def close_hours(connection: Executes, rules: Rules) -> None:
    """Make those hours final that every partition has passed. Within the transaction that moved one of them.

    Takes a lock until the transaction ends: of two that move the last two partitions, the second sees the first.
    """
    parameters = {"topic": ORDER_EVENTS, "delay": rules.watermark_delay, "timezone": rules.zone.key}
    lock(connection)
    connection.execute(_queries.close_hours, parameters)
    for cube in HOUR_CUBES:
        connection.execute(getattr(_queries, f"finals_of_{cube.name}"), parameters)


def mark_idle(
    connection: psycopg.Connection[Any], held: Mapping[int, tuple[int, int]], rules: Rules
) -> dict[int, int] | None:
    """Write down how far idle partitions are held to be; returns what moved, in microseconds since 1970.

    ``held``: epoch and next offset of partitions without a record for a while. None where one has another owner now.
    """
    parameters = {
        "topic": ORDER_EVENTS,
        "partitions": list(held),
        "epochs": [epoch for epoch, _ in held.values()],
        "offsets": [next_offset for _, next_offset in held.values()],
    }
    with connection.transaction():
        if len(connection.execute(_queries.hold, parameters).fetchall()) != len(held):
            return None
        connection.execute(_queries.note_idle, parameters)
        connection.execute(_queries.forget_empty_marks, parameters)
        moved = connection.execute(_queries.move_marks, parameters).fetchall()
        if moved:
            close_hours(connection, rules)
    return {partition: (up_to - EPOCH) // MICROSECOND for partition, up_to in moved}
