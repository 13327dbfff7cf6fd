"""Airflow's REST API as the generated administrator uses it."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tandem.local import airflow
from tandem.settings import Settings


def ask(own: Settings, path: str, body: object = None, method: str | None = None) -> Any:
    """One call: GET, or POST where there is a body, unless ``method`` says another."""

    def call(path: str, body: object, method: str | None, **headers: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
        address = f"{airflow.address(own)}{path}"
        request = urllib.request.Request(address, data, headers, method=method)  # noqa: S310 - our own address
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)

    login = {"username": airflow.USER, "password": own.secret("airflow_admin")}
    token = call("/auth/token", login, None)["access_token"]
    return call(path, body, method, Authorization=f"Bearer {token}")


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    for _ in range(240):
        try:
            if found := condition():
                return found
        except OSError:
            pass
        time.sleep(1)
    pytest.fail(f"never came: {what}")
