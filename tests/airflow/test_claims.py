"""Claims: at most one run works on a business date."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date

import psycopg
import pytest

from tandem import claims, database
from tandem.errors import TandemError
from tandem.local import process
from tandem.settings import Settings

pytestmark = pytest.mark.integration
FRIDAY, SATURDAY, SUNDAY = (date(2017, 12, day) for day in (22, 23, 24))
NIGHTLY = claims.airflow_holder("nightly", "manual__2026-11-22T08:00:00+00:00")
BACKFILL = claims.airflow_holder("nightly", "backfill__2017-12-24T02:00:00+00:00")


@pytest.fixture
def batch(clean_database: Settings) -> psycopg.Connection[tuple[object, ...]]:
    with database.connect(clean_database, database.BATCH, autocommit=True) as connection:
        yield connection


def holders(connection: psycopg.Connection[tuple[object, ...]]) -> dict[date, str]:
    return {claim.business_date: claim.holder for claim in claims.present(connection)}


def test_a_second_run_of_a_date_is_told_who_works_on_it(batch) -> None:
    assert claims.take(batch, [SATURDAY], NIGHTLY) == []
    (standing,) = claims.take(batch, [SATURDAY], BACKFILL)
    assert (standing.business_date, standing.holder) == (SATURDAY, NIGHTLY)
    assert f"2017-12-23 is being worked on by {NIGHTLY} since 20" in str(standing)


def test_runs_of_different_dates_do_not_wait_for_each_other(batch) -> None:
    assert claims.take(batch, [SATURDAY], NIGHTLY) == []
    assert claims.take(batch, [SUNDAY], BACKFILL) == []


def test_a_range_is_claimed_whole_or_not_at_all(batch) -> None:
    claims.take(batch, [SATURDAY], NIGHTLY)
    assert claims.take(batch, [FRIDAY, SATURDAY, SUNDAY], BACKFILL)
    assert holders(batch) == {SATURDAY: NIGHTLY}


def test_a_retried_task_claims_what_its_run_has(batch) -> None:
    claims.take(batch, [SATURDAY], NIGHTLY)
    (first,) = claims.present(batch)
    assert claims.take(batch, [SATURDAY], NIGHTLY) == []
    assert claims.present(batch) == [first]


def test_a_released_date_is_free_and_others_of_other_runs_are_not(batch) -> None:
    claims.take(batch, [SATURDAY], NIGHTLY)
    claims.take(batch, [SUNDAY], BACKFILL)
    claims.release(batch, NIGHTLY)
    assert holders(batch) == {SUNDAY: BACKFILL}


def test_what_a_dead_run_left_is_taken_over(batch) -> None:
    claims.take(batch, [SATURDAY], NIGHTLY)
    assert claims.take(batch, [SATURDAY], BACKFILL, is_over=lambda holder: holder == NIGHTLY) == []
    assert holders(batch) == {SATURDAY: BACKFILL}


def test_a_command_says_in_one_line_who_is_in_its_way(clean_database: Settings, batch) -> None:
    claims.take(batch, [SATURDAY], NIGHTLY)
    blocked = r"2017-12-23 is being worked on by airflow:nightly:.*: wait until"
    with pytest.raises(TandemError, match=blocked), claims.held(clean_database, [SATURDAY]):
        pytest.fail("two at once")


def test_a_command_holds_its_dates_until_it_ends(clean_database: Settings, batch) -> None:
    with claims.held(clean_database, [SATURDAY]):
        assert claims.take(batch, [SATURDAY], NIGHTLY)
    assert claims.take(batch, [SATURDAY], NIGHTLY) == []


def test_a_killed_command_leaves_no_claim(clean_database: Settings, batch) -> None:
    hold = """
import time; from datetime import date; from tandem import claims; from tandem.settings import settings
with claims.held(settings(), [date(2017, 12, 23)]):
    print("held", flush=True); time.sleep(600)
"""
    environment = {**os.environ, **process.environment(clean_database)}
    with subprocess.Popen([sys.executable, "-c", hold], env=environment, stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "held\n"
        assert claims.take(batch, [SATURDAY], NIGHTLY)
        command.kill()
    while holders(batch):  # Postgres notices within moments; else the test times out
        pass
    assert claims.take(batch, [SUNDAY], BACKFILL) == [], "whatever date the next one claims"
    assert batch.execute("SELECT business_date FROM batch.claims").fetchall() == [(SUNDAY,)]
    assert claims.take(batch, [SATURDAY], NIGHTLY) == []


def test_a_holder_names_its_airflow_run_whatever_colons_the_run_id_has() -> None:
    assert claims.airflow_run(BACKFILL) == ("nightly", "backfill__2017-12-24T02:00:00+00:00")
    assert claims.airflow_run("command:laptop:4711") is None
