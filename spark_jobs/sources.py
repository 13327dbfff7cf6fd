"""Which facts of a date those after it are made of: the published ones; where there are none, those that order_facts
has, unless the date's gate refused them. The view batch.facts_read says which, and of every run it is noted what of the
dates before it read (batch.made_of), so that serving.rfm_dates and its like can tell when that is no longer so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_jobs import facts, file_list
from tandem import database, delta, facts_table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import date

    from pyspark.sql import DataFrame

    from spark_jobs.job import Job
    from spark_jobs.runs import Run
    from tandem.settings import Settings


@dataclass(frozen=True, slots=True)
class Reading:
    """What some runs of a job read. ``versions``: of order_facts, by date, None where the date is left out. ``newest``:
    the version of the whole table that all dates are read at which have been the same since their own (``held``: since
    which version each is as it is there).
    """

    asked: Job
    runs: tuple[Run, ...]
    newest: int
    versions: Mapping[date, int | None]
    held: Mapping[date, int]

    def frame(self, first: date | None = None, last: date | None = None) -> DataFrame:
        """facts.COLUMNS of the dates from ``first`` to ``last``, both included."""
        spark, settings = self.asked.spark, self.asked.settings
        elsewhere: dict[int, list[date]] = {}
        for day, version in self.versions.items():
            inside = (first is None or first <= day) and (last is None or day <= last)
            if inside and version is not None and self.held.get(day, version) > version:
                elsewhere.setdefault(version, []).append(day)
        apart = [day for day, version in self.versions.items() if version is None]
        apart += [day for days in elsewhere.values() for day in days]
        found = facts.without(facts.read(spark, settings, first, last, version=self.newest), apart)
        for version, days in sorted(elsewhere.items()):
            older = facts.only(facts.read(spark, settings, min(days), max(days), version=version), days)
            # A table from before a column came lacks it.
            found = found.unionByName(older, allowMissingColumns=True)
        return found

    def note(self, view: str, runs: Collection[Run], back: int | None = None) -> None:
        """Note with these runs what their rows of ``view`` are made of: ``back`` dates before their own, or all."""
        values = {
            "view": view,
            "run_ids": [run.run_id for run in runs],
            "dates": [run.business_date for run in runs],
            "read": list(self.versions),
            "versions": list(self.versions.values()),
            "back": back,
        }
        with database.connect(self.asked.settings, database.BATCH) as connection:
            connection.execute(database.queries("batch").record_made_of, values)


def readings(asked: Job) -> Iterator[Reading]:
    """What the runs of a job read of their own dates and those before: all of them at once, or one by one where a run's
    own facts are not those that the runs after it are made of.
    """
    own = asked.facts_versions()
    newest, rows = look(asked.settings), _facts_read(asked)
    while newest < max((version for _, version, _ in rows if version is not None), default=newest):
        # Another job has written it since. At the version before, its date has other facts than are said to count.
        newest, rows = look(asked.settings), _facts_read(asked)
    versions = {day: version for day, version, _ in rows}
    held = {day: since for day, _, since in rows if since is not None}
    apart = [day for day in asked.dates[:-1] if own[day] != versions.get(day)]
    parts = [asked.runs] if asked.together or not apart else [(run,) for run in asked.runs]
    for runs in parts:
        of_runs = {run.business_date: own[run.business_date] for run in runs}
        yield Reading(asked, runs, newest, {**versions, **of_runs}, held)


def _facts_read(asked: Job) -> list[tuple[date, int | None, int | None]]:
    with database.connect(asked.settings, database.BATCH) as connection:
        return connection.execute(database.queries("batch").facts_read, {"last": asked.dates[-1]}).fetchall()


def look(settings: Settings, version: int | None = None, written: Collection[date] = ()) -> int:
    """Note since when order_facts has what it has of each date, as of a version or the newest, which it returns.

    ``written``: the dates that this very version has put anew. What no run has noted is found too, as of one killed
    after its commit.
    """
    table = delta.at(settings.order_facts, version)
    at: int = table.version()
    found = file_list.names_by_date(table)
    queries = database.queries("batch")
    with database.connect(settings, database.BATCH) as connection:
        facts_table.note(connection, table)
        known = {day: (since, files) for day, since, files in connection.execute(queries.facts_held)}
        new = {day for day, files in found.items() if day in written or known.get(day, (0, ""))[1] != files}
        first_seen = new - known.keys() - set(written)
        noted = dict(connection.execute(queries.facts_noted, {"version": at}).fetchall()) if first_seen else {}
        rows = [
            {
                "business_date": day,
                "facts_version": noted.get(day, at) if day in first_seen else at,
                "files": found[day],
            }
            for day in sorted(new)
        ]
        connection.cursor().executemany(queries.hold_facts, rows)
        gone = sorted(known.keys() - found.keys())
        connection.execute(queries.let_facts_go, {"dates": gone, "version": at})
    return at
