"""The views of a run, staged by the application that wrote its facts, so that a night starts Spark once.

Each view stays a task and a submit target of its own: it finds what was staged ahead (``spark_jobs.done``), or
computes it where that failed, ended on the way, or was found before, as when somebody clears the task.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from spark_jobs import daily_metrics, product_rankings, rfm
from tandem import database
from tandem.errors import first_line

if TYPE_CHECKING:
    from spark_jobs.job import Job
    from tandem.settings import Settings

STAGES = {
    "daily_metrics": daily_metrics.compute,
    "rfm": rfm.compute,
    "product_rankings": product_rankings.compute,
}
"""How each view is staged."""


def stage(asked: Job) -> None:
    """Stage every view of the job's runs. One that fails is left to its own task; where one ended Spark before, it is
    left to its own task and so are those after it, so that no retry ends in another.
    """
    run_ids = [run.run_id for run in asked.runs]
    for view, compute in STAGES.items():
        if not _begin(asked.settings, run_ids, view):
            asked.say(f"Spark was ended before at {view}: it and what comes after it is left to their own tasks")
            return
        try:
            compute(replace(asked, together=True))
        except Exception as problem:  # noqa: BLE001 - whatever it is, the view's own task meets it and says so
            asked.say(f"{view} is left to its own task: {first_line(problem)}")
        else:
            with database.connect(asked.settings, database.BATCH) as connection:
                connection.execute(database.queries("batch").finish_ahead, {"run_ids": run_ids, "view": view})


def _begin(settings: Settings, run_ids: list[str], view: str) -> bool:
    with database.connect(settings, database.BATCH) as connection:
        begun = connection.execute(database.queries("batch").begin_ahead, {"run_ids": run_ids, "view": view})
        return begun.rowcount == len(run_ids)
