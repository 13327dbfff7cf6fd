"""A task that submits one of ``spark_jobs/`` for the run's date, unless nothing is left of it to compute."""

from __future__ import annotations

from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from tandem_dags import ROOT

DATE = "{{ ti.xcom_pull(task_ids='claim') }}"
RUN_ID = "{{ ti.xcom_pull(task_ids='cut') }}"


class SparkJob(SparkSubmitOperator):
    """Submits ``spark_jobs/<task_id>.py``, unless that is done: looking costs a second, starting Spark ten."""

    def __init__(self, *, task_id: str, options: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(
            task_id=task_id,
            application=str(ROOT / "spark_jobs" / f"{task_id}.py"),
            application_args=["--date", DATE, "--run-id", RUN_ID, *options],
            conn_id="spark_default",
            pool="spark",
            name=f"tandem-{task_id}",
            **kwargs,
        )

    def execute(self, context: Any) -> None:
        """Submit the job, or say why it need not run."""
        from spark_jobs import done
        from tandem.settings import settings

        if why := done.why(settings(), context["ti"].xcom_pull(task_ids="cut"), self.task_id):
            print(why)
        else:
            super().execute(context)
