"""compact: the many sketches of a cell become one (stream.rollups): all of them once nothing can come to the cell any
more, and before that whenever they have become many, as they do where micro-batches are small.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

import psycopg

from stream.sketches import merged
from tandem import database
from tandem.topics import ORDER_EVENTS

MANY = 64
"""So many sketches of a cell that may still get more are left alone."""
_AT_ONCE = 500
_HOUR = timedelta(hours=1)
_queries = database.queries("hours")


def compact(
    connection: psycopg.Connection[Any],
    partition: int,
    since: datetime | None,
    before: datetime | None = None,
    *,
    most: int = 1,
) -> int:
    """Merge cells of a partition that began in [since, before) and have more than ``most`` sketches; returns how many.

    What is added meanwhile stays beside, so that it does no harm whoever does it, however often. In the caller's
    transaction, or one of its own for each round.
    """
    parameters = {"partition": partition, "since": since, "before": before, "most": most}
    total = 0
    # Looked for once: nearly all cells of a long backlog are of one sketch, and not to be passed over for each round.
    with connection.cursor(name="cells_to_compact", withhold=True) as found:
        found.execute(_queries.cells_to_compact, parameters)
        while cells := found.fetchmany(_AT_ONCE):
            with connection.transaction():
                _merge(connection, partition, cells)
            total += len(cells)
    return total


def _merge(connection: psycopg.Connection[Any], partition: int, cells: Sequence[tuple[Any, ...]]) -> None:
    names = ("cell_starts", "rollups", "keys", "counted")
    asked = dict(zip(names, map(list, zip(*cells, strict=True)), strict=True))
    # Whatever is taken is put back merged, and nothing else is taken: others may add to the cell right now.
    taken = connection.execute(_queries.take_sketches, {"partition": partition, **asked}).fetchall()
    cell = itemgetter(0, 1, 2, 3)
    whole = [
        (*of_cell, min(offset for *_, offset, _ in rows), merged(sketch for *_, sketch in rows))
        for of_cell, group in groupby(sorted(taken, key=cell), cell)
        for rows in [list(group)]
    ]
    columns = map(list, zip(*whole, strict=True))
    put = dict(zip((*names, "first_offsets", "sketches"), columns, strict=True))
    if put:
        connection.execute(_queries.put_sketches, {"partition": partition, **put})


def compact_all(connection: psycopg.Connection[Any], allowed_lateness: timedelta) -> None:
    """Do so for all partitions, by the event time that they have reached. In the caller's transaction."""
    for partition, watermark, since in connection.execute(_queries.reached, {"topic": ORDER_EVENTS}).fetchall():
        # Whatever still comes is no further behind the watermark than the allowed lateness.
        over = watermark - allowed_lateness - _HOUR
        if since is None or over - since >= _HOUR:
            compact(connection, partition, since, over)
            connection.execute(_queries.note_compacted, {"partition": partition, "before": over})
        compact(connection, partition, over, most=MANY)
