"""Which dates are to be done, and done again (capability B6), and what of other dates follows from them.

A date is due where its night went by without a publication, or the archive now has more records of it than lay below
the cut of what is published. Both are told from the archive's file list and one row per date, and no event is read.
It is due too where an order that it counts came late for a date before it (spark_jobs.repeats), where a run that was
not published, such as a trial, has written its facts anew, and where these were in a table that is gone.
Segments are stale where of an earlier date other facts count by now than they were made of (spark_jobs.sources), and
rankings, which say how products moved from the day before, where of that: the views serving.rfm_dates and
serving.product_rankings_dates say so.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from spark_jobs import archive, gate, repeats, runs
from spark_jobs.publish import OvertakenError, publish, staged
from spark_jobs.runs import Kind, Run, Why
from tandem import clock, database, facts_table
from tandem.errors import TandemError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from tandem.settings import Settings


def due(settings: Settings, last: date) -> dict[date, Why]:
    """The dates up to ``last`` that are to be published, and why, by date; none before anything was archived."""
    with database.connect(settings, database.READER) as connection:
        published = dict(connection.execute(database.queries("batch").published_dates).fetchall())
        rewritten = dict(connection.execute(database.queries("batch").rewritten_dates).fetchall())
        lost = [day for (day,) in connection.execute(database.queries("batch").without_facts)]
        ((installed_at,),) = connection.execute(database.queries("orchestration").installed_at).fetchall()
    try:
        held = archive.look(settings)
    except archive.NoArchiveError:
        return {}
    since = clock.business_date(installed_at, settings.zone)
    facts_table.require_same(settings)
    # What is published of a date whose records are not all there, stays; what is not, cannot be computed.
    first = held.computable_from
    kept = {day: counted for day, counted in published.items() if first is None or day >= first}
    found = which(kept, held.counts, since=max(since, first or since), last=last)
    repeated = {day: why for day, why in repeats.due(settings, last).items() if day in kept}
    other_facts = dict.fromkeys(lost, "its order facts were in a table that is gone")
    for day, run_id in rewritten.items():
        other_facts[day] = f"run {run_id} wrote its facts anew and was not published"
    anew = {day: Why(Kind.RECOMPUTE, why) for day, why in other_facts.items() if day in kept and day <= last}
    return dict(sorted({**anew, **repeated, **found}.items()))


def which(
    published: Mapping[date, int | None], held: Mapping[date, int], *, since: date, last: date
) -> dict[date, Why]:
    """``published``: how many records of each published date lay below its cut, None where it was not counted;
    ``held``: how many the archive has now; ``since``: from when on no night may be missing.

    Dates from before ``since`` are only missing between published ones: a history is taken in by a backfill, and one
    event with an old date does not begin a new one.
    """
    first = min(published, default=since)
    missing = {day for day in held if day >= first} | set(clock.days(since, last) if since <= last else ())
    found = {day: Why(Kind.MISSED, "it was never published") for day in missing if day <= last and day not in published}
    for day, counted in published.items():
        more = held.get(day, 0) - counted if counted is not None else 0
        if more > 0 and day <= last:
            found[day] = Why(Kind.LATE_DATA, f"{more} record{'s' * (more != 1)} came after its cut")
    return dict(sorted(found.items()))


def stale(settings: Settings, *, after: Collection[date] = ()) -> dict[date, tuple[str, ...]]:
    """The published views that are stale, by date; and those that will be once the dates ``after`` are restated."""
    with database.connect(settings, database.READER) as connection:
        rows = connection.execute(database.queries("batch").following).fetchall()
    found: dict[date, tuple[str, ...]] = {}
    for day, view, is_stale in rows:
        follows = day > min(after, default=day) if view == "rfm" else day - timedelta(days=1) in after
        if is_stale or follows:
            found[day] = (*found.get(day, ()), view)
    return found


def touched(settings: Settings, dates: Collection[date]) -> list[date]:
    """All dates that a restatement of ``dates`` publishes something for."""
    return sorted({*dates, *stale(settings, after=dates)})


def open_dependents(
    settings: Settings, dates: Mapping[date, Sequence[str]], *, requested_by: str | None
) -> tuple[Run, ...]:
    """A run for each date's stale views, on the facts that are published of it. ``dates``: as ``stale`` says."""
    opened = []
    for day, views in sorted(dates.items()):
        # One view alone may be published, by hand.
        source = runs.published(settings, "daily_metrics", day) or runs.published(settings, min(views), day)
        if source is None:
            raise AssertionError(f"{min(views)} of {day} is stale, so it is published")
        why = f"a date up to {day} was published, refused or built anew since"
        run_id = runs.new_run_id(day, datetime.now(UTC))
        run = runs.open_run(settings, run_id, day, kind=Kind.DEPENDENT, reason=why, requested_by=requested_by)
        runs.adopt_facts(settings, run, source)
        opened.append(run)
    return tuple(opened)


def publish_dependents(
    settings: Settings, opened: Mapping[date, str], *, published_by: str
) -> dict[date, dict[str, int]]:
    """Publish what these runs staged, by date; returns the versions by view. Nothing else of the dates changes.

    Their facts were checked by the gate of the published run that they have them from. Those that a later run has made
    anew stay as they are. Raises TandemError where one cannot be published, once the others are.
    """
    published: dict[date, dict[str, int]] = {}
    problems = []
    for day, run_id in opened.items():
        try:
            gate.ensure(settings, run_id, day)
            for view in staged(settings, run_id):
                try:
                    versions = publish(settings, run_id, day, published_by=published_by, views=[view])
                    published.setdefault(day, {}).update(versions)
                except OvertakenError as later:
                    print(later, flush=True)  # a later run has made it anew
        except TandemError as problem:
            problems.append(f"{day}: {problem}")
    if problems:
        raise TandemError(f"{len(problems)} of {len(opened)} dates keep their segments or rankings", problems[0])
    return published
