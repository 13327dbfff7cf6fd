"""pack: many rows → few pending ones, whose other columns are arrays. What is written in this way costs a tenth.

A row per cell, found and changed through an index, is by far the most that a micro-batch costs Postgres. So tables with
``packs`` are appended to ``speed.<name>_pending``, and settled into ``speed.<name>`` later, many micro-batches at once
(stream.settle). Readers take ``speed.<name>_all``, which is both.
"""

from __future__ import annotations

import polars as pl

from stream.tables import Merge, Table

_UTC_TEXT = "%Y-%m-%d %H:%M:%S%.6f+00"


def packed(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Rows of the table → rows of its pending table, arrays as Postgres writes them. Sums of zeros are left out."""
    sums = {name for name, merge in table.values if merge is Merge.ADD}
    names = [name for name in table.arrays if not (name in sums and (frame[name] == 0).all())]
    shared = table.packs or ()
    elements = frame.select(*shared, *(_element(frame[name]) for name in names))
    rows = [pl.col(name).str.join(",") for name in names]
    joined = elements.group_by(shared).agg(rows) if shared else elements.select(rows)
    return joined.with_columns((pl.lit("{") + pl.col(name) + "}").alias(name) for name in names)


def _element(values: pl.Series) -> pl.Series:
    """Each value as it stands in an array: texts in quotes, NULL as a word."""
    if values.dtype == pl.String():
        for special in ("\\", '"'):
            if values.str.contains(special, literal=True).any():
                values = values.str.replace_all(special, "\\" + special, literal=True)
        texts = ('"' + values + '"').alias(values.name)
    elif isinstance(values.dtype, pl.Datetime):
        texts = values.dt.strftime(f'"{_UTC_TEXT}"')
    else:
        texts = values.cast(pl.String)
    return texts.fill_null("NULL")
