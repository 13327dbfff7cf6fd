"""The local Airflow, spoken to as a user's script would: over its REST API."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode

from tandem.errors import TandemError
from tandem.local import airflow
from tandem.settings import Settings

_ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}
_POLL_S = 3.0
"""Each look at a backfill is a tenth of a second of the API server's work, beside what it does for the tasks."""


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """A task of a run that has ended. ``seconds`` is how long its last try took."""

    run_id: str
    business_date: date
    task: str
    state: str
    seconds: float
    attempt: int


class Scheduler:
    """One Airflow. Every method raises TandemError where it does not answer, or says no."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def wait_for_dag(self, dag: str, timeout_s: float = 120) -> None:
        """Return once the DAG has been read. Raises TandemError with the import error where it cannot be."""
        deadline = time.monotonic() + timeout_s
        while not self._request("GET", "/dags", {"dag_id_pattern": dag, "exclude_stale": "true"})["dags"]:
            for error in self._request("GET", "/importErrors")["import_errors"]:
                raise TandemError(f"{error['filename']} does not load", error["stack_trace"].strip().splitlines()[-1])
            if time.monotonic() > deadline:
                raise TandemError(f"Airflow has not read the DAG {dag} after {timeout_s:.0f} s", "see 'tandem status'")
            time.sleep(_POLL_S)

    def backfill(self, dag: str, first: date, last: date, *, again: bool = False, together: int = 1) -> int:
        """Start a backfill of the dates, both included, ``together`` runs at a time; ``again`` redoes what is done."""
        body = {
            "dag_id": dag,
            "from_date": f"{first}T00:00:00Z",
            "to_date": f"{last}T00:00:00Z",
            "max_active_runs": together,
            "reprocess_behavior": "completed" if again else "none",
        }
        return int(self._request("POST", "/backfills", body=body)["id"])

    def trigger(self, dag: str, **params: Any) -> str:
        """Start a run by hand; returns its id."""
        body = {"logical_date": None, "conf": params}
        return str(self._request("POST", f"/dags/{dag}/dagRuns", body=body)["dag_run_id"])

    def run_state(self, dag: str, run_id: str) -> str:
        """The state of a run."""
        return str(self._request("GET", f"/dags/{dag}/dagRuns/{quote(run_id, safe='')}")["state"])

    def wait_for_run(self, dag: str, run_id: str, timeout_s: float) -> str:
        """Return the state of a run when it has ended."""
        deadline = time.monotonic() + timeout_s
        while (state := self.run_state(dag, run_id)) not in _ENDED:
            if time.monotonic() > deadline:
                raise TandemError(
                    f"run {run_id} of {dag} has not ended after {timeout_s / 60:.0f} minutes", "see Airflow"
                )
            time.sleep(_POLL_S)
        return state

    def runs(self, dag: str, kind: str) -> dict[date, dict[str, Any]]:
        """The runs of one type by the date of their logical date."""
        found = self._request("GET", f"/dags/{dag}/dagRuns", {"run_type": kind, "limit": 100})["dag_runs"]
        return {
            datetime.fromisoformat(run["logical_date"]).astimezone(self._settings.zone).date(): run for run in found
        }

    def follow(self, dag: str, backfill: int, told: Callable[[TaskEnd], None], timeout_s: float) -> None:
        """Tell of each task of a backfill as it ends, until all its runs have ended."""
        deadline = time.monotonic() + timeout_s
        seen: set[tuple[str, str, int]] = set()
        while True:
            over = self._request("GET", f"/backfills/{backfill}")["completed_at"] is not None
            for end in self._ends(dag):
                if (key := (end.run_id, end.task, end.attempt)) not in seen:
                    seen.add(key)
                    told(end)
            if over:
                return
            if time.monotonic() > deadline:
                raise TandemError(
                    f"the backfill has not ended after {timeout_s / 60:.0f} minutes", "see its runs in Airflow"
                )
            time.sleep(_POLL_S)

    def _ends(self, dag: str) -> Iterator[TaskEnd]:
        dates = {run["dag_run_id"]: day for day, run in self.runs(dag, "backfill").items()}
        found = self._request("GET", f"/dags/{dag}/dagRuns/~/taskInstances", {"limit": 500, "order_by": "end_date"})
        for one in found["task_instances"]:
            if one["state"] in _ENDED and one["dag_run_id"] in dates:
                day, seconds = dates[one["dag_run_id"]], one["duration"] or 0.0
                yield TaskEnd(one["dag_run_id"], day, one["task_id"], one["state"], seconds, one["try_number"])

    @cached_property
    def _token(self) -> str:
        login = {"username": airflow.USER, "password": self._settings.secret("airflow_admin")}
        return str(self._send("POST", "/auth/token", login, {})["access_token"])

    def _request(
        self, method: str, path: str, query: dict[str, Any] | None = None, body: dict[str, Any] | None = None
    ) -> Any:
        target = f"/api/v2{path}{'?' + urlencode(query) if query else ''}"
        return self._send(method, target, body, {"Authorization": f"Bearer {self._token}"})

    def _send(self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the address is our own http server's
            airflow.address(self._settings) + path,
            data=data,
            headers={"Content-Type": "application/json", **headers},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - see above
                return json.load(answer)
        except HTTPError as error:
            said = error.read().decode("utf-8", "replace")[:300]
            raise TandemError(
                f"Airflow refused {method} {path} ({error.code}: {said})", "see 'tandem status'"
            ) from error
        except URLError as error:
            raise TandemError(f"Airflow does not answer ({error.reason})", "see 'tandem status'") from error


def log_of(settings: Settings, dag: str, end: TaskEnd) -> str:
    """Where the log of a task's last try is."""
    folder = settings.state_dir / "airflow" / "logs" / f"dag_id={dag}" / f"run_id={end.run_id}" / f"task_id={end.task}"
    return str(folder / f"attempt={end.attempt}.log")
