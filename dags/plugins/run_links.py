"""Links from a task's page in Airflow to what it made."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperatorLink


class GatesLink(BaseOperatorLink):
    """To the page that shows what the checks of the run found; of several dates, of the first."""

    name = "Gate results"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address. Airflow asks in the task's own process, when it has ended, and gives it its own instance."""
        from date_tasks import runs_of

        from tandem import gates
        from tandem.settings import settings

        several = ti_key.xcom_pull(task_ids="prepare")
        run_id = next(iter(runs_of(several).values())) if several else ti_key.xcom_pull(task_ids="cut")
        return gates.address(settings(), run_id)


def with_gates_link(task: Any) -> Any:
    """The task, with the button on its page."""
    task.operator.operator_extra_links = (GatesLink(),)
    return task
