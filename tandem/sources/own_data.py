"""A user's own CSV or Parquet file as a source of orders, by a mapping file."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, cast

import duckdb
import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tandem.clock import day_bounds
from tandem.database import queries
from tandem.errors import TandemError
from tandem.events import MAX_CENTS
from tandem.settings import PROJECT_ROOT, Settings
from tandem.sources.expressions import quoted, read_time, resolve
from tandem.sources.lines import CHUNK_LINES, LINE_SCHEMA
from tandem.sources.mapping import Mapping
from tandem.sources.payloads import microseconds
from tandem.sources.read_csv import BROKEN, LAST_LINE, LINE, stage_csv

MEMORY_LIMIT = "1GB"
"""What DuckDB may hold in memory; the rest spills to the temporary folder."""
_CLOCK = "[0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
_LOCAL = f"[0-9]{{4}}[-/][0-9]{{1,2}}[-/][0-9]{{1,2}}([ T]+{_CLOCK})?"
"""All of a time as it is cast: what follows one, as ``PM`` or ``CEST``, the cast would leave out."""
_INSTANT = f"[0-9]{{4}}[-/][0-9]{{1,2}}[-/][0-9]{{1,2}}[ T]+{_CLOCK} *(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)"
_END_OF_TIME_US = 2**62


class Reject(NamedTuple):
    """Lines of the file that did not go through (from 1, both included), their order where known, and why."""

    line: int
    last_line: int
    order_id: str | None
    reason: str


@dataclass(frozen=True)
class OwnData:
    """The events of a file between two business dates, both included; None is open. Open it with ``open_file``."""

    name: str
    connection: duckdb.DuckDBPyConnection
    start_us: int
    end_us: int

    def size(self) -> int:
        """Number of events."""
        return int(self._rows("size", **self._range)[0][0])

    def whole(self) -> OwnData:
        """The same file without bounds on its dates."""
        return replace(self, start_us=-_END_OF_TIME_US, end_us=_END_OF_TIME_US)

    def frames(self) -> Iterator[pl.DataFrame]:
        """The lines in portions."""
        found = self.connection.cursor().sql(queries("sources").lines, params=self._range)
        for batch in found.to_arrow_reader(CHUNK_LINES):
            yield pl.DataFrame(batch).cast(LINE_SCHEMA)  # type: ignore[arg-type]  # names to types

    @cached_property
    def rejected(self) -> tuple[int, int]:
        """How many rows of the whole file did not go through, and how many orders they belong to."""
        return cast("tuple[int, int]", self._rows("rejected")[0])

    def rejects(self, at_most: int = _END_OF_TIME_US) -> list[Reject]:
        """The first rows that did not go through, by line."""
        return [Reject(*row) for row in self._rows("rejects", at_most=at_most)]

    def write_rejects(self, path: Path) -> None:
        """All rows that did not go through, as CSV. Raises TandemError when the file cannot be written."""
        found = self.connection.cursor().execute(queries("sources").rejects, {"at_most": _END_OF_TIME_US})
        try:
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(Reject._fields)
                while rows := found.fetchmany(10_000):
                    writer.writerows(rows)
        except OSError as failure:
            raise TandemError(f"cannot write {path}: {failure.strerror}", "give a file with --rejects") from failure

    @property
    def _range(self) -> dict[str, int]:
        return {"start_us": self.start_us, "end_us": self.end_us}

    def _rows(self, query: str, **parameters: int) -> list[tuple[Any, ...]]:
        return self.connection.cursor().execute(getattr(queries("sources"), query), parameters).fetchall()


@contextmanager
def open_file(
    path: Path, mapping: Mapping, first: date | None, last: date | None, config: Settings
) -> Iterator[OwnData]:
    """Read the whole file once, check every row, and sort it by event time on disk where it does not fit memory.

    Raises TandemError when the file cannot be read or the mapping does not fit it. Unreadable rows are no error here:
    they are in ``rejects``.
    """
    if not path.is_file():
        raise TandemError(f"no file {path}", "give a CSV or Parquet file, or 'completejourney'")
    with TemporaryDirectory(prefix="tandem-replay-") as folder, duckdb.connect() as connection:
        _fill(connection, path, mapping, Path(folder), config)
        start_us = microseconds(day_bounds(first, config.zone)[0]) if first else -_END_OF_TIME_US
        end_us = microseconds(day_bounds(last, config.zone)[1]) if last else _END_OF_TIME_US
        yield OwnData(mapping.name, connection, start_us, end_us)


def _fill(connection: duckdb.DuckDBPyConnection, path: Path, mapping: Mapping, folder: Path, config: Settings) -> None:
    is_csv = (mapping.file.format or ("parquet" if path.suffix.lower() in {".parquet", ".pq"} else "csv")) == "csv"
    staged = folder / "rows.parquet" if is_csv else path.absolute()
    names = stage_csv(path, mapping.file, staged) if is_csv else []
    _shut_in(connection, staged, folder)
    try:
        rows = f"read_parquet({quoted(str(staged))}, file_row_number=true)"
        connection.execute(f"CREATE VIEW rows AS SELECT * FROM {rows}")  # noqa: S608 - a quoted path
        described = connection.execute("DESCRIBE rows").fetchall()
    except duckdb.Error as failure:
        raise TandemError(
            f"cannot read {path}: {str(failure).splitlines()[0]}", "name a CSV or Parquet file"
        ) from failure
    constants = _constants(mapping, config)
    connection.execute(_ENVIRONMENT.get_template("macros.sql.jinja").render(**constants))
    columns = names or [name for name, *_ in described if name != "file_row_number"]
    fields = resolve(connection, mapping, columns)
    time = read_time(connection, mapping, fields, columns)
    connection.execute(
        _ENVIRONMENT.get_template("table.sql.jinja").render(
            f=fields,
            time=time,
            line=LINE if is_csv else "file_row_number + 1",
            last_line=LAST_LINE if is_csv else "file_row_number + 1",
            broken=BROKEN if is_csv else "CAST(NULL AS VARCHAR)",
            **constants,
        )
    )


def _shut_in(connection: duckdb.DuckDBPyConnection, staged: Path, folder: Path) -> None:
    """From here on, expressions see the file's rows and nothing else of this machine."""
    for statement in (
        f"SET temp_directory = {quoted(str(folder / 'spill'))}",
        f"SET memory_limit = '{MEMORY_LIMIT}'",
        f"SET allowed_paths = [{quoted(str(staged))}]",
        "SET TimeZone = 'UTC'",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ):
        connection.execute(statement)


def _constants(mapping: Mapping, config: Settings) -> dict[str, object]:
    file, order = mapping.file, mapping.order
    grouped = f"[0-9]{{1,3}}({re.escape(file.thousands)}[0-9]{{3}})+|" if file.thousands else ""
    point = re.escape(file.decimal)
    expected = f"in the form {order.time_format}" if order.time_format else "an ISO 8601 time"
    constants = {
        "number_pattern": f"[+-]?(({grouped}[0-9]+)({point}[0-9]*)?|{point}[0-9]+)",
        "local_pattern": _LOCAL,
        "instant_pattern": _INSTANT,
        "thousands": file.thousands,
        "decimal": file.decimal,
        "zone": order.time_zone,
        "time_expected": expected,
        "name": mapping.name,
        "row_per": file.row_per,
        "currency": config.currency,
    }
    negative = mapping.cancellation is not None and mapping.cancellation.amounts == "negative"
    quotes_doubled = {name: value.replace("'", "''") for name, value in constants.items()}
    return {**quotes_doubled, "max_cents": MAX_CENTS, "cancellations_negative": negative}


_ENVIRONMENT = Environment(  # noqa: S701 - SQL, not HTML
    loader=FileSystemLoader(PROJECT_ROOT / "sql" / "sources"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
