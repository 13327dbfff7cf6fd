"""A CSV file as rows, none of them lost: a line that is no row of the table comes out marked with the reason."""

from __future__ import annotations

import codecs
import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from tandem.errors import TandemError
from tandem.sources.mapping import FileFormat

LINE, LAST_LINE, BROKEN = "tandem_line", "tandem_last_line", "tandem_broken"
"""Columns beside the file's own: first and last line number of the row, and why it is broken, or NULL."""
_ROWS_AT_A_TIME = 10_000
_UNREADABLE = "\udcff"
"""Stands for bytes that are no text in the file's encoding; no encoding produces it."""


class Row(NamedTuple):
    """One row: its lines in the file (from 1, both included), its cells, and why it is broken."""

    line: int
    last_line: int
    cells: list[str]
    broken: str | None


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return _UNREADABLE, error.end


codecs.register_error("tandem_mark", _mark)


@dataclass(slots=True)
class _LinesState:
    """The file's lines for the csv reader, which remembers those of the current row and can take them back."""

    text: TextIO
    number: int = 0
    suspicious: bool = False
    """Whether a line of the current row has unreadable bytes or a NUL."""
    taken: list[str] = field(default_factory=list)
    returned: deque[str] = field(default_factory=deque)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.returned.popleft() if self.returned else next(self.text)
        self.number += 1
        self.taken.append(line)
        if _UNREADABLE in line or "\0" in line:
            self.suspicious = True
        return line

    def keep_first(self) -> None:
        """Give all lines of the current row but its first back, to be read again as rows of their own."""
        self.returned.extendleft(reversed(self.taken[1:]))
        self.number -= len(self.taken) - 1
        del self.taken[1:]


def rows(text: TextIO, file: FileFormat, width: int | None) -> Iterator[Row]:
    """The rows of the file from where it stands; ``width`` is the number of columns, None for that of the first row.

    A quote that is never closed would swallow what follows: of a row that does not fit, only the first line counts
    as broken, and the lines after it are read again.
    """
    lines = _LinesState(text)
    reader = csv.reader(lines, delimiter=file.delimiter, quotechar=file.quote, strict=True)
    while True:
        lines.taken.clear()
        lines.suspicious = False
        first = lines.number + 1
        try:
            cells, broken = next(reader), None
        except StopIteration:
            return
        except csv.Error as failure:
            cells, broken = [], f"not CSV: {failure}"
        if not broken and not cells:
            continue
        width = width or len(cells)
        if not broken and len(cells) != width:
            broken = f"{len(cells)} columns instead of {width}"
        if broken:
            lines.keep_first()
            cells = cells or lines.taken[0].rstrip("\r\n").split(file.delimiter)
        if lines.suspicious:
            unreadable = _UNREADABLE in "".join(lines.taken)
            broken = f"bytes that are not {file.encoding} text" if unreadable else "a NUL character"
            cells = [cell.replace(_UNREADABLE, "\ufffd").replace("\0", "") for cell in cells]
        yield Row(first, lines.number, cells, broken)


def stage_csv(path: Path, file: FileFormat, target: Path) -> list[str]:
    """Copy the rows to a Parquet file of text columns and return the columns' names.

    Adds LINE, LAST_LINE and BROKEN. Broken rows are copied too, as far as they go: their order must not go through
    without them. Raises TandemError when the file cannot be read or has no rows.
    """
    try:
        with path.open(encoding=_encoding(file), errors="tandem_mark", newline="") as text:
            return _stage(text, path, file, target)
    except OSError as failure:
        raise TandemError(f"cannot read {path}: {failure.strerror}", "check the path") from failure


def _stage(text: TextIO, path: Path, file: FileFormat, target: Path) -> list[str]:
    found = rows(text, file, None)
    first = next(found, None)
    if first is None:
        raise TandemError(f"{path} is empty", "name a file with rows")
    if first.broken:
        raise TandemError(f"{path}: the first line has {first.broken}", "check file.encoding and file.delimiter")
    names = _names(first.cells, path) if file.header else [f"column{n}" for n in range(1, len(first.cells) + 1)]
    schema = pa.schema(
        [(LINE, pa.int64()), (LAST_LINE, pa.int64()), (BROKEN, pa.string()), *((name, pa.string()) for name in names)]
    )
    with pq.ParquetWriter(target, schema, compression="lz4", use_dictionary=False, write_statistics=False) as writer:
        portion = [] if file.header else [first]
        for row in found:
            portion.append(row)
            if len(portion) == _ROWS_AT_A_TIME:
                writer.write_batch(_batch(portion, schema))
                portion = []
        if portion:
            writer.write_batch(_batch(portion, schema))
    return names


def _batch(portion: list[Row], schema: pa.Schema) -> pa.RecordBatch:
    width = len(schema) - 3
    cells = [row.cells if row.broken is None else (row.cells + [None] * width)[:width] for row in portion]
    columns = [
        [row.line for row in portion],
        [row.last_line for row in portion],
        [row.broken for row in portion],
        *zip(*cells, strict=True),
    ]
    return pa.record_batch([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _names(cells: list[str], path: Path) -> list[str]:
    names = [cell.strip() or f"column{number}" for number, cell in enumerate(cells, 1)]
    # SQL does not tell upper from lower case in names.
    folded = [name.casefold() for name in names]
    if twice := [name for name, key in zip(names, folded, strict=True) if folded.count(key) > 1]:
        raise TandemError(f"{path} has more than one column '{twice[0]}'", "rename one, or set file.header = false")
    return names


def _encoding(file: FileFormat) -> str:
    # A byte order mark is not part of the first column's name.
    return "utf-8-sig" if codecs.lookup(file.encoding).name == "utf-8" else file.encoding
