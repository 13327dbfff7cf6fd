"""``tandem corrections list | approve | reverse``."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from reconciliation import correct, tables
from reconciliation import corrections as kept
from tandem import business_date, database, documents
from tandem.amounts import count
from tandem.settings import settings

_DAY = "YYYY-MM-DD"

corrections = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode="markdown")


@corrections.command("list")
def list_corrections(
    date: Annotated[str, typer.Option("--date", metavar=_DAY, help="Only of this business date.")] = "",
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that wait for approval.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """List corrections: cell, delta, where they stand.

    Example: `tandem corrections list --date 2017-12-23`.
    """
    day = business_date.parse(date) if date else None
    with database.connect(settings(), database.READER) as connection:
        found = kept.find(connection, business_date=day, statuses=[kept.WAITING] if waiting else None)
    if as_json:
        typer.echo(documents.text(found))
    elif not found:
        typer.echo("no corrections")
    else:
        typer.echo(tables.columns(tables.kept_correction_rows(found, settings().zone)))


@corrections.command()
def approve(
    date: Annotated[str, typer.Option("--date", metavar=_DAY, help="The business date.")],
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Which; all of the date if none.")] = None,
) -> None:
    """Let corrections go that wait for approval.

    Example: `tandem corrections approve --date 2017-12-23`.
    """
    sent = correct.approve(settings(), business_date.parse(date), ids or None, getpass.getuser())
    typer.echo(f"{count(sent, 'correction')} sent")


@corrections.command()
def reverse(correction_id: Annotated[str, typer.Argument(help="Id, as 'list' shows it.")]) -> None:
    """Take a correction back by an entry of the opposite amount. The date is then corrected by approval only.

    Example: `tandem corrections reverse 0b1d...`.
    """
    reversal = correct.reverse(settings(), correction_id, getpass.getuser())
    typer.echo(f"{reversal.correction_id} takes back {reversal.reverses}")
