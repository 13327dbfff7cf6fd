"""The review in the real Airflow: it asks about each record, and what is answered over its API is done."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime
from typing import Any

import pytest
from airflow_api import RealAirflow, ask, wait_for
from psycopg.rows import dict_row

from tandem import database
from tandem.settings import PROJECT_ROOT, Settings

pytestmark = [pytest.mark.airflow, pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(2400)]

RUN = "/api/v2/dags/quarantine/dagRuns/review"
EVENT = {
    "event_id": "e1",
    "event_type": "order_created",
    "event_time": "2017-12-23T12:00:00Z",
    "order_id": "{{ 6 * 7 }}",
    "total_amount": "5.00",
    "items": [{"product_id": "milk", "quantity": 1, "amount": "5.00"}],
}


@pytest.fixture
def running(quiet_airflow: RealAirflow) -> Settings:
    shutil.copy(PROJECT_ROOT / "dags" / "quarantine.py", quiet_airflow.dags)
    for offset in range(4):
        quarantine(quiet_airflow.settings, offset)
    return quiet_airflow.settings


def quarantine(own: Settings, offset: int) -> None:
    """A record without a customer, as the speed layer keeps it."""
    row = ("order-events", 3, offset, datetime.now(UTC), json.dumps(EVENT).encode(), ["MISSING_CUSTOMER_ID"])
    with database.connect(own, database.SPEED) as speed:
        speed.execute(
            'INSERT INTO speed.quarantine (topic, partition, "offset", kafka_time, value, reasons, business_date)'
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (*row, date(2017, 12, 23)),
        )


def asked(own: Settings) -> dict[int, dict[str, Any]]:
    """What the page asks, by map index."""
    found = ask(own, f"{RUN}/hitlDetails")["hitl_details"]
    return {one["task_instance"]["map_index"]: one for one in found if not one["response_received"]}


def answer(own: Settings, choices: dict[int, tuple[str, str]]) -> None:
    """Answer whatever is asked, as people do: a question that comes back is answered again.

    One does come back where the answer is quicker than the scheduler hears that the asking process ended: it then takes
    the task that already goes on for one that was killed, and retries it.
    """
    paused = {index for index, state in states(own, "record.decide").items() if state == "awaiting_input"}
    for index in paused & asked(own).keys() & choices.keys():
        choice, data = choices[index]
        body = {"chosen_options": [choice], "params_input": {"data": data, "whole": False, "note": ""}}
        ask(own, f"{RUN}/taskInstances/record.decide/{index}/hitlDetails", body, "PATCH")


def done(own: Settings, choices: dict[int, tuple[str, str]]) -> bool:
    """Whether each record's task has ended; answers what is asked on the way."""
    answer(own, choices)
    ended = states(own, "record.apply")
    return all(ended.get(index) in ("success", "failed") for index in choices)


def states(own: Settings, task: str) -> dict[int, str]:
    found = ask(own, f"{RUN}/taskInstances?limit=100")["task_instances"]
    return {one["map_index"]: one["state"] for one in found if one["task_id"] == task}


def rows(own: Settings, text: str) -> list[dict[str, Any]]:
    with database.connect(own, database.READER, row_factory=dict_row) as reader:
        return reader.execute(text).fetchall()


def test_each_record_is_asked_about_and_what_is_answered_is_done_by_itself(running: Settings) -> None:
    wait_for(lambda: ask(running, "/api/v2/dags/quarantine"), "the DAG")
    conf = {"date": "2017-12-23", "reason": "MISSING_CUSTOMER_ID"}
    ask(running, "/api/v2/dags/quarantine/dagRuns", {"dag_run_id": "review", "logical_date": None, "conf": conf})
    wait_for(lambda: len(asked(running)) == 4, "four questions")
    page = asked(running)[0]
    assert page["subject"] == "order-events:3:0: MISSING_CUSTOMER_ID"
    assert "{{ 6 * 7 }}" in page["body"], "what a record holds is shown and never run as a template"

    first = {0: ("Approve", '{"customer_id": "c-17"}')}
    wait_for(lambda: done(running, first), "the approval, while the others wait")
    assert asked(running).keys() == {1, 2, 3}
    others = {1: ("Reject", ""), 2: ("Leave", ""), 3: ("Approve", "")}
    wait_for(lambda: done(running, others), "the others")
    wait_for(lambda: ask(running, RUN)["state"] == "failed", "the end of the run")
    assert states(running, "record.apply") == {0: "success", 1: "success", 2: "success", 3: "failed"}

    decided = rows(running, 'SELECT "offset", decision, decided_by, released_key FROM speed.reviews ORDER BY 1')
    assert [(row["offset"], row["decision"], row["decided_by"]) for row in decided] == [
        (0, "approved", "admin"),
        (1, "rejected", "admin"),
    ]
    assert [row["dedupe_id"] for row in rows(running, "SELECT * FROM speed.outbox")] == ["release:order-events:3:0"]
    assert [row["offset"] for row in rows(running, "SELECT * FROM speed.quarantine ORDER BY 3")] == [2, 3]
