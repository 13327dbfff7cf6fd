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
    sums = [name for name, merge in table.values if merge is Merge.ADD and name in table.arrays]
    texts = [name for name in table.arrays if frame.schema[name] == pl.String()]
    asked = [*((pl.col(name) == 0).all() for name in sums), *(_is_special(name).any() for name in texts)]
    answers = frame.select(asked).row(0) if asked else ()
    nothing = {name for name, is_nothing in zip(sums, answers, strict=False) if is_nothing}
    special = {name for name, is_special in zip(texts, answers[len(sums) :], strict=True) if is_special}
    names = [name for name in table.arrays if name not in nothing]
    shared = table.packs or ()
    elements = frame.select(*shared, *(_element(name, frame.schema[name], name in special) for name in names))
    rows = [pl.format("{}{}{}", pl.lit("{"), pl.col(name).str.join(","), pl.lit("}")).alias(name) for name in names]
    return elements.group_by(shared).agg(rows) if shared else elements.select(rows)


def _is_special(name: str) -> pl.Expr:
    return pl.col(name).str.contains(r'[\\"]')


def _element(name: str, kind: pl.DataType, is_special: bool) -> pl.Expr:
    """Each value as it stands in an array: texts in quotes, NULL as a word."""
    value = pl.col(name)
    if kind == pl.String():
        if is_special:
            value = value.str.replace_all(r'([\\"])', r"\$1")
        text = '"' + value + '"'
    elif isinstance(kind, pl.Datetime):
        text = value.dt.strftime(f'"{_UTC_TEXT}"')
    else:
        text = value.cast(pl.String)
    return text.fill_null("NULL").alias(name)
