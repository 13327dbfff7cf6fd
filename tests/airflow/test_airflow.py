"""The real Airflow on the local Postgres: it runs a task with our settings, shows its log, and comes up again."""

from __future__ import annotations

import json
import signal

import pytest
from airflow_api import RealAirflow, ask, wait_for
from installations import processes_of, tandem

from tandem.settings import Settings

pytestmark = [pytest.mark.airflow, pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(2400)]

DAG = """
import datetime

from airflow.sdk import dag, task


@dag(schedule=None, start_date=datetime.datetime(2017, 1, 1), is_paused_upon_creation=False)
def probe():
    @task(pool="spark")
    def tell():
        import os
        import shutil

        from airflow.sdk import BaseHook
        from tandem.settings import settings

        spark, smtp = BaseHook.get_connection("spark_default"), BaseHook.get_connection("smtp_default")
        print("state folder", settings().state_dir)
        print("connections", spark.host, smtp.host, smtp.port)
        print("spark-submit", shutil.which("spark-submit"), "on", os.environ["JAVA_HOME"])

    tell()


probe()
"""


@pytest.fixture(scope="module")
def running(quiet_airflow: RealAirflow) -> Settings:
    (quiet_airflow.dags / "probe.py").write_text(DAG, encoding="utf-8")
    return quiet_airflow.settings


def run_of(own: Settings, run_id: str) -> str:
    wait_for(lambda: ask(own, "/api/v2/dags/probe"), "the DAG")
    ask(own, "/api/v2/dags/probe/dagRuns", {"dag_run_id": run_id, "logical_date": None})
    path = f"/api/v2/dags/probe/dagRuns/{run_id}"
    wait_for(lambda: ask(own, path)["state"] in {"success", "failed"}, "the end of the run")
    log = json.dumps(ask(own, f"{path}/taskInstances/tell/logs/1"))
    assert ask(own, path)["state"] == "success", log
    return log


def test_a_task_gets_our_settings_and_connections_and_its_log_is_shown(running: Settings):
    log = run_of(running, "first")
    assert f"state folder {running.state_dir}" in log
    assert f"connections {running.spark_master} {running.smtp_host} {running.smtp_port}" in log
    assert "/spark-submit on /" in log


def test_spark_applications_run_one_at_a_time(running: Settings):
    assert ask(running, "/api/v2/pools/spark")["slots"] == 1


def test_all_of_airflow_listens_on_the_loopback_only(running: Settings):
    listening = {
        connection.laddr.ip.removeprefix("::ffff:")  # a JVM writes IPv4 so
        for process in processes_of(running)
        for connection in process.net_connections("inet")
        if connection.status == "LISTEN"
    }
    assert listening == {"127.0.0.1"}


def test_passwords_and_keys_are_files_for_their_owner_only(running: Settings):
    files = list((running.state_dir / "secrets").glob("airflow*"))
    assert {"airflow_passwords.json", "airflow_jwt", "airflow_fernet"} <= {file.name for file in files}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_the_pass_through_command_speaks_to_this_airflow(running: Settings):
    done = tandem(running, "airflow", "pools", "get", "spark", "--output", "json")
    assert json.loads(done.stdout[done.stdout.index("[") :])[0]["pool"] == "spark"


def test_airflow_comes_up_again_after_kill_9_of_everything_and_remembers(running: Settings, quiet_airflow: RealAirflow):
    run_of(running, "before")
    for victim in processes_of(running):
        victim.send_signal(signal.SIGKILL)
    quiet_airflow.up()
    assert ask(running, "/api/v2/dags/probe/dagRuns/before")["state"] == "success"
    run_of(running, "after")
