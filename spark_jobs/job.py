"""What every spark-submit target has in common: its arguments, its session, its runs, and how it ends.

    spark-submit spark_jobs/daily_metrics.py --date 2017-12-23
    spark-submit spark_jobs/daily_metrics.py --from 2017-12-21 --to 2017-12-23 --publish

Exit status 0; 2 with one line on stderr where a person can act on it.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from spark_jobs import archive, caller, done, runs
from spark_jobs.runs import Run
from tandem import business_date, claims, clock, database, facts_table
from tandem.errors import TandemError
from tandem.settings import Settings, settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True, slots=True)
class Job:
    """What a job computes for: one run per date, by date. ``views``: which of its views, all where none is named.

    ``together``: the metrics of all its dates are published with what is made of them, so a date is made of the facts
    that the job's own runs have of the dates before it, whatever was published of those.
    """

    name: str
    spark: SparkSession
    settings: Settings
    runs: tuple[Run, ...]
    views: tuple[str, ...] = ()
    together: bool = False

    @property
    def dates(self) -> tuple[date, ...]:
        """The business dates, in order."""
        return tuple(run.business_date for run in self.runs)

    def facts_versions(self) -> dict[date, int]:
        """The version of order_facts that holds each run's own date. Raises TandemError where there is none."""
        found = [runs.find(self.settings, run.run_id) for run in self.runs]
        versions = {
            run.business_date: run.facts_version for run in found if run is not None and run.facts_version is not None
        }
        if lacking := tuple(day for day in self.dates if day not in versions):
            raise TandemError(
                f"there are no order facts of {_span(lacking)}",
                f"run order_facts first: spark-submit spark_jobs/order_facts.py {_arguments(lacking)}",
            )
        return versions

    def facts_version(self) -> int:
        """The version of order_facts to read for all of the runs. Raises TandemError where there is none."""
        version, *others = set(self.facts_versions().values())
        if others:
            raise TandemError("the runs read different versions of order_facts", "compute their dates one by one")
        return version

    def say(self, line: str) -> None:
        """Tell how far the job is, on stderr."""
        print(f"{self.name}: {line}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asked for. ``run_ids``: one for each date, or none. ``ahead``: stage the views as well."""

    dates: tuple[date, ...]
    run_ids: tuple[str, ...]
    publish: bool
    views: tuple[str, ...] = ()
    ahead: bool = False


def main(
    name: str,
    compute: Callable[[Job], None],
    *,
    views: tuple[str, ...] = (),
    writes_facts: bool = False,
    ahead: Callable[[Job], None] | None = None,
) -> None:
    """Run a target: ``compute`` stages the rows of ``views``. Ends the process where something is wrong.

    Without run ids every date gets a run of its own: on the facts that are there, unless the target writes them. Such a
    run shows how its figures differ from the published ones, and publishes ``views`` only where ``--publish`` says so.
    ``ahead``: what ``--ahead`` does after it, in the same application.
    """
    caller.end_with_caller()
    try:
        config = settings()
        asked = parse(name, sys.argv[1:], views, may_go_ahead=ahead is not None)
        database.require_same_books(config)
        facts_table.require_same(config)
        if writes_facts:
            archive.require_whole(config, asked.dates)
        with _claimed(config, asked):
            opened = _open_runs(config, name, asked, writes_facts=writes_facts)
            steps = [compute, ahead] if asked.ahead and ahead else [compute]
            _run(name, steps, config, _left(config, name, asked, opened), asked.views)
            if asked.publish:
                _publish(config, name, opened, asked.views or views)
            elif not asked.run_ids:
                _show(config, opened, asked.views or views)
    except TandemError as error:
        sys.exit(_complaint(name, error))


def parse(name: str, arguments: Sequence[str], views: Sequence[str] = (), *, may_go_ahead: bool = False) -> Asked:
    """The arguments of a target that makes ``views``.

    Raises TandemError where a date cannot be read or run ids do not match the dates.
    """
    parser = argparse.ArgumentParser(prog=f"spark-submit spark_jobs/{name}.py", allow_abbrev=False)
    parser.add_argument(
        "--date", metavar="D", action="append", default=[], help="the business date, YYYY-MM-DD; several, once for each"
    )
    parser.add_argument("--from", metavar="D", dest="first", default="", help="first date of a range")
    parser.add_argument("--to", metavar="D", dest="last", default="", help="last date of the range, included")
    parser.add_argument(
        "--run-id", metavar="ID", action="append", default=[], help="run to compute for; once for each date"
    )
    parser.add_argument("--publish", action="store_true", help="make the result the current version")
    if len(views) > 1:
        parser.add_argument(
            "--view", action="append", default=[], choices=views, help="only this view; all if none is given"
        )
    if may_go_ahead:
        parser.add_argument(
            "--ahead", action="store_true", help="also stage the views of these runs, for their own jobs to find"
        )
    parser.set_defaults(view=[], ahead=False)  # of the options that this target does not have
    found = parser.parse_args(arguments)
    dates = _several(found.date) if len(found.date) > 1 else meant("".join(found.date), found.first, found.last)
    if found.ahead and not found.run_id:
        raise TandemError("--ahead needs runs whose views are asked for later", "give --run-id as well")
    if found.run_id and len(found.run_id) != len(dates):
        raise TandemError(f"{len(found.run_id)} run ids for {len(dates)} dates", "give --run-id once for each date")
    return Asked(dates, tuple(found.run_id), found.publish, tuple(found.view), found.ahead)


def meant(day: str, first: str, last: str) -> tuple[date, ...]:
    """The dates of ``--date``, or of ``--from`` and ``--to``; '' is not given. Raises TandemError."""
    if bool(day) == bool(first or last) or bool(first) != bool(last):
        raise TandemError("it is not clear which dates are meant", "give --date D, or --from D --to D")
    return tuple(clock.days(*business_date.entered_range(day or first, day or last)))


def _several(days: Sequence[str]) -> tuple[date, ...]:
    dates = tuple(business_date.parse(day) for day in days)
    if any(day >= following for day, following in pairwise(dates)):
        raise TandemError("the dates are not in order", "give each --date once, the earliest first")
    return dates


def _claimed(config: Settings, asked: Asked) -> AbstractContextManager[None]:
    """Hold the dates while the job works on them; whoever opened the runs that were named holds them already."""
    if asked.run_ids and all(runs.find(config, run_id) for run_id in asked.run_ids):
        return nullcontext()
    for day in asked.dates:
        business_date.require_ended(day, now=datetime.now(UTC), zone=config.zone)
    return claims.held(config, asked.dates)


def _open_runs(config: Settings, name: str, asked: Asked, *, writes_facts: bool) -> tuple[Run, ...]:
    if asked.run_ids:
        pairs = zip(asked.run_ids, asked.dates, strict=True)
        return tuple(runs.open_run(config, run_id, day) for run_id, day in pairs)
    opened = []
    for day in asked.dates:
        run_id = runs.new_run_id(day, datetime.now(UTC))
        source = None if writes_facts else _facts_of(config, day)
        kind = runs.Kind.RECOMPUTE if asked.publish else runs.Kind.TRIAL
        run = runs.open_run(config, run_id, day, kind=kind, reason=f"{name} by hand", requested_by=getpass.getuser())
        if source is not None:
            runs.adopt_facts(config, run, source)
        opened.append(run)
    return tuple(opened)


def _facts_of(config: Settings, day: date) -> Run:
    if (source := runs.latest_facts(config, day)) is None:
        raise TandemError(
            f"there are no order facts of {day}",
            f"run order_facts first: spark-submit spark_jobs/order_facts.py --date {day}",
        )
    return source


def _left(config: Settings, name: str, asked: Asked, opened: tuple[Run, ...]) -> tuple[Run, ...]:
    """The runs of which something is left to compute; new ones all are."""
    if not asked.run_ids:
        return opened
    whys = [done.why(config, run.run_id, name) for run in opened]
    for why in filter(None, whys):
        print(f"{name}: {why}", file=sys.stderr, flush=True)
    return tuple(run for run, why in zip(opened, whys, strict=True) if not why)


def _run(
    name: str,
    steps: Sequence[Callable[[Job], None]],
    config: Settings,
    left: tuple[Run, ...],
    views: tuple[str, ...],
) -> None:
    if not left:
        return
    from spark_jobs.session import open_session

    spark = open_session(f"tandem {name}", config)
    try:
        for step in steps:
            step(Job(name, spark, config, left, views))
    finally:
        spark.stop()


def _publish(config: Settings, name: str, opened: tuple[Run, ...], views: tuple[str, ...]) -> None:
    from spark_jobs import gate
    from spark_jobs.publish import publish

    for run in opened:
        gate.check(config, run.run_id, run.business_date)
        versions = publish(config, run.run_id, run.business_date, published_by=f"{name} by hand", views=views)
        for view, version in versions.items():
            print(f"{run.business_date} {view}: version {version} is published")


def _show(config: Settings, opened: tuple[Run, ...], views: tuple[str, ...]) -> None:
    from spark_jobs.difference import difference

    for run in opened:
        for view in views:
            print(difference(config, run, view))
    if views:
        print("publish it with --publish")


def _span(dates: tuple[date, ...]) -> str:
    return str(dates[0]) if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"


def _arguments(dates: tuple[date, ...]) -> str:
    return f"--date {dates[0]}" if len(dates) == 1 else f"--from {dates[0]} --to {dates[-1]}"


def _complaint(name: str, error: TandemError) -> int:
    print(f"{name}: {error}", file=sys.stderr)
    return 2
