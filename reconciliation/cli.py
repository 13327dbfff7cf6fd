"""``tandem cut``, ``reconcile``, ``corrections``, ``explain``, ``report`` and ``kpi``."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tandem import business_date, kpis
from tandem.amounts import show
from tandem.serving import DailyKpis, Layer
from tandem.serving import read as read_kpis
from tandem.settings import settings

_Date = Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", help="The business date.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=2, default=str))


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
    date: _Date,
    run_id: Annotated[str, typer.Option(help="Id of the run it is for; made if none is given.")] = "",
    as_json: _Json = False,
) -> None:
    """Fix the offsets at which both layers are compared, and keep the speed layer's books as they are there.

    Waits for the speed layer to consume what Kafka holds. Example: `tandem cut --date 2017-12-23 --json`.
    """
    from reconciliation import cut as cuts

    day = business_date.parse(date)
    taken = cuts.take(settings(), day, run_id or cuts.new_run_id(day, datetime.now(UTC)))
    if as_json:
        _print_json(dataclasses.asdict(taken))
        return
    state = "comparable" if taken.comparable else f"not comparable: {taken.reason}"
    typer.echo(f"{taken.run_id}  {sum(taken.offsets.values())} records in {len(taken.offsets)} partitions, {state}")
