"""``tandem stream``."""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import UTC, datetime
from threading import Event
from typing import Annotated, Any

import typer

from tandem import business_date, documents
from tandem.amounts import count
from tandem.logs import configure_logging
from tandem.settings import settings

_SWITCH_S = 0.0005
app = typer.Typer(add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def stream(
    context: typer.Context,
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
    if context.invoked_subcommand:
        return
    # Polars reads it when loaded. A micro-batch is too small to be worth sharing out: measured, one thread takes the
    # same CPU and less time, and leaves the other core to Postgres and the broker.
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    # A micro-batch is hundreds of short calls that each let the interpreter go: while another thread runs, each waits
    # this long to have it back.
    sys.setswitchinterval(_SWITCH_S)
    from stream.worker import Worker

    configure_logging()
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    started = time.monotonic()
    stats = Worker(settings(), stop).run(until_caught_up=until_caught_up)
    if as_json:
        typer.echo(documents.text(stats.summary(time.monotonic() - started), indent=None))


@app.command()
def rebuild(
    since: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="First business date.")],
    swap: Annotated[
        bool, typer.Option("--swap", help="Put what was rebuilt in the place of what differs, in one transaction.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Rebuild the speed layer's state from Kafka and the archive, and compare it with the live one from a date on.

    Workers go on meanwhile. Exits with 0 where both are equal or the rebuilt state was swapped in, with 1 where they
    differ, with 2 where the log is not whole. Nothing live changes without `--swap`.

    Example: `tandem stream rebuild --from 2017-12-21 --json`
    """
    from stream.rebuild import rebuild as run

    configure_logging()
    day = business_date.parse(since)
    business_date.require_begun(day, now=datetime.now(UTC), zone=settings().zone)
    done = run(settings(), day, swap=swap, say=lambda line: typer.echo(f"tandem: {line}", err=True))
    if as_json:
        typer.echo(documents.text(done.document(), indent=None))
    else:
        for difference in done.shown:
            live, rebuilt = _said(difference.live), _said(difference.rebuilt)
            typer.echo(f"{difference.table} {difference.key}: live {live}, rebuilt {rebuilt}")
        total = sum(done.counts.values())
        differ = count(total, "row differs", "rows differ") if total else "equal, row by row"
        typer.echo(f"{count(done.events, 'event')} read again: {differ}")
        if done.expired:
            dates = count(len(done.expired), "date")
            back = "is back" if done.swapped else "is not compared; --swap brings it back"
            typer.echo(f"the journal that retention took of {dates} from {done.expired[0]} on {back}")
        if done.not_kept:
            what = "filled" if done.swapped else "declared later and not kept of all these dates; --swap fills it"
            typer.echo(f"{', '.join(done.not_kept)}: {what}")
        if done.reopened:
            what = "are open again" if done.swapped else "are not final by the log; --swap opens them"
            typer.echo(f"hours from {documents.instant(done.reopened)} on {what}")
    if done.counts and not done.swapped:
        raise typer.Exit(1)


@app.command()
def retain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would go.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Let the journal go of what is past `TANDEM_JOURNAL_RETENTION`, and say which dates still need theirs.

    Figures, reports, certificates and the causes that were found stay. A date whose journal is gone cannot be compared
    anew. Workers go on meanwhile.

    Example: `tandem stream retain --dry-run`
    """
    from stream import journal_upkeep as upkeep

    configure_logging()
    done = upkeep.retain(
        settings(), datetime.now(UTC), lambda line: typer.echo(f"journal: {line}", err=True), dry_run=dry_run
    )
    if as_json:
        typer.echo(documents.text(done, indent=None))
        return
    if done.kept_from is None:
        typer.echo("the journal is kept for good")
        return
    gone = f"{count(done.records, 'record')} of {count(len(done.dates), 'date')}"
    typer.echo(f"{gone} {'would be ' if dry_run else ''}let go of; every date is kept from {done.kept_from} on")
    for day, why in done.held:
        typer.echo(f"{day} still needs its journal, and holds what follows: {why}")


def _said(row: dict[str, Any] | None) -> str:
    """Of a row that is all key there is nothing to say but that it is there."""
    return "has none" if row is None else str(row) if row else "has it"
