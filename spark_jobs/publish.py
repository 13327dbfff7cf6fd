"""Publication: readers see a run's views from one moment to the next, all of them, and what was before stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spark_jobs.runs import Kind
from tandem import database, kpis
from tandem.errors import TandemError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    import psycopg

    from tandem.settings import Settings

TABLES: dict[str, tuple[str, ...]] = {
    "daily_metrics": ("daily_metrics", *(cube.hour_table for cube in kpis.CUBES), "hourly_distincts"),
    "rfm": ("rfm",),
    "product_rankings": ("product_rankings",),
}
"""The tables of each view."""
VIEWS = tuple(TABLES)


class Refused(TandemError):  # noqa: N818 - what happened to the run, as people say it
    """A run that readers must not see: as it is, it stays so however often it is tried."""


class OvertakenError(Refused):
    """A run that began later is published, which read all that this one did."""


def publish(
    settings: Settings, run_id: str, business_date: date, *, published_by: str, views: Iterable[str] = VIEWS
) -> dict[str, int]:
    """Make the run the current version of ``views`` for its date; returns the version numbers. Safe to repeat.

    Raises Refused where no gate has checked the very facts that the run has, or one has refused them, a view's rows are
    not complete or are made of other facts, or the published version is of a run that read more of the log, and
    OvertakenError where it is of one that began later: clearing an old run's publication must not bring back what was
    known then. Raises TandemError where Postgres cannot be reached.
    """
    queries = database.queries("batch")
    where = {"run_id": run_id, "business_date": business_date}
    wanted = tuple(views)
    with database.connect(settings, database.BATCH) as connection:
        connection.execute(queries.lock_date, where)
        _require_run(connection, where)
        _require_gates(connection, where)
        for view in wanted:
            _require_rows(connection, run_id, view)
        return {view: _flip(connection, {**where, "view": view, "published_by": published_by}) for view in wanted}


def staged(settings: Settings, run_id: str) -> tuple[str, ...]:
    """The views of which a run has all rows. Raises TandemError where there is none."""
    with database.connect(settings, database.BATCH) as connection:
        values = {"run_id": run_id, "tables": [table for tables in TABLES.values() for table in tables]}
        lacking = {table for (table,) in connection.execute(database.queries("batch").not_staged, values)}
    if found := tuple(view for view, tables in TABLES.items() if not lacking.intersection(tables)):
        return found
    raise TandemError(f"run {run_id} has no complete rows of any view", "run its job first")


def standing(settings: Settings, dates: Iterable[date]) -> dict[date, dict[str, dict[str, str]]]:
    """What the published segments and rankings of some dates rest on: ``status`` and ``reason`` by date and view."""
    found: dict[date, dict[str, dict[str, str]]] = {}
    with database.connect(settings, database.READER) as connection:
        rows = connection.execute(database.queries("batch").standing, {"dates": list(dates)}).fetchall()
    for day, view, status, reason in rows:
        found.setdefault(day, {})[view] = {"status": status, "reason": reason}
    return found


def _require_run(connection: psycopg.Connection[Any], where: dict[str, Any]) -> None:
    row = connection.execute(database.queries("batch").run, where).fetchone()
    if row is None or row[1] != where["business_date"]:
        raise Refused(
            f"there is no run {where['run_id']} of {where['business_date']}",
            f"see the runs that were published: tandem history --date {where['business_date']}",
        )


def _require_gates(connection: psycopg.Connection[Any], where: dict[str, Any]) -> None:
    row = connection.execute(database.queries("batch").checked, where).fetchone()
    if row is None:
        raise Refused(
            f"nothing is published for {where['business_date']}: no gate has checked the order facts that run"
            f" {where['run_id']} is made of",
            f"check them, then publish: python -m spark_jobs.gate --run-id {where['run_id']}"
            f" --date {where['business_date']}; in Airflow clear the task gate",
        )
    if row[0]:
        raise Refused(
            f"nothing is published for {where['business_date']}: the gates failed ({', '.join(row[0])})",
            "look at the failing rows in batch.gate_results, correct the source, and run the date again",
        )


def _require_rows(connection: psycopg.Connection[Any], run_id: str, view: str) -> None:
    values = {"run_id": run_id, "tables": list(TABLES[view])}
    if missing := [table for (table,) in connection.execute(database.queries("batch").not_staged, values)]:
        raise Refused(f"run {run_id} has no complete rows in {', '.join(missing)}", f"run the {view} job first")


def _flip(connection: psycopg.Connection[Any], values: dict[str, Any]) -> int:
    queries = database.queries("batch")
    current = connection.execute(queries.current_version, values).fetchone()
    if current is not None and current[1] == values["run_id"]:
        return int(current[0])
    if current is not None:
        if shown := _followed(connection, values, current[1]):
            return shown
        _require_newer(connection, values, *current)
    connection.execute(queries.supersede, values)
    row = connection.execute(queries.insert_version, values).fetchone()
    if row is None:
        raise AssertionError("an INSERT … RETURNING returns a row")
    return int(row[0])


def _followed(connection: psycopg.Connection[Any], values: dict[str, Any], current: str) -> int | None:
    """The version that the run had published of the view before one that only follows another date took its place."""
    queries = database.queries("batch")
    other = connection.execute(queries.run, {"run_id": current}).fetchone()
    if other is None or other[2] != Kind.DEPENDENT:
        return None
    row = connection.execute(queries.version_of_run, values).fetchone()
    return None if row is None else int(row[0])


def is_overtaken(settings: Settings, run_id: str, business_date: date) -> bool:
    """Whether the figures of the date are of a run that began later and read all that this one did."""
    values = {"run_id": run_id, "business_date": business_date, "view": "daily_metrics"}
    queries = database.queries("batch")
    with database.connect(settings, database.READER) as connection:
        current = connection.execute(queries.current_version, values).fetchone()
        if current is None:
            return False
        both = {**values, "other": current[1]}
        return bool(connection.execute(queries.began_before, both).fetchone()) and _is_done_by(connection, both)


def _is_done_by(connection: psycopg.Connection[Any], both: dict[str, Any]) -> bool:
    """Whether a run that began later has done what this one is for. One that follows another date has old facts."""
    queries = database.queries("batch")
    own, other = (connection.execute(queries.run, {"run_id": both[name]}).fetchone() for name in ("run_id", "other"))
    if own is None or other is None or (other[2] == Kind.DEPENDENT and own[2] != Kind.DEPENDENT):
        return False
    reversed_ = {**both, "run_id": both["other"], "other": both["run_id"]}
    return connection.execute(queries.reads_less, reversed_).fetchone() is None


def _require_newer(connection: psycopg.Connection[Any], values: dict[str, Any], version: int, run_id: str) -> None:
    queries, other = database.queries("batch"), {**values, "other": run_id}
    stays = f"version {version} of {values['view']} of {values['business_date']}, by run {run_id}, which stays"
    if connection.execute(queries.began_before, other).fetchone():
        raise (OvertakenError if _is_done_by(connection, other) else Refused)(
            f"run {values['run_id']} is older than {stays}",
            "compute the date again: a new run sees all that has come since",
        )
    # A run that began later may still have read less: facts of an older run, or a log that was set back.
    if less := connection.execute(queries.reads_less, other).fetchone():
        partition, own, theirs = less
        raise Refused(
            f"run {values['run_id']} read partition {partition} up to offset {own}, and not to {theirs} as {stays}",
            f"compute the date again: tandem batch --date {values['business_date']}; where that says the same, Kafka or"
            " the archive was set back: see 'What was set back' in docs/archive.md",
        )
