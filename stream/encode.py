"""encode: frames → what COPY reads, without a Python object per row; small ones, and rows, → JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any

import msgspec
import polars as pl

_UTC_TEXT = "%Y-%m-%d %H:%M:%S%.6f+00"


def as_csv(frame: pl.DataFrame) -> memoryview:
    """A frame as COPY's CSV. Lists of texts or whole numbers become arrays, without NULL. None of it is binary."""
    kinds = frame.schema.items()
    texts = [_array(pl.col(name), kind).alias(name) for name, kind in kinds if isinstance(kind, pl.List)]
    buffer = BytesIO()
    frame.with_columns(texts).write_csv(
        buffer, include_header=False, quote_style="non_numeric", datetime_format=_UTC_TEXT
    )
    return buffer.getbuffer()


def frame_as_json(frame: pl.DataFrame) -> str:
    """A frame as an array of objects, as json_populate_recordset reads it. Numbers are finite."""
    texts = [_bytea(pl.col(name)).alias(name) for name, kind in frame.schema.items() if kind == pl.Binary()]
    return (frame.with_columns(texts) if texts else frame).write_json()


def rows_as_json(rows: Iterable[tuple[Any, ...]], columns: Sequence[str]) -> str:
    """The same of tuples."""
    return msgspec.json.encode([dict(zip(columns, map(_readable, row), strict=True)) for row in rows]).decode()


def _readable(value: object) -> object:
    return f"\\x{value.hex()}" if isinstance(value, bytes) else value


def _bytea(values: pl.Expr) -> pl.Expr:
    return pl.concat_str(pl.lit("\\x"), values.bin.encode("hex"))


def _array(values: pl.Expr, kind: pl.List) -> pl.Expr:
    if kind.inner != pl.String():
        return pl.concat_str(pl.lit("{"), values.cast(pl.List(pl.String)).list.join(","), pl.lit("}"))
    item = pl.element().str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)
    quoted = values.list.eval(pl.concat_str(pl.lit('"'), item, pl.lit('"')))
    return pl.concat_str(pl.lit("{"), quoted.list.join(","), pl.lit("}"))
