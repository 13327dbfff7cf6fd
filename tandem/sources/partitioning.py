"""Which partition a key goes to: Kafka's murmur2, as in Java's clients and ``murmur2_random``."""

from __future__ import annotations

from functools import lru_cache

_SEED = 0x9747B28C
_M = 0x5BD1E995
_R = 24
_32_BITS = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The 32-bit hash of the data, unsigned."""
    h = (_SEED ^ len(data)) & _32_BITS
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little") * _M & _32_BITS
        k = (k ^ (k >> _R)) * _M & _32_BITS
        h = (h * _M & _32_BITS) ^ k
    if tail := data[whole:]:
        h = (h ^ int.from_bytes(tail, "little")) * _M & _32_BITS
    h = (h ^ (h >> 13)) * _M & _32_BITS
    return h ^ (h >> 15)


@lru_cache(maxsize=1_000_000)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key on a topic of so many partitions."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
