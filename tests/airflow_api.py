"""Airflow's REST API as the generated administrator uses it."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from installations import tandem

from tandem.local import airflow
from tandem.settings import Settings


@dataclass(frozen=True)
class RealAirflow:
    """An Airflow, and the folder in which it looks for DAGs; each file puts in the one that it is about."""

    settings: Settings
    dags: Path

    def up(self) -> None:
        """Start it. Its variables are for this command alone: other tests of the process start Airflow, too."""
        variables = {"CORE__DAGS_FOLDER": str(self.dags), "DAG_PROCESSOR__REFRESH_INTERVAL": "3"}
        named = {f"TANDEM_AIRFLOW__{name}": value for name, value in variables.items()}
        done = tandem(self.settings, "up", "airflow", **named)
        assert done.returncode == 0, done.stderr


def ask(own: Settings, path: str, body: object = None, method: str | None = None) -> Any:
    """One call: GET, or POST where there is a body, unless ``method`` says another."""
    token = _token(airflow.address(own), own.secret("airflow_admin"))
    return _call(f"{airflow.address(own)}{path}", body, method, Authorization=f"Bearer {token}")


@cache
def _token(address: str, password: str) -> str:
    """Asked for once: it costs the server as much as an answer, and most answers are to whoever waits."""
    return str(_call(f"{address}/auth/token", {"username": airflow.USER, "password": password}, None)["access_token"])


def _call(address: str, body: object, method: str | None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers["Content-Type"] = "application/json"
    request = urllib.request.Request(address, data, headers, method=method)  # noqa: S310 - our own address
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return json.load(answer)


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    for _ in range(800):
        try:
            if found := condition():
                return found
        except OSError:
            pass
        time.sleep(1)
    pytest.fail(f"never came: {what}")
