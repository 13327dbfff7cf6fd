"""A mapping's columns and SQL expressions, checked one by one against the file before anything is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from tandem.errors import TandemError
from tandem.sources.mapping import SEE, Mapping

_TEXT, _LOCAL, _INSTANT = "text", "local", "instant"
_KINDS = {
    "VARCHAR": _TEXT,
    "BOOLEAN": "boolean",
    "DATE": _LOCAL,
    "TIMESTAMP": _LOCAL,
    "TIMESTAMP_S": _LOCAL,
    "TIMESTAMP_MS": _LOCAL,
    "TIMESTAMP_NS": _LOCAL,
    "TIMESTAMP WITH TIME ZONE": _INSTANT,
}
"""Kinds by DuckDB's type; whatever else is there must be a number."""


@dataclass(frozen=True, slots=True)
class Field:
    """One mapped field: SQL over the file's rows that is NULL where it fails, and what kind of value it gives."""

    sql: str
    kind: str


def resolve(connection: duckdb.DuckDBPyConnection, mapping: Mapping, columns: Sequence[str]) -> dict[str, Field]:
    """The mapped fields over the view ``rows``. Raises TandemError that names the key and the columns there are."""
    fields = {key: _field(connection, key, given, columns) for key, given in mapping.expressions().items()}
    if fields["order.time"].kind not in {_TEXT, _LOCAL, _INSTANT}:
        raise TandemError("order.time is a number, not a time", "give an expression such as to_timestamp(seconds)")
    if "cancellation.when" in fields and fields["cancellation.when"].kind != "boolean":
        raise TandemError("cancellation.when is not a condition", "it must be true or false, as in Status = 'returned'")
    return fields


def read_time(
    connection: duckdb.DuckDBPyConnection, mapping: Mapping, fields: dict[str, Field], columns: Sequence[str]
) -> Field:
    """How the time is read: as it is, or where it is text with a format, by that. Raises TandemError for a format."""
    time, time_format = fields["order.time"], mapping.order.time_format
    if time.kind != _TEXT or time_format is None:
        return time
    return _typed(connection, "order.time_format", f"try_strptime(trim({time.sql}), {quoted(time_format)})", columns)


def quoted(text: str) -> str:
    """The text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _field(connection: duckdb.DuckDBPyConnection, key: str, given: str, columns: Sequence[str]) -> Field:
    if given in columns:
        return _typed(connection, key, '"' + given.replace('"', '""') + '"', columns)
    tree = json.loads(_one(connection, "SELECT json_serialize_sql($1)", [f"SELECT ({given}\n)"]))
    if tree["error"]:
        raise _wrong(key, given, tree["error_message"], columns)
    node = tree["statements"][0]["node"]
    # Text that closes the bracket could otherwise add columns, tables or statements of its own.
    alone = len(tree["statements"]) == 1 and node["type"] == "SELECT_NODE" and len(node["select_list"]) == 1
    if not alone or node["from_table"]["type"] != "EMPTY" or '"SUBQUERY"' in json.dumps(node):
        raise _wrong(key, given, "one expression over the columns is wanted", columns)
    return _typed(connection, key, f"({given}\n)", columns)


def _typed(connection: duckdb.DuckDBPyConnection, key: str, sql: str, columns: Sequence[str]) -> Field:
    try:
        described = connection.execute(f"DESCRIBE SELECT TRY({sql}) FROM rows")  # noqa: S608 - checked by _field
        (row,) = described.fetchall()
    except duckdb.Error as failure:
        raise _wrong(key, sql.removeprefix("(").removesuffix("\n)"), str(failure), columns) from failure
    return Field(f"TRY({sql})", _KINDS.get(row[1], "number"))


def _one(connection: duckdb.DuckDBPyConnection, sql: str, parameters: list[str]) -> Any:
    row = connection.execute(sql, parameters).fetchone()
    return row[0] if row else None


def _wrong(key: str, given: str, message: str, columns: Sequence[str]) -> TandemError:
    said = message.splitlines()[0].removeprefix("Binder Error: ").removeprefix("Parser Error: ")
    return TandemError(f"{key} = {given}: {said}", f"the file's columns are {', '.join(columns)}; {SEE}")
