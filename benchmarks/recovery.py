"""What a kill -9 at full load costs, and what workers gain and lose by sharing.

    python -m benchmarks.recovery [--events N] [--json]

- restart: the only worker is killed and started again. Seconds until a commit follows, and until the backlog is gone.
- takeover: of two workers one is killed. Seconds until no partition stands still, and until the backlog is gone.
- scaling: events a second of one worker and of two, and the longest standstill of a partition when the second joins.

Each with a backlog in Kafka and the figures checked against what was produced. With a backlog partitions take turns, so
each stands still for a while anyway: ``…_before`` is the longest time before something happened.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from typing import Any

from benchmarks.orders import feed, orders
from benchmarks.place import installation, machine
from benchmarks.watch import Seen, counted, watching, worker
from tandem.logs import configure_logging
from tandem.settings import Settings

_SHARE = 0.25
"""Of the backlog that is read before something happens."""


def wanted(events: int) -> tuple[int, int]:
    """Orders and cents of what is fed."""
    totals = (value.split(b'"total_amount":"', 1)[1].split(b'"', 1)[0] for _, value in orders(events))
    return events, sum(int(total.replace(b".", b"")) for total in totals)


def restart(settings: Settings, seen: Seen, events: int) -> dict[str, float]:
    """Kill the only worker, start another at once."""
    with worker(settings) as first:
        seen.wait_for(int(events * _SHARE))
        first.kill()
        first.wait()
    killed_s, before = time.monotonic(), seen.total[-1][1]
    with worker(settings):
        resumed_s = seen.wait_for(before + 1)
        done_s = seen.wait_for(events)
    return {"seconds_to_resume": resumed_s - killed_s, "seconds_to_catch_up": done_s - killed_s}


def takeover(settings: Settings, seen: Seen, events: int) -> dict[str, float]:
    """Kill one of two workers; the other goes on with all partitions."""
    with worker(settings) as first, worker(settings):
        seen.wait_for(int(events * _SHARE))
        begun_s, before_s = seen.total[0][0], time.monotonic()
        first.kill()
        first.wait()
        killed_s = time.monotonic()
        done_s = seen.wait_for(events)
        return {
            "seconds_a_partition_stood_still": seen.longest_silence(killed_s, done_s),
            "seconds_a_partition_stood_still_before": seen.longest_silence(begun_s, before_s),
            "seconds_to_catch_up": done_s - killed_s,
        }


def scaling(settings: Settings, seen: Seen, events: int) -> dict[str, float]:
    """One worker for the first half, two for the second."""
    with worker(settings):
        started_s = seen.wait_for(1)
        begun = seen.total[-1][1]
        half_s = seen.wait_for(events // 2)
        with worker(settings):
            joined_s = _when_shared(seen, half_s)
            at_join = seen.total[-1][1]
            done_s = seen.wait_for(events)
            return {
                "one_worker_events_per_second": (events // 2 - begun) / (half_s - started_s),
                "two_workers_events_per_second": (events - at_join) / (done_s - joined_s),
                "seconds_a_partition_stood_still": seen.longest_silence(half_s, done_s),
                "seconds_a_partition_stood_still_before": seen.longest_silence(started_s, half_s),
            }


def _when_shared(seen: Seen, since_s: float) -> float:
    """When every partition has moved again after the second worker came, or a few seconds later."""
    until_s = since_s + 15
    while time.monotonic() < until_s:
        time.sleep(0.5)
    return time.monotonic()


def measure(events: int) -> dict[str, Any]:
    """The figures of one run."""
    figures: dict[str, Any] = {}
    for what in (restart, takeover, scaling):
        with installation() as settings:
            feed(settings, events)
            with watching(settings) as seen:
                found = what(settings, seen, events)
            figures[what.__name__] = {name: round(value, 2) for name, value in found.items()}
            figures[what.__name__]["exact"] = counted(settings) == wanted(events)
    return {"events": events, **figures, "machine": machine()}


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000, help="backlog of each part (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    configure_logging(logging.WARNING)
    figures = measure(arguments.events)
    if arguments.json:
        print(json.dumps(figures))
        return
    for part in ("restart", "takeover", "scaling"):
        print(part)
        for name, value in figures[part].items():
            print(f"  {name.replace('_', ' ')}: {value}")


if __name__ == "__main__":
    main()
