"""What the batch layer costs: a night by its history, a year at once, a day of many orders against DuckDB.

    python -m benchmarks.batch [--quick] [--only PART ...] [--orders N ...] [--chart FILE] [--json]

history: a night after 300 days of real orders over the same night after 30. year: all of 2017 in one application over
its nights one by one, of which a few are run. large_day: every job on a day of N orders over DuckDB making the same
tables from the same files; both must have the same rows. Each part has a Postgres and a Spark of its own. Figures are
one machine's; the ratios travel.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks import large_day, nights
from benchmarks.chart import draw_jobs
from benchmarks.place import machine
from tandem.logs import configure_logging

PARTS = ("history", "year", "large_day")
TARGETS = {"history": 1.2, "year": 0.1, "large_day": 2.0}
"""What each ratio is to be, at most."""
QUICK, FULL = [100_000], [100_000, 1_000_000, 10_000_000]
PACKAGES = ("pyspark", "duckdb", "deltalake", "psycopg", "great-expectations")


def measure_all(parts: list[str], sizes: list[int], *, quick: bool) -> dict[str, Any]:
    """The figures of one run."""
    days, singles = (30, 2) if quick else (365, 3)
    work = {"history": lambda: [_alone(nights.by_history)], "year": lambda: [_alone(nights.year, days, singles)],
            "large_day": lambda: [_alone(large_day.measure, size) for size in sizes]}  # fmt: skip
    return {
        **{part: work[part]() for part in parts},
        "targets": TARGETS,
        "machine": machine(),
        "versions": {name: version(name) for name in PACKAGES},
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def _alone(measure: Any, *arguments: int) -> dict[str, Any]:
    """In a process of its own: a JVM keeps its heap and its options for as long as the process lives."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
        found: dict[str, Any] = process.submit(measure, *arguments).result()
    return found


def show(figures: dict[str, Any]) -> None:
    """Print the figures for people."""
    for night in figures.get("history", ()):
        seconds = " → ".join(f"{value:.1f} s after {days} days" for days, value in night["seconds"].items())
        print(f"a night, Spark up: {seconds}; ratio {night['ratio']}, wanted {TARGETS['history']}")
    for found in figures.get("year", ()):
        each = ", ".join(f"{seconds:.0f}" for seconds in found["single_run_seconds"])
        print(f"{found['days']} days at once: {found['seconds']:.0f} s; single runs: {each} s,"
              f" together {found['single_runs_extrapolated_seconds']:,} s (extrapolated);"
              f" share {found['share_of_single_runs']}, wanted {TARGETS['year']}")  # fmt: skip
        for name, where in found["where"].items():
            print(f"  {name}: {', '.join(f'{part} {value}' for part, value in where.items())}")
    for day in figures.get("large_day", ()):
        print(f"{day['orders']:,} orders: ratio to DuckDB {day['ratio']}, wanted {TARGETS['large_day']};"
              f" rows that differ: {sum(day['differing_rows'].values())}")  # fmt: skip
        for job, of in day["jobs"].items():
            print(f"{job:>18} {of['tandem_seconds']:>8.1f} s {of['duckdb_seconds']:>8.1f} s {of['ratio']:>8}")


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="30 days instead of 365, one day of 100,000 orders")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS), help="parts (default: all)")
    parser.add_argument("--orders", nargs="*", type=int, help="sizes of the large day (default: 100,000 to 10 million)")
    parser.add_argument("--chart", type=Path, help="draw the jobs of the largest day into this SVG or PNG")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    configure_logging(logging.WARNING)
    figures = measure_all(asked.only, asked.orders or (QUICK if asked.quick else FULL), quick=asked.quick)
    if asked.chart and (days := figures.get("large_day")):
        draw_jobs(days[-1]["jobs"], asked.chart)
    if asked.json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        show(figures)


if __name__ == "__main__":
    main()
