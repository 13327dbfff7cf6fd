"""sketches: theta sketches of many cells at once, in the bytes that ``datasketches`` and Spark read and write.

A sketch keeps the hashes of the different values of a cell, at most 2^SKETCH_LOG_SIZE of them: the smallest, and the
next one as its threshold. So two sketches of the same values are the same bytes, however the values were cut and
merged, and up to that size the count is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import datasketches
import numpy as np
import polars as pl

from tandem.rollups import SKETCH_LOG_SIZE

_SIZE = 1 << SKETCH_LOG_SIZE
_PREAMBLE = np.uint64((0x93CC << 48) | (0x1A << 40) | (3 << 16) | (3 << 8))
"""Hash of the seed; read-only, compact, ordered; family compact; version 3. The lowest byte is the preamble's words."""


def sketched(rows: pl.DataFrame, keys: Sequence[str], hashes: str) -> pl.DataFrame:
    """``keys`` and ``sketch`` (bytes) of every cell; ``hashes``: the column of ``theta_hashes``; NULL is none."""
    # Sorted and freed of repeats as lists: within the groups it costs a quarter more.
    cells = rows.drop_nulls(hashes).group_by(keys).agg(hashes)
    cells = cells.with_columns(pl.col(hashes).list.unique().list.sort())
    return cells.select(*keys, pl.Series("sketch", _serialised(cells[hashes]), pl.Binary))


def merged(sketches: Iterable[bytes]) -> bytes:
    """One sketch of all the values of these."""
    union = datasketches.theta_union(SKETCH_LOG_SIZE)
    for sketch in sketches:
        union.update(datasketches.compact_theta_sketch.deserialize(sketch))
    return bytes(union.get_result().serialize())


def estimate(sketch: bytes) -> float:
    """How many different values a sketch stands for."""
    return float(datasketches.compact_theta_sketch.deserialize(sketch).get_estimate())


def _serialised(hashes: pl.Series) -> list[bytes]:
    """A compact sketch of every list of hashes (ascending, different, at least one)."""
    lengths = hashes.list.len().to_numpy().astype(np.int64)
    kept = np.minimum(lengths, _SIZE)
    preamble = np.where(lengths > _SIZE, 3, np.where(lengths > 1, 2, 1))
    ends = np.cumsum(preamble + kept)
    starts = ends - preamble - kept
    words = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint64)
    words[starts] = _PREAMBLE | preamble.astype(np.uint64)
    words[starts[preamble > 1] + 1] = kept[preamble > 1]
    flat = hashes.explode().to_numpy()
    place = np.arange(len(flat)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    words[starts[preamble == 3] + 2] = flat[place == _SIZE]  # the threshold
    inside = place < _SIZE
    words[(np.repeat(starts + preamble, lengths) + place)[inside]] = flat[inside]
    content = words.astype("<u8").tobytes()
    return [content[start * 8 : end * 8] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
