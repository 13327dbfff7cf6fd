"""``tandem explain``: what makes up a date's difference, or one order's whole story."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tandem import business_date, database, documents
from tandem.errors import TandemError
from tandem.settings import settings

if TYPE_CHECKING:
    import datetime as dt

    from reconciliation.report import Report


class By(StrEnum):
    """Of what the cells are that are shown."""

    HOURS = "hours"
    PRODUCTS = "products"
    CATEGORIES = "categories"


def explain(
    date: Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", help="The business date.")] = "",
    order: Annotated[str, typer.Option(help="Tell this order's whole story; of one date where --date is given.")] = "",
    *,
    metric: Annotated[str, typer.Option(help="Only this figure, cell by cell: revenue, order_count, units, …")] = "",
    hour: Annotated[int | None, typer.Option(help="Only this hour of the business day.", min=0, max=23)] = None,
    by: Annotated[By | None, typer.Option(help="Cells by hour alone, or by hour and product or category.")] = None,
    limit: Annotated[int, typer.Option(help="How many events or cells to list; 0 for all.", min=0)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """List what makes up a date's difference, its causes and each event that differs; or tell one order's whole story.

    With --metric, --hour or --by: the ledger's lines of each cell that differs, whose amounts sum to batch - stream
    there.

    Exits with 2 where the date could not be compared.

    Example: `tandem explain --date 2017-12-23 --metric revenue --hour 17`, or `tandem explain --order 41351990520`.
    """
    if not date and not order:
        raise TandemError("which date, or which order?", "give --date YYYY-MM-DD, or --order ID")
    cells = bool(metric or by) or hour is not None
    if order and cells:
        raise TandemError("an order or cells?", "give --order, or --date with --metric, --hour or --by")
    day = business_date.parse(date) if date else None
    if order:
        _tell(order, day, as_json=as_json)
    elif day is not None and cells:
        _break_down(day, metric, hour, by or By.HOURS, limit or None, as_json=as_json)
    elif day is not None:
        _explain(day, limit, as_json=as_json)


def _break_down(day: dt.date, metric: str, hour: int | None, by: By, limit: int | None, *, as_json: bool) -> None:
    from reconciliation import breakdown, tables

    with database.snapshot(settings()) as connection:
        found = breakdown.of_date(connection, settings(), day, metric=metric, hour=hour, by=by)
    if as_json:
        derived = [{"difference": cell.difference, "adds_up": cell.adds_up} for cell in found.cells]
        document = documents.plain(found)
        document["cells"] = [{**cell, **more} for cell, more in zip(document["cells"], derived, strict=True)]
        typer.echo(documents.text(document))
    else:
        for line in breakdown.lines(found, settings(), limit) or ["No cell differs."]:
            typer.echo(line)
        for event in found.events[:limit]:
            typer.echo(tables.event_line(event, settings().currency, settings().zone) + "\n")
    if not all(cell.adds_up for cell in found.cells):
        raise typer.Exit(1)


def _tell(order: str, day: dt.date | None, *, as_json: bool) -> None:
    from reconciliation import story, telling

    with database.snapshot(settings()) as connection:
        found = story.of_order(connection, settings(), order, day)
    if as_json:
        typer.echo(documents.text(found))
        return
    for line in telling.lines(found, settings().currency, settings().zone):
        typer.echo(line)


def _explain(day: dt.date, limit: int, *, as_json: bool) -> None:
    from reconciliation import gather

    with database.snapshot(settings()) as connection:
        report = gather.report(connection, settings(), day)
        events = gather.differing_events(connection, report.reconciliation_id, limit=limit or None)
    if as_json:
        document = {
            "business_date": day,
            "reconciliation_id": report.reconciliation_id,
            "causes": report.causes,
            "events": events,
        }
        typer.echo(documents.text(document))
    else:
        _show(dataclasses.replace(report, events=events))
    if not _is_compared(report):
        raise typer.Exit(2)


def _is_compared(report: Report) -> bool:
    from reconciliation.compare import Verdict

    return report.verdict is not Verdict.NOT_COMPARABLE


def _show(report: Report) -> None:
    from reconciliation import tables
    from reconciliation.headline import headline

    typer.echo(headline(report))
    if not _is_compared(report):
        return
    typer.echo(
        tables.columns(tables.cause_rows(report.causes, report.events_total, report.currency))
        if report.causes
        else "No event differs."
    )
    for event in report.events:
        typer.echo("\n" + tables.event_line(event, report.currency, settings().zone))
    left = report.events_total - len(report.events)
    if left:
        typer.echo(f"\n{left} more: tandem explain --date {report.business_date} --limit 0")
