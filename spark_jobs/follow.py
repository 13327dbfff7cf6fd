"""What follows from dates that were restated before: segments of later dates, and rankings of the next.

Usage: spark-submit spark_jobs/follow.py --date 2017-12-24 --run-id ID --date 2017-12-25 --run-id ID

Of each date only the views that are stale are staged, of the facts that its run was opened with (spark_jobs.restate).
"""

from __future__ import annotations

from dataclasses import replace

from spark_jobs import job, restate
from spark_jobs.ahead import STAGES
from spark_jobs.publish import VIEWS


def compute(asked: job.Job) -> None:
    """Stage the stale views of the dates of the job."""
    stale = restate.stale(asked.settings)
    for view in VIEWS:
        if runs := tuple(run for run in asked.runs if view in stale.get(run.business_date, ())):
            STAGES[view](replace(asked, runs=runs))


if __name__ == "__main__":
    job.main("follow", compute)
