"""Whether a job has anything left to compute of a run: not what is published, nor what was staged ahead for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_jobs import runs
from spark_jobs.publish import TABLES, VIEWS
from tandem import database

if TYPE_CHECKING:
    from tandem.settings import Settings


def why(settings: Settings, run_id: str, job: str) -> str:
    """Why nothing is left for ``job`` to compute of a run, or ''. What was staged ahead is taken, so that the next call
    does not find it: whoever clears a task wants it done again.

    What is published stays as it is: readers would see it go while it is made anew, and change with no new version.
    """
    concerned = (job,) if job in VIEWS else VIEWS
    published = {view: version for view, version in runs.publications(settings, run_id).items() if view in concerned}
    if published:
        shown = ", ".join(f"{view} version {version}" for view, version in published.items())
        return f"run {run_id} is published ({shown}) and stays as it is; a new run computes the date anew"
    if job in VIEWS and _take_staged_ahead(settings, run_id, job):
        return f"staged by the application that wrote the facts of run {run_id}"
    return ""


def _take_staged_ahead(settings: Settings, run_id: str, view: str) -> bool:
    queries = database.queries("batch")
    values = {"run_id": run_id, "view": view, "tables": list(TABLES[view])}
    with database.connect(settings, database.BATCH) as connection:
        row = connection.execute(queries.take_ahead, values).fetchone()
        # Long after, the rows may have been pruned.
        return row is not None and row[0] and not connection.execute(queries.not_staged, values).fetchall()
