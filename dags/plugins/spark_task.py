"""Tasks that submit one of ``spark_jobs/``: how each is submitted stands here alone."""

from __future__ import annotations

from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from tandem_dags import ROOT

DATE = "{{ ti.xcom_pull(task_ids='claim') }}"
RUN_ID = "{{ ti.xcom_pull(task_ids='cut') }}"


class SparkTask(SparkSubmitOperator):
    """Submits ``spark_jobs/<job>.py``. ``arguments``: its own, or the one template that gives them as a list."""

    def __init__(self, *, task_id: str, job: str, arguments: list[str] | str, **kwargs: Any) -> None:
        super().__init__(
            task_id=task_id,
            application=str(ROOT / "spark_jobs" / f"{job}.py"),
            application_args=arguments,
            conn_id="spark_default",
            pool="spark",
            name=f"tandem-{task_id}",
            **kwargs,
        )


class SparkJob(SparkTask):
    """Submits the job of its own name for the run's date, unless nothing is left of it to compute: looking costs a
    second, starting Spark ten.
    """

    def __init__(self, *, task_id: str, options: tuple[str, ...] = (), **kwargs: Any) -> None:
        arguments = ["--date", DATE, "--run-id", RUN_ID, *options]
        super().__init__(task_id=task_id, job=task_id, arguments=arguments, **kwargs)

    def execute(self, context: Any) -> None:
        """Submit the job, or say why it need not run."""
        from spark_jobs import done
        from tandem.settings import settings

        if why := done.why(settings(), context["ti"].xcom_pull(task_ids="cut"), self.task_id):
            print(why)
        else:
            super().execute(context)


def from_task(task_id: str) -> str:
    """The arguments that another task returned."""
    return "{{ ti.xcom_pull(task_ids='" + task_id + "') }}"
