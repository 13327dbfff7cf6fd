"""compact: the sketches of a cell become one row once nothing can come to it any more (stream.rollups)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from stream.sketches import merged
from tandem import database

_AT_ONCE = 500
_queries = database.queries("hours")


def compact(connection: psycopg.Connection[Any], partition: int, since: datetime | None, before: datetime) -> int:
    """Merge the sketches of hours of a partition that began in [since, before); returns how many cells there were.

    Merging twice gives the same, so a worker that was fenced meanwhile does no harm.
    """
    parameters = {"partition": partition, "since": since, "before": before, "limit": _AT_ONCE}
    total = 0
    while True:
        with connection.transaction(), connection.cursor() as cursor:
            cells = cursor.execute(_queries.sketches_to_merge, parameters).fetchall()
            names = ("partition", "cell_start", "rollup", "key", "counted", "first_offset", "sketch")
            rows = [dict(zip(names, (*cell[:-1], merged(cell[-1])), strict=True)) for cell in cells]
            with connection.pipeline():
                for row in rows:
                    cursor.execute(_queries.keep_one_sketch, row)
                    cursor.execute(_queries.merge_sketches, row)
        total += len(cells)
        if len(cells) < _AT_ONCE:
            return total
