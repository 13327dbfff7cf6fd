"""encode: frames → what COPY reads, without a Python object per row."""

from __future__ import annotations

from io import BytesIO

import polars as pl

_UTC_TEXT = "%Y-%m-%d %H:%M:%S%.6f+00"


def as_csv(frame: pl.DataFrame) -> memoryview:
    """A frame as COPY's CSV. Binary columns become bytea, lists of texts or whole numbers arrays, without NULL."""
    kinds = frame.schema.items()
    texts = [
        *(_bytea(pl.col(name)).alias(name) for name, kind in kinds if kind == pl.Binary()),
        *(_array(pl.col(name), kind).alias(name) for name, kind in kinds if isinstance(kind, pl.List)),
    ]
    buffer = BytesIO()
    frame.with_columns(texts).write_csv(
        buffer, include_header=False, quote_style="non_numeric", datetime_format=_UTC_TEXT
    )
    return buffer.getbuffer()


def _bytea(values: pl.Expr) -> pl.Expr:
    return pl.concat_str(pl.lit("\\x"), values.bin.encode("hex"))


def _array(values: pl.Expr, kind: pl.List) -> pl.Expr:
    if kind.inner != pl.String():
        return pl.concat_str(pl.lit("{"), values.cast(pl.List(pl.String)).list.join(","), pl.lit("}"))
    item = pl.element().str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)
    quoted = values.list.eval(pl.concat_str(pl.lit('"'), item, pl.lit('"')))
    return pl.concat_str(pl.lit("{"), quoted.list.join(","), pl.lit("}"))
