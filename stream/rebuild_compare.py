"""Where the live state and a rebuilt one differ, row by row. Both stand in the rebuild's database (stream.rebuild)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
import psycopg

from stream.rebuild_tables import MINUTES, REBUILT, Rebuilt
from stream.sketches import estimate, merged
from tandem import database, documents, journal
from tandem.topics import ORDER_EVENTS

Row = dict[str, Any]
_queries = database.queries("rebuild", tables=REBUILT)


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that is not the same: None on the side that does not have it."""

    table: str
    key: Row
    live: Row | None
    rebuilt: Row | None

    def document(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {"table": self.table, "key": self.key, "live": self.live, "rebuilt": self.rebuilt}


def differences(shadow: psycopg.Connection[Any], scope: Row, begins: Mapping[int, int]) -> Iterator[Difference]:
    """Every difference. ``scope``: ``since_date`` and ``since_time``; ``begins``: by partition of ``order-events``,
    where its journal begins.
    """
    for table in (*REBUILT, MINUTES):
        rows = psycopg.ClientCursor(shadow).execute(getattr(_queries, f"differences_{table.name}"), scope).fetchall()
        yield from _paired(table, rows)
    for partition, first_offset in begins.items():
        yield from _of_journal(shadow, partition, first_offset, scope)
    yield from _of_sketches(shadow, scope)


def _paired(table: Rebuilt, rows: list[tuple[str, Row]]) -> Iterator[Difference]:
    sides: dict[tuple[Any, ...], dict[str, Row]] = {}
    for side, row in rows:
        sides.setdefault(tuple(row[key] for key in table.keys), {})[side] = row
    for key, found in sorted(sides.items(), key=repr):
        values = {side: {name: row[name] for name, _ in table.values} for side, row in found.items()}
        yield Difference(table.name, dict(zip(table.keys, key, strict=True)), values.get("live"), values.get("rebuilt"))


def _of_journal(shadow: psycopg.Connection[Any], partition: int, first_offset: int, scope: Row) -> Iterator[Difference]:
    """One difference per record, however the segments are cut. What retention took is none."""
    sides = []
    for schema in ("rebuild", "speed"):
        query = getattr(_queries, f"segments_of_{schema}")
        segments = shadow.execute(query, {"topic": ORDER_EVENTS, "partition": partition})
        rows = journal.decode_each((segment for (segment,) in segments), partition)
        of_dates = pl.col("event_time").is_null() | (pl.col("event_time") >= scope["since_time"])
        sides.append(rows.filter(of_dates, pl.col("offset") >= first_offset))
    both = pl.concat(sides)
    for offset in both.filter(~both.is_duplicated())["offset"].unique().sort():
        live, rebuilt = (documents.plain(side.filter(pl.col("offset") == offset).to_dicts()) for side in sides)
        key = {"partition": partition, "offset": offset}
        yield Difference("journal", key, next(iter(live), None), next(iter(rebuilt), None))


def _of_sketches(shadow: psycopg.Connection[Any], scope: Row) -> Iterator[Difference]:
    """One difference per cell, however many rows it is in, and under which partitions they stand."""
    live, rebuilt = (
        {
            cell: merged(sketches)
            for *cell_columns, sketches in shadow.execute(getattr(_queries, f"sketches_of_{schema}"), scope)
            if (cell := tuple(cell_columns))
        }
        for schema in ("rebuild", "speed")
    )
    names = ("cell_start", "rollup", "key", "counted")
    for cell in sorted(live.keys() | rebuilt.keys()):
        if live.get(cell) != rebuilt.get(cell):
            key = documents.plain(dict(zip(names, cell, strict=True)))
            yield Difference("sketches", key, *(_estimated(side.get(cell)) for side in (live, rebuilt)))


def _estimated(sketch: bytes | None) -> Row | None:
    return None if sketch is None else {"estimate": round(estimate(sketch)), "bytes": len(sketch)}
