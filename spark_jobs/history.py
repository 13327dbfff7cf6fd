"""Restatement history: every version of a date that was ever published, what changed with it, how long it is kept."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from psycopg import sql
from psycopg.rows import dict_row

from spark_jobs.publish import TABLES
from tandem import claims, database, delta, facts_table
from tandem.errors import TandemError
from tandem.kpis import KPIS

if TYPE_CHECKING:
    from datetime import date, datetime

    import psycopg

    from tandem.settings import Settings

_KEPT = frozenset({"daily_metrics"})
"""Tables of a row per date: so small that what was once said is known for good."""


@dataclass(frozen=True, slots=True)
class Version:
    """What was said of a date in one view from ``published_at`` until ``superseded_at``, None for what is said now.

    ``why``: spark_jobs.runs.Kind. ``metrics``: every KPI, in the view daily_metrics only; ``changes``: those that the
    version before had otherwise, as (before, now). ``pruned_at``: since when only the daily figures are left.
    """

    view: str
    version: int
    published_at: datetime
    superseded_at: datetime | None
    published_by: str
    pruned_at: datetime | None
    run_id: str
    why: str
    reason: str
    requested_by: str
    run_began_at: datetime
    code_version: str
    rule_version: str
    archive_version: int | None
    facts_version: int | None
    cut: dict[str, int] | None
    metrics: dict[str, int | None]
    changes: dict[str, tuple[int | None, int | None]]


@dataclass(frozen=True, slots=True)
class Pruned:
    """Of how many versions, and runs that nobody published, rows were deleted; how many rows, files of facts, and files
    that killed runs left where Spark puts the rows of views.
    """

    versions: int
    unpublished_runs: int
    rows: int
    facts_files: int
    staged_files: int = 0


def of_date(settings: Settings, business_date: date) -> tuple[Version, ...]:
    """Every version of a date, by view, oldest first; read as the role that may only read."""
    with database.connect(settings, database.READER, row_factory=dict_row) as connection:
        rows = connection.execute(database.queries("batch").history, {"business_date": business_date}).fetchall()
    versions: list[Version] = []
    for row in rows:
        del row["business_date"]
        values = {kpi.name: row.pop(kpi.name) for kpi in KPIS}
        metrics = values if row["view"] == "daily_metrics" else {}
        last = versions[-1] if versions and versions[-1].view == row["view"] else None
        before = last.metrics if last else metrics
        changes = {name: (before.get(name), now) for name, now in metrics.items() if before.get(name) != now}
        versions.append(Version(**row, metrics=metrics, changes=changes))
    return tuple(versions)


def prune(settings: Settings, now: datetime) -> Pruned:
    """Delete the rows of versions that were superseded ``history_retention`` before ``now``, and of unpublished runs.

    Also the files of order_facts that were replaced as long ago, but for those that a date's current figures are made
    of, and what killed runs left on their way into Postgres, once it is older than ``archive_file_retention``. The
    versions, their runs and their daily figures stay. Safe to repeat, and beside readers, jobs and publications.
    """
    before = {"before": now - settings.history_retention}
    queries = database.queries("batch")
    with database.connect(settings, database.BATCH) as connection:
        runs_of: dict[str, list[str]] = defaultdict(list)
        found = connection.execute(queries.to_prune, before).fetchall()
        for view, _, _, run_id in found:
            runs_of[view].append(run_id)
        unpublished = [run_id for (run_id,) in connection.execute(queries.never_published, before)]
        rows = 0
        for view in TABLES:
            rows += _delete(connection, view, [*runs_of[view], *unpublished])
            connection.execute(queries.mark_pruned, {"view": view, "run_ids": runs_of[view]})
        still_read = [version for (version,) in connection.execute(queries.facts_read_by_old_versions)]
    facts_files = _delete_facts(settings, still_read)
    return Pruned(len(found), len(unpublished), rows, facts_files, _delete_left(settings, now))


def forget_facts(settings: Settings) -> None:
    """Forget all versions of an order_facts table that is gone: the dates that are made of it are due from then on.

    Raises TandemError where a run is at work, which would note versions of that table after they are forgotten.
    """
    with database.connect(settings, database.BATCH) as connection:
        claims.require_none(connection)
        connection.execute(database.queries("batch").forget_facts)


def _delete_facts(settings: Settings, still_read: list[int]) -> int:
    """The number of files that went. ``still_read``: versions of order_facts of which none goes."""
    from deltalake.exceptions import DeltaError

    table = delta.find(settings.order_facts)
    if table is None:
        return 0
    facts_table.require_same(settings, table)
    hours = ceil(settings.history_retention / timedelta(hours=1))
    try:
        gone = table.vacuum(
            hours, dry_run=False, enforce_retention_duration=False, full=True, keep_versions=still_read or None
        )
    except (DeltaError, OSError) as error:
        raise TandemError(f"{settings.order_facts} cannot be tended ({error})", "check the storage") from error
    return len(gone)


def _delete_left(settings: Settings, now: datetime) -> int:
    """The number of files that went. A job deletes its own within minutes, unless it was killed."""
    from deltalake.exceptions import TableNotFoundError
    from deltalake.fs import DeltaStorageHandler
    from pyarrow import fs

    try:
        folder = fs.PyFileSystem(DeltaStorageHandler(settings.staged_rows))
    except TableNotFoundError:  # what it says of any folder that is not there
        return 0
    before = now - settings.archive_file_retention
    held = folder.get_file_info(fs.FileSelector("", recursive=True, allow_not_found=True))
    left = [info.path for info in held if info.type == fs.FileType.File and info.mtime < before]
    for path in left:
        folder.delete_file(path)
    return len(left)


def _delete(connection: psycopg.Connection[Any], view: str, run_ids: list[str]) -> int:
    """The number of rows of these runs that were deleted. What is gone can no longer be published."""
    deleted = 0
    for table in TABLES[view]:
        connection.execute(database.queries("batch").forget_staged, {"run_ids": run_ids, "table": table})
        if table not in _KEPT:
            statement = sql.SQL("DELETE FROM batch.{} WHERE run_id = ANY(%s)").format(sql.Identifier(table))
            deleted += connection.execute(statement, (run_ids,)).rowcount
    return deleted
