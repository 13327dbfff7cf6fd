"""``tandem books``: under which settings the books are kept."""

from __future__ import annotations

from typing import Annotated

import typer

from tandem import database, documents
from tandem.settings import settings


def books(
    change: Annotated[bool, typer.Option("--change", help="Keep them as the settings say from now on.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show under which settings the books are kept. All that works on them must have the same.

    Example: `TANDEM_ALLOWED_LATENESS=PT2H tandem books --change`. Workers that run end then, and are started again with
    the new setting; what was booked stays as it is. Time zone and currency never change.
    """
    own = settings()
    kept = database.kept(own)
    if change:
        database.migrate(own, change=True)
        before, kept = kept, database.kept(own)
        for name, value in kept.items():
            if before[name] != value:
                typer.echo(f"{name} was {before[name]}", err=True)
    if as_json:
        typer.echo(documents.text(kept))
        return
    for name, value in kept.items():
        typer.echo(f"{name}={value}")
