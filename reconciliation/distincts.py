"""distincts: how many different values each layer saw in an hour, for every key of a roll-up (tandem.rollups).

The speed layer's sketches of a cell are merged to one of the size that the batch layer's have. So the same values give
the same number on both sides, also beyond the size, where both are estimates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from math import floor
from typing import Any

import psycopg

from tandem import database
from tandem.rollups import SKETCH_LOG_SIZE

Cell = tuple[datetime, str, str, str]
"""Start of the hour, roll-up, key, what is counted."""


def of_stream(connection: psycopg.Connection[Any], start: datetime, end: datetime) -> Iterator[tuple[*Cell, int]]:
    """What the speed layer saw in each hour from ``start`` on, below ``end``."""
    query = database.queries("reconciliation").hourly_sketches
    where = {"day_start": start, "day_end": end}
    with connection.cursor(binary=True) as cursor:
        for *cell, sketches in cursor.execute(query, where):
            yield *cell, estimate(sketches)


def estimate(sketches: Iterable[bytes]) -> int:
    """How many different values theta sketches stand for together; exact up to their size."""
    import datasketches  # only what takes a cut needs it

    union = datasketches.theta_union(SKETCH_LOG_SIZE)
    for sketch in sketches:
        union.update(datasketches.compact_theta_sketch.deserialize(sketch))
    return floor(float(union.get_result().get_estimate()) + 0.5)  # a half goes up, as Java rounds
