"""``tandem restate``: what the DAG of that name does, without Airflow."""

from __future__ import annotations

import getpass
import json
from collections.abc import Collection
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Annotated, Any

import typer

from spark_jobs import cli
from spark_jobs import restate as restating
from spark_jobs.runs import Why
from spark_jobs.submit import submit
from tandem import business_date, claims
from tandem.errors import TandemError
from tandem.settings import Settings, settings


def restate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is due and why; do nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Publish every date that is due, and what follows from it.

    A date is due where its night went by without a publication, or records of it came after it was published. It is
    computed, checked, published as a new version with its reason, and compared with the stream again. Segments of later
    dates, and rankings of the next, are computed again as one range; nothing else of those dates changes.

    Example: `tandem restate --dry-run`, then `tandem restate`
    """
    config = settings()
    last = business_date.newest_due(datetime.now(UTC), config.zone)
    due = restating.due(config, last)
    follow = sorted(set(restating.touched(config, due)) - due.keys())
    if dry_run or not (due or follow):
        _tell(due, follow, as_json=as_json)
        return
    claimed = restating.touched(config, due)
    with claims.held(config, claimed):
        made = _do(config, due) if due else []
        segments = _follow(config, claimed)
        cli.tell_standing(config, made)
    if as_json:
        typer.echo(json.dumps({"dates": made, "segments": [str(day) for day in segments]}, indent=2))
    if failed := [each["error"] for each in made if "error" in each]:
        raise TandemError(f"{len(failed)} of {len(made)} dates were not published", failed[0])


def _do(config: Settings, due: dict[date, Why]) -> list[dict[str, Any]]:
    """What became of each date that is due."""
    opened = cli.prepare(config, due, requested_by=getpass.getuser())
    submit(config, "batch", cli.arguments(opened))
    made = [cli.finish(config, run, publishes=True) for run in opened]
    for each in (each for each in made if each["published"]):
        # A mismatch is a result, and so is a date that cannot be compared.
        cli.tandem(config, "reconcile", "--date", each["business_date"], fine=(0, 1, 2))
    return made


def _follow(config: Settings, claimed: Collection[date]) -> tuple[date, ...]:
    """Compute stale segments and rankings of the claimed dates again; returns of which dates."""
    stale = {day: views for day, views in restating.stale(config).items() if day in claimed}
    if stale:
        opened = restating.open_dependents(config, stale, requested_by=getpass.getuser())
        submit(config, "follow", cli.arguments(opened))
        by = f"tandem restate by {getpass.getuser()}"
        restating.publish_dependents(config, {run.business_date: run.run_id for run in opened}, published_by=by)
        typer.echo(f"restate: segments or rankings of {len(stale)} dates published again", err=True)
    return tuple(stale)


def _tell(due: dict[date, Why], follow: list[date], *, as_json: bool) -> None:
    if as_json:
        dates = [{"business_date": str(day), **asdict(why)} for day, why in due.items()]
        typer.echo(json.dumps({"due": dates, "segments": [str(day) for day in follow]}, indent=2))
        return
    typer.echo("\n".join(f"{day}  {why.kind}  {why.reason}" for day, why in due.items()) or "no date is due")
    if follow:
        typer.echo(f"then the segments, or rankings, from {follow[0]} to {follow[-1]}")
