"""``tandem lateness``: what another allowed lateness would have made of the last dates."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from tandem import business_date, database, documents
from tandem.amounts import show_change
from tandem.errors import TandemError
from tandem.kpis import Unit
from tandem.settings import settings


def lateness(
    date: Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", help="The last of the dates.")],
    days: Annotated[int, typer.Option(help="How many dates, each compared, to look back at.", min=1, max=400)] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Say how much of the last dates' difference each allowed lateness from 1 min to 24 h would have removed.

    From the stream's journal, exactly, and with one advised value. Example: `tandem lateness --date 2017-12-23`.
    """
    from reconciliation import lateness as late
    from reconciliation import tables

    day = business_date.parse(date)
    business_date.require_ended(day, now=datetime.now(UTC), zone=settings().zone)
    with database.snapshot(settings()) as connection:
        advice = late.of_dates(connection, settings(), day, days)
        expired = late.left_out(connection, settings(), day, days)
    if advice is None and expired:
        raise next(iter(expired.values()))
    if advice is None:
        raise TandemError(f"no date up to {day} was compared", f"run 'tandem reconcile --date {day}'")
    if expired:
        typer.echo(f"tandem: without {', '.join(map(str, expired))}: retention took the stream's journal", err=True)
    if as_json:
        typer.echo(documents.text(advice))
        return
    typer.echo(late.in_words(advice))
    rows = [["allowed lateness", "events", "difference removed", "%"]]
    rows += [
        [
            late.span(grace.minutes) + (" (now)" if grace.minutes == advice.now_minutes else ""),
            f"{grace.events:+,}",
            show_change(grace.removed_cents, Unit.CENTS, settings().currency),
            tables.percent(grace.percent),
        ]
        for grace in advice.graces
    ]
    typer.echo(tables.columns(rows))
