"""``tandem claims``: which business dates are being worked on."""

from __future__ import annotations

from typing import Annotated

import typer

from tandem import business_date, claims, database, documents
from tandem.errors import TandemError
from tandem.settings import settings


def claims_command(
    release: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="Give this date up for whoever holds it.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """List the dates that runs work on, and who does.

    A run that ends gives its date up, however it ends, and the next Airflow run takes over what a deleted one left. So
    release a date only for a command, and only where its run is gone. Example: `tandem claims --release 2017-12-23`.
    """
    with database.connect(settings(), database.BATCH, autocommit=True) as connection:
        found = claims.present(connection)
        if release:
            day = business_date.parse(release)
            holders = {claim.holder for claim in found if claim.business_date == day}
            if not holders:
                raise TandemError(f"nobody works on {day}", "see 'tandem claims'")
            connection.execute(database.queries("orchestration").release_date, {"business_date": day})
            typer.echo(f"released {day} from {holders.pop()}", err=True)
            return
    rows = [
        {"business_date": claim.business_date, "holder": claim.holder, "since": claim.claimed_at} for claim in found
    ]
    if as_json:
        typer.echo(documents.text(rows))
        return
    for claim in found:
        typer.echo(str(claim))
    if not found:
        typer.echo("no run works on any date", err=True)
