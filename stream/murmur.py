"""murmur: the hash under datasketches' theta sketches, of a whole column of texts at once.

MurmurHash3 x64 128 with seed 9001 of the UTF-8 bytes, its first half without the lowest bit: what ``datasketches`` in
C++, Java and Python, and so Spark, call the hash of a text. The libraries hash one text per call, which costs more than
all the rest of a sketch.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Words = npt.NDArray[np.uint64]

_SEED = 9001
_C1, _C2 = np.uint64(0x87C37B91114253D5), np.uint64(0x4CF5AD432745937F)
_BLOCK, _WORD = 16, 8
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


def theta_hashes(texts: pl.Series) -> Words:
    """The hashes of texts (not NULL) as theta sketches keep them, below 2^63; 0 is no valid hash."""
    data = texts.cast(pl.String).to_arrow().cast(pa.large_string())
    ends = np.frombuffer(data.buffers()[1], np.int64)[data.offset :][: len(data) + 1]
    starts, lengths = ends[:-1], np.diff(ends)
    content = np.frombuffer(bytes(data.buffers()[2] or b"") + bytes(_BLOCK), np.uint8)
    words = np.ndarray((len(content) - _WORD + 1,), "<u8", content, strides=(1,))
    h1 = np.full(len(data), _SEED, np.uint64)
    h2 = h1.copy()
    for block in range(int(lengths.max(initial=0)) // _BLOCK):
        rows = np.flatnonzero(lengths >= (block + 1) * _BLOCK)  # most often all of them, or hardly any
        at = starts[rows] + block * _BLOCK
        a = _rotate(h1[rows] ^ _mix(words[at], _C1, 31, _C2), 27) + h2[rows]
        a = a * np.uint64(5) + np.uint64(0x52DCE729)
        b = _rotate(h2[rows] ^ _mix(words[at + _WORD], _C2, 33, _C1), 31) + a
        h1[rows], h2[rows] = a, b * np.uint64(5) + np.uint64(0x38495AB5)
    tail = lengths % _BLOCK
    at = ends[1:] - tail
    h1 ^= _mix(_first_bytes(words[at], tail), _C1, 31, _C2)
    h2 ^= _mix(_first_bytes(words[at + _WORD], tail - _WORD), _C2, 33, _C1)
    return _finished(h1, h2, lengths.astype(np.uint64)) >> np.uint64(1)


def _first_bytes(word: Words, count: npt.NDArray[np.int64]) -> Words:
    """The words with zeros behind their first ``count`` bytes; all zeros where that is 0 or less."""
    cut = (_WORD - np.clip(count, 1, _WORD)).astype(np.uint64) * np.uint64(8)
    return np.where(count > 0, word & (_ALL >> cut), np.uint64(0))


def _finished(h1: Words, h2: Words, length: Words) -> Words:
    h1, h2 = h1 ^ length, h2 ^ length
    h1 = h1 + h2
    return _finish(h1) + _finish(h2 + h1)


def _mix(word: Words, first: np.uint64, turn: int, second: np.uint64) -> Words:
    return _rotate(word * first, turn) * second


def _rotate(word: Words, by: int) -> Words:
    return (word << np.uint64(by)) | (word >> np.uint64(64 - by))


def _finish(word: Words) -> Words:
    for factor in (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)):
        word = (word ^ (word >> np.uint64(33))) * factor
    return word ^ (word >> np.uint64(33))
