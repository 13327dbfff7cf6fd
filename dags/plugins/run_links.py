"""Links from a task's page in Airflow to what it made. Airflow asks in the task's own process, when it has ended."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperatorLink


class GatesLink(BaseOperatorLink):
    """To the page that shows what the checks of the run found; of several dates, of the first."""

    name = "Gate results"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address. Airflow gives the task's own instance."""
        from tandem import pages
        from tandem.settings import settings

        run_id = next(iter(_runs(ti_key).values()))
        return pages.address(settings(), pages.Kind.GATES, run_id)


class ReportLink(BaseOperatorLink):
    """To the report's page; of several dates, of the last that was done."""

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address. Airflow gives the task's own instance."""
        from tandem import pages
        from tandem.settings import settings

        day = next(reversed(_runs(ti_key)))
        return pages.address(settings(), pages.Kind.REPORT, day)


def _runs(ti: Any) -> dict[str, str]:
    """Run ids by date of the DAG run, of one date or of several."""
    from date_tasks import runs_of

    several = ti.xcom_pull(task_ids="prepare")
    return runs_of(several) if several else {ti.xcom_pull(task_ids="claim"): ti.xcom_pull(task_ids="cut")}


def linked(task: Any, link: type[BaseOperatorLink]) -> Any:
    """The task, with the button on its page."""
    task.operator.operator_extra_links = (link(),)
    return task
