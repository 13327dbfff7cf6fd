"""The command ``tandem archive``."""

from __future__ import annotations

import dataclasses
import json
import signal
import threading
from datetime import timedelta
from typing import Annotated, Any

import typer

from tandem.errors import TandemError
from tandem.settings import Settings, settings


def archive(
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="Leave when all that is in Kafka now is archived.")
    ] = False,
    until_cut: Annotated[
        str | None, typer.Option(metavar="RUN_ID", help="Leave when all below this run's cut is archived.")
    ] = None,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="How long --until-cut may take.", min=0)] = 300,
    verify: Annotated[
        bool, typer.Option("--verify", help="Archive nothing; check that what is archived is there once.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the totals as JSON on stdout.")] = False,
) -> None:
    """Keep every event as it came, once, in the master dataset.

    Runs until stopped. Any number may run: they share the partitions, and one takes over from another that ends.

    Example: `tandem archive --until-caught-up --json`
    """
    from tandem.logs import configure_logging

    configure_logging()
    config = settings()
    if verify:
        result, problems = _verify(config)
    else:
        result, problems = _archive(config, until_caught_up, until_cut, timedelta(seconds=timeout)), []
    if as_json:
        typer.echo(json.dumps(result))
    elif verify:
        typer.echo("\n".join(problems) or f"{result['events']} events, each once, in version {result['version']}")
    else:
        typer.echo(f"{result['events']} events archived in {result['commits']} commits")
    if problems:
        raise typer.Exit(1)


def _archive(config: Settings, until_caught_up: bool, until_cut: str | None, timeout: timedelta) -> dict[str, Any]:
    from stream import archive as archiver

    if until_cut is not None:
        totals = archiver.wait_until(config, archiver.cut_offsets(config, until_cut), timeout)
    else:
        totals = archiver.archive(config, stop=_stop_on_signals(), until_caught_up=until_caught_up)
    return dataclasses.asdict(totals)


def _verify(config: Settings) -> tuple[dict[str, Any], list[str]]:
    from stream.archive_verify import verify

    found = verify(config)
    if found.version is None:
        raise TandemError(f"there is no archive at {config.archive}", "run 'tandem archive'")
    result = {"events": found.events, "problems": list(found.problems), **dataclasses.asdict(found)}
    return result, list(found.problems)


def _stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set, so that the archiver commits what it has read and leaves its group."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
