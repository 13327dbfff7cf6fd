"""The one form in which anything is hashed, so that whoever has the rows can work out the same hash.

Rows are sorted by their columns (texts by Unicode code point, None first), each is a line of JSON without spaces, and
every line ends in a newline. Instants are RFC 3339 in UTC, dates ISO 8601, amounts whole numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import polars as pl

_CHUNK_ROWS = 50_000

_json = msgspec.json.Encoder(order="sorted")


def sha256(rows: Iterable[tuple[Any, ...]]) -> str:
    """The SHA-256 of rows of one shape, in hexadecimal, whatever order they come in."""
    hashed = hashlib.sha256()
    for row in sorted((tuple(map(_plain, row)) for row in rows), key=_key):
        hashed.update(_json.encode(row) + b"\n")
    return hashed.hexdigest()


def lines_sha256(parts: Iterable[pl.Series]) -> str:
    """As ``sha256`` of rows that are lines of JSON already, ``parts`` and lines in the order of the rows."""
    hashed = hashlib.sha256()
    for part in parts:
        for start in range(0, len(part), _CHUNK_ROWS):
            hashed.update(part.slice(start, _CHUNK_ROWS).str.join("").item().encode())
    return hashed.hexdigest()


def encoded(column: pl.Series) -> pl.Series:
    """Each value as JSON; texts and instants repeat, so each different one is encoded once."""
    values = column.unique()
    as_json = [_json.encode(_plain(value)).decode() for value in values]
    return column.replace_strict(values, pl.Series(as_json, dtype=pl.String), return_dtype=pl.String)


def document_sha256(document: Mapping[str, Any]) -> str:
    """The SHA-256 of a JSON document: names sorted at every level, no spaces, UTF-8."""
    return hashlib.sha256(_json.encode(document)).hexdigest()


def _plain(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _key(row: tuple[Any, ...]) -> tuple[tuple[bool, Any], ...]:
    return tuple((value is not None, value) for value in row)
