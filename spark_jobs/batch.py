"""All jobs of a date or a range in one Spark application, which starts once: order facts, then the three views.

Usage: spark-submit spark_jobs/batch.py --from 2017-12-21 --to 2017-12-23
"""

from __future__ import annotations

from spark_jobs import daily_metrics, job, order_facts, product_rankings, rfm
from spark_jobs.publish import VIEWS

_STAGES = {
    "daily_metrics": daily_metrics.compute,
    "rfm": rfm.compute,
    "product_rankings": product_rankings.compute,
}


def compute(asked: job.Job) -> None:
    """Write the facts of the dates and stage every view that was asked for."""
    order_facts.compute(asked)
    for view, stage in _STAGES.items():
        if view in (asked.views or VIEWS):
            stage(asked)


if __name__ == "__main__":
    job.main("batch", compute, views=VIEWS, writes_facts=True)
