"""``tandem cut``, ``reconcile``, ``report`` and ``kpi``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tandem import business_date, clock, database, documents, kpis
from tandem.amounts import count, show
from tandem.errors import TandemError
from tandem.logs import configure_logging
from tandem.serving import DailyKpis, Layer
from tandem.serving import read as read_kpis
from tandem.settings import settings

if TYPE_CHECKING:
    from reconciliation.reconcile import Outcome
    from reconciliation.report import Report

_Date = Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", help="The business date.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def _print_json(document: Any) -> None:
    typer.echo(documents.text(document))


def kpi(
    date: _Date,
    layer: Annotated[Layer, typer.Option(help="Whose figures.")] = Layer.SERVING,
    as_json: _Json = False,
) -> None:
    """Print a day's figures as one layer has them. A date that a layer has not is empty, with the reason.

    Example: `tandem kpi --date 2017-12-23 --layer batch --json`.
    """
    found = read_kpis(settings(), business_date.parse(date), layer)
    if as_json:
        _print_json(found.document())
    else:
        _show_kpis(found)


def _show_kpis(found: DailyKpis) -> None:
    from rich.console import Console
    from rich.table import Table

    status = found.details.get("status", "complete" if found.complete else "not complete")
    as_of = f"as of {found.as_of:%Y-%m-%d %H:%M:%S %Z}" if found.as_of else ""
    table = Table(title=f"{found.business_date}, {found.layer} layer, {status} {as_of}", title_justify="left")
    table.add_column("KPI")
    table.add_column("value", justify="right")
    table.add_column("meaning")
    for declared in kpis.KPIS:
        value = show(found.metrics[declared.name], declared.unit, settings().currency)
        table.add_row(declared.name.removesuffix("_cents"), value, declared.meaning)
    Console().print(table)
    if reason := found.details.get("reason"):
        typer.echo(f"note: {reason}")


def cut(
    date: Annotated[
        list[str], typer.Option("--date", metavar="YYYY-MM-DD", help="The business date; several, once for each.")
    ],
    run_id: Annotated[
        list[str] | None, typer.Option(help="Id of the run it is for, once for each date; made if none is given.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Fix the offsets at which both layers are compared, and keep the speed layer's books as they are there.

    Waits for the speed layer to consume what Kafka holds. Example: `tandem cut --date 2017-12-23 --json`.
    """
    from reconciliation import cut as cuts

    configure_logging()
    days = [business_date.parse(day) for day in date]
    ids = run_id or [cuts.new_run_id(day, datetime.now(UTC)) for day in days]
    if len(ids) != len(days):
        raise TandemError(
            f"{count(len(ids), 'run id')} for {count(len(days), 'date')}", "give --run-id once for each date"
        )
    taken = cuts.take_each(settings(), list(zip(days, ids, strict=True)))
    if as_json:
        documents = [dataclasses.asdict(each) for each in taken]
        _print_json(documents if len(documents) > 1 else documents[0])
        return
    for each in taken:
        state = "comparable" if each.comparable else f"not comparable: {each.reason}"
        held = f"{count(sum(each.offsets.values()), 'record')} in {count(len(each.offsets), 'partition')}"
        typer.echo(f"{each.run_id}  {held}, {state}")


def reconcile(
    date: Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", help="One business date.")] = "",
    first: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="First date of a range.")] = "",
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="Last date of a range, included.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare and explain, but correct nothing.")] = False,
    as_json: _Json = False,
) -> None:
    """Compare the layers for a date or a range, say what makes the difference, and correct what is out of tolerance.

    Exit status 0 match, 1 mismatch, 2 could not compare; of a range the highest. A mismatch that is corrected is still
    a mismatch: run it again to see 0. Example: `tandem reconcile --date 2017-12-23`.
    """
    from reconciliation import mail
    from reconciliation import reconcile as reconciling

    configure_logging()
    if bool(date) == bool(first and last) or bool(first) != bool(last):
        raise TandemError("which dates?", "give --date, or both --from and --to")
    start, end = business_date.entered_range(date or first, date or last)
    business_date.require_ended(end, now=datetime.now(UTC), zone=settings().zone)
    outcomes, documents = [], []
    for day in clock.days(start, end):
        outcome = reconciling.run(settings(), day, dry_run=dry_run)
        outcomes.append(outcome)
        documents.append(_told(outcome, show_it=not as_json, dry_run=dry_run))
    if not dry_run:
        mail.send_recoveries(settings(), [outcome.business_date for outcome in outcomes])
    if as_json:
        _print_json(documents[0] if date else documents)
    raise typer.Exit(max(outcome.exit_status for outcome in outcomes))


def _told(outcome: Outcome, *, show_it: bool, dry_run: bool) -> dict[str, Any]:
    from reconciliation import gather, tables, wording
    from reconciliation.headline import headline

    with database.snapshot(settings()) as connection:
        report = gather.report(connection, settings(), outcome.business_date)
    if show_it:
        typer.echo(f"{outcome.business_date}  {outcome.verdict}: {headline(report)}")
        typer.echo(tables.columns(tables.figure_rows(report)))
        if outcome.reason and outcome.verdict != "not_comparable":
            typer.echo(f"note: {outcome.remedy}")
        if outcome.corrected.waiting:
            typer.echo(f"corrections wait for approval: {outcome.corrected.reason}")
        for step in wording.steps(report) if not dry_run else ():
            typer.echo(f"- {step.text}" + (f"  {step.command}" if step.command else ""))
    compared = (
        "batch",
        "speed",
        "speed_now",
        "difference",
        "difference_now",
        "percent",
        "allowed",
        "status",
        "decides",
    )
    metrics = {figure.name: {name: getattr(figure, name) for name in compared} for figure in report.figures}
    return {**dataclasses.asdict(outcome), "metrics": metrics}


def report(
    date: _Date,
    out: Annotated[Path | None, typer.Option(help="File to write: .html, .txt or .json.")] = None,
    send: Annotated[bool, typer.Option("--send", help="Mail it, and all that could not go out before.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print as JSON what it says in short, and where it went.")
    ] = False,
) -> None:
    """Write the report that is mailed: on the terminal, into a file that needs nothing else, or out by mail.

    All of it as JSON is a file that ends in .json.

    Example: `tandem report --date 2017-12-23 --out report.html`.
    """
    from reconciliation import gather, incidents, mail, post, render

    configure_logging()
    day = business_date.parse(date)
    with database.snapshot(settings()) as connection:
        found = gather.report(connection, settings(), day)
    if out is not None:
        _write(found, out)
    sent_to: Sequence[str] = ()
    if send:
        delivery = mail.send_report(settings(), day, again=True)
        if delivery.kept:
            raise delivery.not_sent
        sent_to = post.addresses(settings(), incidents.severity_of(found))
        typer.echo(f"sent to {', '.join(sent_to)}", err=True)
    if as_json:
        _print_json({**render.summary(found), "out": out, "sent_to": sent_to})
    elif out is None and not send:
        typer.echo(render.text(found), nl=False)


def _write(found: Report, out: Path) -> None:
    from reconciliation import files, render

    forms: dict[str, Callable[[Report], str]] = {
        ".html": render.standalone,
        ".txt": render.text,
        ".json": lambda value: documents.text(render.document(value)),
    }
    files.write(found, out, forms)
