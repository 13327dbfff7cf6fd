"""What it costs Spark to decode an order, on one core: plain payloads, and the same with a backslash in each.

    python -m benchmarks.decoding [--orders 50000]

CPU is of the JVM, its compiler and its garbage collector with it; the best of ROUNDS, so that it has warmed up.
"""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.large_day import LARGE_JVM
from benchmarks.orders import orders
from benchmarks.place import cpu_seconds
from spark_jobs.decode import decode
from spark_jobs.session import open_session
from tandem.local.jars import ensure_jars, java_home
from tandem.settings import Settings

ROUNDS = 6
TAKEN = datetime(2026, 11, 2, tzinfo=UTC)


def measure(count: int, folder: Path) -> dict[str, float]:
    """Microseconds of CPU an order, by what is done with it."""
    values = [value for _, value in orders(count)]
    of = {"plain": values, "escaped": [value.replace(b'"store ', b'"store\\u0020') for value in values]}
    os.environ["JAVA_HOME"] = str(java_home())
    ensure_jars()
    own = Settings(state_dir=folder, spark_master="local[1]", **LARGE_JVM)  # type: ignore[arg-type]
    spark = open_session("benchmark", own)
    found = {}
    for name, payloads in of.items():
        pq.write_table(_records(payloads), folder / name)
        records = spark.read.parquet(str(folder / name))
        for what, frame in {"read": records, "read and decoded": decode(records, "USD")}.items():
            spent = []
            for _ in range(ROUNDS):
                before = cpu_seconds(psutil.Process())
                frame.write.format("noop").mode("overwrite").save()
                spent.append(cpu_seconds(psutil.Process()) - before)
            found[f"{name}, {what}"] = round(min(spent) / count * 1e6, 1)
    spark.stop()
    return found


def _records(values: list[bytes]) -> pa.Table:
    count = len(values)
    columns = {
        "partition": pa.array([0] * count, pa.int32()),
        "offset": pa.array(range(count), pa.int64()),
        "kafka_time": pa.array([TAKEN] * count, pa.timestamp("us", "UTC")),
        "value": pa.array(values, pa.binary()),
    }
    return pa.table(columns)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=50_000, help="how many orders to decode")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        for name, microseconds in measure(asked.orders, Path(folder)).items():
            print(f"{name:<30}{microseconds:>8} µs an order")


if __name__ == "__main__":
    main()
