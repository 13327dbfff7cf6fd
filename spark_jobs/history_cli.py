"""``tandem history``: what was said of a date, what is said now, and why; and what is no longer kept of it."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from spark_jobs import history as kept
from spark_jobs.history import Version
from tandem import business_date, clock, documents
from tandem.amounts import show, show_change
from tandem.errors import TandemError
from tandem.kpis import KPIS
from tandem.settings import Settings, settings

history = typer.Typer(add_completion=False, rich_markup_mode="markdown", invoke_without_command=True)

_JSON = "Print JSON and nothing else."


@history.callback()
def show_history(
    context: typer.Context,
    date: Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", help="The business date.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False,
) -> None:
    """Show what was said of a date, what is said now, and why: every version that was published, oldest first.

    Example: `tandem history --date 2017-12-23`.
    """
    if context.invoked_subcommand:
        return
    if not date:
        raise TandemError("which date?", "give --date YYYY-MM-DD")
    day = business_date.parse(date)
    versions = kept.of_date(settings(), day)
    if as_json:
        document = {"business_date": str(day), "versions": [dataclasses.asdict(version) for version in versions]}
        typer.echo(documents.text(document))
    elif not versions:
        typer.echo(f"nothing was ever published for {day}")
    else:
        typer.echo("\n".join(line for version in versions for line in told(version, settings())))


@history.command("forget-facts")
def forget_facts() -> None:
    """Forget the order_facts table that the figures were made of, because it is gone for good. Nothing else is changed.

    What is published stays. `tandem restate` then computes every date anew whose records the archive has. It is refused
    while a run works on a date.

    Example: `tandem history forget-facts`, then `tandem restate --dry-run`
    """
    kept.forget_facts(settings())
    typer.echo("forgotten: 'tandem restate' computes the dates anew whose records the archive has")


@history.command()
def prune(as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False) -> None:
    """Delete the rows and files of versions that were superseded longer ago than TANDEM_HISTORY_RETENTION (400 days).

    Who published them, why, and their daily figures stay. The watchdog does it every day.

    Example: `tandem history prune`.
    """
    pruned = kept.prune(settings(), datetime.now(UTC))
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(pruned)))
    else:
        runs = f"{pruned.versions} versions and {pruned.unpublished_runs} unpublished runs"
        files = f"{pruned.facts_files} files of order_facts, {pruned.staged_files} that killed runs left"
        typer.echo(f"{pruned.rows} rows of {runs}, {files}")


def told(version: Version, config: Settings) -> list[str]:
    """One version in lines for people."""
    until = f"until {_instant(version.superseded_at, config)}" if version.superseded_at else "is said now"
    since = _instant(version.published_at, config)
    lines = [f"{version.view} version {version.version}, from {since}, {until}"]
    why = [version.why.replace("_", " "), version.reason, version.requested_by and f"by {version.requested_by}"]
    lines.append(f"  why        {', '.join(part for part in why if part)}")
    lines.append(f"  published  by {version.published_by}, run {version.run_id}")
    records = "–" if version.cut is None else f"{sum(version.cut.values()):,} records below its cut"
    lines.append(
        f"  made of    {records}, archive version {version.archive_version}, order_facts version"
        f" {version.facts_version}, code {version.code_version}, rules {version.rule_version}"
    )
    if version.pruned_at:
        lines.append(f"  pruned     {_instant(version.pruned_at, config)}: only its daily figures are kept")
    return [*lines, *_figures(version, config)]


def _figures(version: Version, config: Settings) -> list[str]:
    """The KPIs of the first version, and the changes of each later one."""
    if version.metrics and version.version > 1 and not version.changes:
        return ["  no KPI changed"]
    lines = []
    for kpi in KPIS:
        if version.version == 1 and kpi.name in version.metrics:
            value = show(version.metrics[kpi.name], kpi.unit, config.currency)
            lines.append(f"  {kpi.name.removesuffix('_cents'):<20}{value:>16}")
        elif kpi.name in version.changes:
            old, new = version.changes[kpi.name]
            change = None if old is None or new is None else new - old
            shown = [show(value, kpi.unit, config.currency) for value in (old, new)]
            shown.append(show_change(change, kpi.unit, config.currency))
            lines.append(f"  {kpi.name.removesuffix('_cents'):<20}{shown[0]:>16} -> {shown[1]:>16}  {shown[2]}")
    return lines


def _instant(instant: datetime | None, config: Settings) -> str:
    return clock.shown(instant, config.zone) if instant else ""
