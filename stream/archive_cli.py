"""The command ``tandem archive``: the archiver itself, and what tends its table."""

from __future__ import annotations

import dataclasses
import signal
import threading
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from tandem import documents
from tandem.amounts import count
from tandem.errors import TandemError
from tandem.settings import Settings, settings

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)
_AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would go.")]


@app.callback(invoke_without_command=True)
def archive(  # noqa: PLR0917 - Typer passes them by name
    context: typer.Context,
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
    if context.invoked_subcommand:
        return
    from tandem.logs import configure_logging

    configure_logging()
    config = settings()
    if verify:
        result, problems = _verify(config)
    else:
        result, problems = _archive(config, until_caught_up, until_cut, timedelta(seconds=timeout)), []
    if as_json:
        typer.echo(documents.text(result, indent=None))
    elif verify:
        typer.echo(
            "\n".join(problems) or f"{count(result['events'], 'event')}, each once, in version {result['version']}"
        )
    else:
        typer.echo(f"{count(result['events'], 'event')} archived in {count(result['commits'], 'commit')}")
    if problems:
        raise typer.Exit(1)


@app.command()
def compact(as_json: _AsJson = False) -> None:
    """Put the small files of each date together. No row changes, and archivers and readers go on meanwhile.

    Example: `tandem archive compact`
    """
    from stream import archive_upkeep as upkeep

    done = upkeep.compact(settings(), datetime.now(UTC), _say)
    files = count(done.files_before, "file")
    _tell(as_json, done, f"{files} of {count(done.dates, 'date')} made into {done.files_after}")


@app.command()
def retain(dry_run: _DryRun = False, as_json: _AsJson = False) -> None:
    """Take the dates out of the archive that are past `TANDEM_ARCHIVE_RETENTION`; without that setting, nothing.

    What was published of them stays. They can no longer be computed, and the speed layer can no longer be rebuilt.

    Example: `tandem archive retain --dry-run --json`
    """
    from stream import archive_upkeep as upkeep

    done = upkeep.retain(settings(), datetime.now(UTC), dry_run=dry_run)
    taken = f"{count(done.records, 'record')} of {count(done.dates, 'date')} {'would be ' if dry_run else ''}taken out"
    _tell(as_json, done, f"{taken}; all is kept from {done.kept_from} on" if done.kept_from else "all is kept for good")


@app.command()
def vacuum(dry_run: _DryRun = False, as_json: _AsJson = False) -> None:
    """Delete files that `TANDEM_ARCHIVE_FILE_RETENTION` ago were put together, were taken out, or were never finished.

    Example: `tandem archive vacuum`
    """
    from stream import archive_upkeep as upkeep

    files = upkeep.vacuum(settings(), dry_run=dry_run)
    _tell(as_json, {"files": files}, f"{count(files, 'file')} {'would be ' if dry_run else ''}deleted")


def _tell(as_json: bool, done: Any, line: str) -> None:
    typer.echo(documents.text(done, indent=None) if as_json else line)


def _say(line: str) -> None:
    typer.echo(f"archive: {line}", err=True)


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
