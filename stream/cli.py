"""``tandem stream``."""

from __future__ import annotations

import json
import signal
import time
from threading import Event
from typing import Annotated

import typer

from tandem.logs import configure_logging
from tandem.settings import settings


def stream(
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="Exit once everything that Kafka holds is counted.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON at the end.")] = False,
) -> None:
    """Run a worker of the speed layer until SIGTERM or Ctrl-C.

    Workers of one group share the partitions and take over each other's. A worker that is stopped finishes its
    micro-batch and leaves the group; one that is killed loses nothing and counts nothing twice.

    Example: `tandem stream --until-caught-up --json`
    """
    from stream.worker import Worker

    configure_logging()
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    started = time.monotonic()
    stats = Worker(settings(), stop).run(until_caught_up=until_caught_up)
    if as_json:
        typer.echo(json.dumps(stats.summary(time.monotonic() - started)))
