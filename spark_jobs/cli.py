"""``tandem batch``: the nightly run without Airflow, for a date or a range."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any

import typer

from spark_jobs import archive, gate, publish, runs
from spark_jobs.difference import difference
from spark_jobs.job import meant
from spark_jobs.runs import Run, Why
from spark_jobs.submit import submit
from tandem import business_date, claims
from tandem.errors import TandemError
from tandem.local.process import environment
from tandem.settings import Settings, settings


def batch(  # noqa: PLR0917 - Typer's options, which are given by name
    day: Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", help="The business date.")] = "",
    first: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="First date of a range.")] = "",
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="Last date, included.")] = "",
    view: Annotated[
        list[str] | None,
        typer.Option(metavar="VIEW", help=f"Only this view, of {', '.join(publish.VIEWS)}; all if none is given."),
    ] = None,
    no_publish: Annotated[
        bool, typer.Option("--no-publish", help="Compute and check only; readers keep what they have.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as a JSON list.")] = False,
) -> None:
    """Compute all batch views of a date or a range with Spark, check them, and publish them.

    Fixes the offsets at which both layers can be compared, waits for the archive, and runs one Spark application for
    all dates. Readers see a date's new version whole, and only where its gate passes.

    Example: `tandem batch --date 2017-12-23`, or `tandem batch --from 2017-12-21 --to 2017-12-23 --json`
    """
    config = settings()
    dates = meant(day, first, last)
    views = tuple(view or publish.VIEWS)
    if unknown := [name for name in views if name not in publish.VIEWS]:
        raise TandemError(f"there is no view '{unknown[0]}'", f"choose from {', '.join(publish.VIEWS)}")
    for each in dates:
        business_date.require_ended(each, now=datetime.now(UTC), zone=config.zone)
    with claims.held(config, dates):
        kind = runs.Kind.TRIAL if no_publish else runs.Kind.RECOMPUTE
        opened = prepare(config, dict.fromkeys(dates, Why(kind, "tandem batch")), requested_by=getpass.getuser())
        submit(config, "batch", [*arguments(opened), *(part for name in view or () for part in ("--view", name))])
        made = [finish(config, run, publishes=not no_publish, views=views) for run in opened]
    tell_standing(config, made)
    if as_json:
        typer.echo(json.dumps(made, indent=2))
    if failed := [each["error"] for each in made if "error" in each]:
        raise TandemError(f"{len(failed)} of {len(made)} dates were not published", failed[0])


def prepare(config: Settings, dates: Mapping[date, Why], *, requested_by: str | None) -> tuple[Run, ...]:
    """A run with a cut for each date, and an archive that holds everything below all cuts.

    Raises TandemError where the archive may lack records of one of the dates.
    """
    archive.require_whole(config, dates)
    named = [(day, runs.new_run_id(day, datetime.now(UTC))) for day in sorted(dates)]
    shown = f"{named[0][0]}" if len(named) == 1 else f"{named[0][0]} to {named[-1][0]}, {len(named)} dates"
    _say(f"{shown}: fixing the offsets to compute up to")
    given = [part for day, run_id in named for part in ("--date", str(day), "--run-id", run_id)]
    taken = json.loads(tandem(config, "cut", *given, "--json"))
    for cut in taken if isinstance(taken, list) else [taken]:
        if not cut["comparable"]:
            _say(f"{cut['business_date']}: cannot be compared with the stream ({cut['reason']})")
    opened = [
        runs.open_run(config, run_id, day, kind=dates[day].kind, reason=dates[day].reason, requested_by=requested_by)
        for day, run_id in named
    ]
    _say("waiting for the archive")
    # The cut that was taken last is the furthest.
    tandem(config, "archive", "--until-cut", opened[-1].run_id)
    return tuple(opened)


def arguments(opened: Sequence[Run]) -> list[str]:
    """What to give to a job so that it computes for these runs."""
    return [part for run in opened for part in ("--date", str(run.business_date), "--run-id", run.run_id)]


def finish(config: Settings, run: Run, *, publishes: bool, views: Sequence[str] = publish.VIEWS) -> dict[str, Any]:
    """Check one date and publish it; what became of it, for people on stderr and as JSON."""
    made: dict[str, Any] = {"business_date": str(run.business_date), "run_id": run.run_id, "published": {}}
    try:
        gate.check(config, run.run_id, run.business_date)
        if publishes:
            made["published"] = publish.publish(
                config,
                run.run_id,
                run.business_date,
                published_by=f"tandem batch by {getpass.getuser()}",
                views=views,
            )
    except TandemError as error:
        made["error"] = str(error)
        _say(f"{run.business_date}: not published: {error}")
        return made
    versions = ", ".join(f"{name} version {version}" for name, version in made["published"].items())
    _say(f"{run.business_date}: {versions or 'computed, not published'}")
    if not publishes:
        for name in views:
            typer.echo(difference(config, run, name), err=True)
    return made


def tell_standing(config: Settings, made: Sequence[dict[str, Any]]) -> None:
    """Add to what became of each date what its segments and rankings rest on, and say it where they are not certified.

    When all dates are done: one that is refused makes those after it stale.
    """
    standing = publish.standing(config, [date.fromisoformat(each["business_date"]) for each in made])
    for each in made:
        each["standing"] = {
            view: of
            for view, of in standing.get(date.fromisoformat(each["business_date"]), {}).items()
            if view in each["published"]
        }
        for view, of in each["standing"].items():
            if of["status"] != "certified":
                _say(f"{each['business_date']}: {view} is {of['status']}: {of['reason']}")


def tandem(config: Settings, *command: str, fine: Sequence[int] = (0,)) -> str:
    """Run another command of Tandem as a process: the layers do not import each other. Returns its stdout.

    Raises TandemError where it ends with an exit status that is not among ``fine``.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tandem", *command],
        env={**os.environ, **environment(config)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in fine:
        words = done.stderr.strip().splitlines() or ["it said nothing"]
        raise TandemError(f"tandem {command[0]} failed", words[-1].removeprefix("tandem: "))
    return done.stdout


def _say(line: str) -> None:
    typer.echo(f"batch: {line}", err=True)
