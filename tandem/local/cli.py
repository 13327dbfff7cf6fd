"""``tandem up``, ``down``, ``status`` and ``airflow``: the local parts."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from tandem import documents
from tandem.errors import TandemError
from tandem.local import process
from tandem.local.airflow import USER, airflow_command, airflow_env
from tandem.local.ports import answers
from tandem.local.service import Service
from tandem.local.services import SERVICES, check_room, delete_data, exclusive, select, select_with_dependents
from tandem.settings import PROJECT_ROOT, Settings, settings

_Names = Annotated[
    list[str] | None, typer.Argument(metavar="[SERVICE]...", help=f"{', '.join(SERVICES)}; all if none.")
]


def up(services: _Names = None) -> None:
    """Start the local parts and wait until they work. What runs already is left alone.

    Example: `tandem up`, or `tandem up postgres kafka`. What a part needs is started with it.
    """
    own = settings()
    chosen = select(services or ())
    with exclusive(own):
        check_room(own, chosen)
        for service in chosen:
            began = time.monotonic()
            already = service.is_running(own)
            typer.echo(f"{service.name:<10} {'runs' if already else 'starting ...'}", err=True)
            service.start(own)
            if not already:
                typer.echo(f"{service.name:<10} ready after {time.monotonic() - began:.1f} s", err=True)
    _show([_row(own, service) for service in chosen])
    if "airflow" in {service.name for service in chosen}:
        typer.echo(f"Airflow's user is {USER}, the password is in {own.state_dir / 'secrets' / 'airflow_admin'}")


def down(
    services: _Names = None,
    every: Annotated[bool, typer.Option("--all", help="Every installation in this folder, also the demo's.")] = False,
    delete: Annotated[bool, typer.Option("--delete-data", help="Also delete all data, mails and logs.")] = False,
) -> None:
    """Stop the local parts, and whatever they started. Data stays unless `--delete-data` is given.

    Example: `tandem down`, or `tandem down airflow`.
    """
    if services and (every or delete):
        raise TandemError("--all and --delete-data are for everything", "leave the names out")
    chosen = select_with_dependents(services or ())
    for own in _installations() if every else (settings(),):
        _stop(own, chosen)
        if delete:
            delete_data(own)
            typer.echo(f"deleted {own.state_dir}", err=True)


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Show each local part: state, process, port, address and log. Exit status 0 if all run, else 1.

    Example: `tandem status --json`.
    """
    rows = [_row(settings(), service) for service in SERVICES.values()]
    if as_json:
        typer.echo(documents.text(rows))
    else:
        _show(rows)
    if any(row["state"] != "running" for row in rows):
        raise typer.Exit(1)


airflow = typer.Typer(add_completion=False)


@airflow.command(
    "airflow", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def _airflow(context: typer.Context) -> None:
    """Run Airflow's own command against the local Airflow, which must be up.

    Example: `tandem airflow backfill create --dag-id nightly --from-date 2017-12-21 --to-date 2017-12-24`.
    """
    own = settings()
    if not answers(own.host, own.postgres_port):
        raise TandemError("Airflow's database does not run", "run 'tandem up'")
    command = [*airflow_command(), *context.args]
    sys.stdout.flush()
    os.execve(command[0], command, {**os.environ, **airflow_env()})  # noqa: S606 - a list, no shell


def _stop(own: Settings, services: list[Service]) -> None:
    stopped = []
    if own.state_dir.exists():
        with exclusive(own):
            stopped = [service.name for service in reversed(services) if service.stop(own)]
    typer.echo(f"stopped {', '.join(stopped)}" if stopped else "nothing runs", err=True)


def _installations() -> Iterator[Settings]:
    """Every installation that has its state in this folder, and the one that the settings name."""
    folders = {path.parent for path in PROJECT_ROOT.glob(".tandem*/run")} | {settings().state_dir}
    return (settings().model_copy(update={"state_dir": folder}) for folder in sorted(folders))


def _row(own: Settings, service: Service) -> dict[str, Any]:
    processes = [process.find(own, part) for part in service.parts]
    running = service.is_running(own)
    return {
        "service": service.name,
        "state": "running" if running and service.is_ready(own) else "starting" if running else "stopped",
        "pid": processes[-1].pid if processes[-1] else None,
        "port": getattr(own, service.ports[0]) if service.ports else None,
        "address": service.address(own),
        "log": str(process.log_path(own, service.parts[-1])),
    }


def _show(rows: list[dict[str, Any]]) -> None:
    titles = {name: name for name in rows[0]}
    widths = {name: max(len(str(row[name] or "-")) for row in [titles, *rows]) for name in titles}
    for row in (titles, *rows):
        typer.echo("  ".join(f"{row[name] or '-'!s:<{widths[name]}}" for name in titles).rstrip())
