"""All jobs of a date or a range in one Spark application, which starts once: order facts, then the three views.

Usage: spark-submit spark_jobs/batch.py --from 2017-12-21 --to 2017-12-23
"""

from __future__ import annotations

from dataclasses import replace

from spark_jobs import job, order_facts
from spark_jobs.ahead import STAGES
from spark_jobs.publish import VIEWS


def compute(asked: job.Job) -> None:
    """Write the facts of the dates and stage every view that was asked for."""
    order_facts.compute(asked)
    views = asked.views or VIEWS
    together = replace(asked, together="daily_metrics" in views)
    for view in VIEWS:
        if view in views:
            STAGES[view](together)


if __name__ == "__main__":
    job.main("batch", compute, views=VIEWS, writes_facts=True)
