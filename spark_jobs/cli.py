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


def batch(
    day: Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", help="The business date.")] = "",
    first: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="First date of a range.")] = "",
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="Last date, included.")] = "",
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
    for each in dates:
        business_date.require_ended(each, now=datetime.now(UTC), zone=config.zone)
    with claims.held(config, dates):
        kind = runs.Kind.TRIAL if no_publish else runs.Kind.RECOMPUTE
        opened = prepare(config, dict.fromkeys(dates, Why(kind, "tandem batch")), requested_by=getpass.getuser())
        submit(config, "batch", arguments(opened))
        made = [finish(config, run, publishes=not no_publish) for run in opened]
    if as_json:
        typer.echo(json.dumps(made, indent=2))
    if failed := [each["error"] for each in made if "error" in each]:
        raise TandemError(f"{len(failed)} of {len(made)} dates were not published", failed[0])


def prepare(config: Settings, dates: Mapping[date, Why], *, requested_by: str | None) -> tuple[Run, ...]:
    """A run with a cut for each date, and an archive that holds everything below all cuts.

    Raises TandemError where the archive no longer keeps one of the dates.
    """
    archive.require_kept(config, dates)
    wait: dict[str, str] = {}
    opened = []
    for day, why in sorted(dates.items()):
        run_id = runs.new_run_id(day, datetime.now(UTC))
        _say(f"{day}: fixing the offsets to compute up to")
        taken = json.loads(tandem(config, "cut", "--date", str(day), "--run-id", run_id, "--json", changes=wait))
        if not taken["comparable"]:
            _say(f"{day}: cannot be compared with the stream ({taken['reason']})")
            wait = {"TANDEM_CUT_TIMEOUT": "PT0S"}  # it was waited for once
        opened.append(runs.open_run(config, run_id, day, kind=why.kind, reason=why.reason, requested_by=requested_by))
    _say("waiting for the archive")
    # The cut that was taken last is the furthest.
    tandem(config, "archive", "--until-cut", opened[-1].run_id)
    return tuple(opened)


def arguments(opened: Sequence[Run]) -> list[str]:
    """What to give to a job so that it computes for these runs."""
    return [part for run in opened for part in ("--date", str(run.business_date), "--run-id", run.run_id)]


def finish(config: Settings, run: Run, *, publishes: bool) -> dict[str, Any]:
    """Check one date and publish it; what became of it, for people on stderr and as JSON."""
    made: dict[str, Any] = {"business_date": str(run.business_date), "run_id": run.run_id, "published": {}}
    try:
        gate.check(config, run.run_id, run.business_date)
        if publishes:
            made["published"] = publish.publish(
                config, run.run_id, run.business_date, published_by=f"tandem batch by {getpass.getuser()}"
            )
    except TandemError as error:
        made["error"] = str(error)
        _say(f"{run.business_date}: not published: {error}")
        return made
    versions = ", ".join(f"{view} version {version}" for view, version in made["published"].items())
    _say(f"{run.business_date}: {versions or 'computed, not published'}")
    if not publishes:
        for view in publish.VIEWS:
            typer.echo(difference(config, run, view), err=True)
    return made


def tandem(
    config: Settings, *command: str, fine: Sequence[int] = (0,), changes: Mapping[str, str] | None = None
) -> str:
    """Run another command of Tandem as a process: the layers do not import each other. Returns its stdout.

    Raises TandemError where it ends with an exit status that is not among ``fine``.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tandem", *command],
        env={**os.environ, **environment(config), **(changes or {})},
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
