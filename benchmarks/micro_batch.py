"""CPU of a micro-batch in the worker, by its size, once so many customers are held; nothing is read, sent or written.

    python -m benchmarks.micro_batch [--held N] [--json]

Orders of benchmarks/orders.py on 12 partitions, nearly each of another customer. Of the thread that works.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import polars as pl

from benchmarks.orders import orders
from stream import sink
from stream.decode import decode
from stream.encode import as_csv, frame_as_json
from stream.memory import Memory
from stream.process import MicroBatch, process_decoded
from stream.types import Records, Rules

_PARTITIONS = 12
_FILLED_BY = 20_000
_SIZES = {20_000: 3, 2_000: 10, 200: 20}
"""Orders of a micro-batch, and how many of them are measured."""
_RULES = Rules(ZoneInfo("UTC"), "USD", timedelta(hours=1), timedelta(hours=24))


def records(size: int, source: Iterator[tuple[bytes, bytes]], offsets: list[int]) -> Records:
    """The next orders, each on the partition of its customer; ``offsets``, the next of each partition, move on."""
    placed = sorted(
        ((zlib.crc32(key) % _PARTITIONS, value) for key, value in islice(source, size)), key=lambda of: of[0]
    )
    found = Records([], [], [4_000_000_000_000] * len(placed), [None] * len(placed), [value for _, value in placed])
    for partition, _ in placed:
        found.partitions.append(partition)
        found.offsets.append(offsets[partition])
        offsets[partition] += 1
    return found


def _encode(batch: MicroBatch) -> None:
    writes = sink.Writes((), batch.emitted.frames)
    for load in (load for table in writes.frames for load in sink.loads_of(table, writes)):
        assert isinstance(load.content, pl.DataFrame)  # noqa: S101 - no rows were given
        if load.is_small:
            frame_as_json(load.content)
        elif pl.Binary() not in load.content.dtypes:
            as_csv(load.content)


def _spent_ms(taken: Records, memories: dict[int, Memory]) -> tuple[float, float, float]:
    times = [time.thread_time()]
    decoded = decode(taken, _RULES.currency)
    times.append(time.thread_time())
    batch = process_decoded(decoded, memories, _RULES)
    times.append(time.thread_time())
    _encode(batch)
    times.append(time.thread_time())
    decoding, folding, encoding = (1000 * (after - before) for before, after in pairwise(times))
    return decoding, folding, encoding


def measure(held: int) -> dict[str, dict[str, float]]:
    """Milliseconds of CPU by the size of a micro-batch: decode, fold, encode, each the mean."""
    memories, offsets = {partition: Memory() for partition in range(_PARTITIONS)}, [0] * _PARTITIONS
    source = orders(held + sum(size * count for size, count in _SIZES.items()))
    for _ in range(held // _FILLED_BY):
        _spent_ms(records(_FILLED_BY, source, offsets), memories)
    figures = {}
    for size, count in _SIZES.items():
        spent = [_spent_ms(records(size, source, offsets), memories) for _ in range(count)]
        means = [round(sum(column) / count, 1) for column in zip(*spent, strict=True)]
        figures[str(size)] = dict(zip(("decode", "fold", "encode"), means, strict=True))
    rows = sum(len(of.states["sessions"]) + len(of.customers) for of in memories.values())
    return figures | {"rows_held": {"sessions and totals": rows}}


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--held", type=int, default=100_000, help="orders before it is measured")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    arguments = parser.parse_args()
    figures = measure(arguments.held)
    if arguments.json:
        print(json.dumps(figures))
        return
    for size, costs in figures.items():
        print(f"{size:>10}  {costs}")


if __name__ == "__main__":
    main()
