"""Quix Streams' cheapest windowed query, in an environment of its own: one tumbling sum per customer.

python quix_window.py BROKERS TOPIC EVENTS STATE_FOLDER
"""

import json
import resource
import sys
import time

from quixstreams import Application

brokers, topic, events, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
application = Application(
    broker_address=brokers,
    consumer_group="benchmark-quix",
    auto_offset_reset="earliest",
    state_dir=folder,
    commit_interval=1.0,
    loglevel="WARNING",
)
seen = {"first": 0.0, "count": 0, "last": 0.0, "used": 0.0}


def cpu_seconds() -> float:
    """Of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def cents(order: dict) -> int:
    """The order's money; counts and times on the way."""
    if not seen["count"]:
        seen["first"], seen["used"] = time.perf_counter(), cpu_seconds()
    seen["count"] += 1
    if seen["count"] % 1000 == 0 or seen["count"] >= events:
        seen["last"] = time.perf_counter()
        seen["timed"] = seen["count"]
    return round(float(order["total_amount"]) * 100)


frame = application.dataframe(application.topic(topic, value_deserializer="json"))
frame.apply(cents).tumbling_window(60_000).sum().current()
application.run(count=events)
seconds, used = seen["last"] - seen["first"], cpu_seconds() - seen["used"]
print(json.dumps({"events": seen["timed"], "seconds": seconds, "cpu_seconds": used}))
