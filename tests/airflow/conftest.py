"""Airflow's own code for the tests, set up before it is first imported, and one real Airflow for all files here."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from airflow_api import RealAirflow
from installations import empty_database, installations, tandem

from tandem.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

# Airflow reads its configuration when it is first imported, and that is once a process.
_HOME = tempfile.TemporaryDirectory(prefix="tandem-airflow-", ignore_cleanup_errors=True)
os.environ |= {
    "AIRFLOW_HOME": _HOME.name,
    "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT_ROOT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT_ROOT / "dags" / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{Path(_HOME.name) / 'airflow.db'}",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}


@pytest.fixture(scope="session")
def dagbag() -> DagBag:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(PROJECT_ROOT / "dags"))


@pytest.fixture(scope="session")
def real_airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAirflow]:
    """Started once: that takes longer than most of what is asked of it."""
    dags = tmp_path_factory.mktemp("dags")
    for own in installations():
        started = RealAirflow(own, dags)
        started.up()
        yield started


@pytest.fixture(scope="module")
def quiet_airflow(real_airflow: RealAirflow, request: pytest.FixtureRequest) -> Iterator[RealAirflow]:
    """With no orders, no worker that would take what is written, and no DAG of another file.

    Stopped with the last file that asks for it: the process goes on with others for long.
    """
    done = tandem(real_airflow.settings, "down", "speed", "archiver")
    assert done.returncode == 0, done.stderr
    empty_database(real_airflow.settings)
    yield real_airflow
    for file in real_airflow.dags.glob("*.py"):
        file.unlink()
    asking = [item.path for item in request.session.items if "quiet_airflow" in getattr(item, "fixturenames", ())]
    if request.path == asking[-1]:
        assert tandem(real_airflow.settings, "down", "--all").returncode == 0
