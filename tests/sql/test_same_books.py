"""Nothing works on an installation under other settings than its books are kept under, where figures depend on them."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from installations import keeping_books_in, keeping_books_under, send, tandem
from shop import archived, order, start_speed_worker

from tandem import books, database
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

pytestmark = pytest.mark.integration

DAY = "2017-12-23"
ROLES = (database.SPEED, database.BATCH, database.RECONCILIATION, database.REVIEW, database.READER)


def figure(own: Settings, table: str) -> int:
    with database.connect(own, database.READER) as reader:
        row = reader.execute(f"SELECT count(*) FROM {table}").fetchone()
    return row[0] if row else 0


def assert_nothing_was_taken(own: Settings) -> None:
    """Neither by the stream nor by the archive."""
    assert (figure(own, "speed.journal"), figure(own, "speed.partitions")) == (0, 0)
    assert not Path(own.archive).exists() or archived(own) == []


OTHER_CURRENCY = "are kept in USD, and the settings say EUR: set TANDEM_CURRENCY=USD"
OTHER_ZONE = "are kept in UTC, and the settings say Europe/Berlin: set TANDEM_BUSINESS_TIMEZONE=UTC"
BOTH = "are kept in UTC and USD, and the settings say Europe/Berlin and EUR: set TANDEM_BUSINESS_TIMEZONE=UTC and"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"currency": "EUR"}, OTHER_CURRENCY),
        ({"business_timezone": "Europe/Berlin"}, OTHER_ZONE),
        ({"business_timezone": "Europe/Berlin", "currency": "EUR"}, f"{BOTH} TANDEM_CURRENCY=USD"),
    ],
)
def test_no_layer_gets_a_connection_under_other_books(
    postgres: Settings, role: str, changes: dict[str, str], said: str
) -> None:
    with pytest.raises(TandemError) as refused:
        database.connect(postgres.model_copy(update=changes), role)
    assert str(refused.value) == f"the books {said}"


def test_a_connection_is_as_it_was_asked_for(postgres: Settings) -> None:
    with database.connect(postgres, database.READER) as plain, plain.transaction():
        assert not plain.autocommit
        plain.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")  # refused after any statement
    with database.connect(postgres, database.READER, autocommit=True) as other:
        assert other.autocommit
        assert other.info.transaction_status is psycopg.pq.TransactionStatus.IDLE


def test_a_database_without_tables_is_one_line_that_says_what_to_do(postgres: Settings) -> None:
    with pytest.raises(TandemError, match="has no tables yet, or those of an older release: run 'tandem up'"):
        database.connect(postgres.model_copy(update={"postgres_database": "postgres"}), database.READER)


@pytest.mark.parametrize(
    "command",
    [
        ("stream", "--until-caught-up"),
        ("stream", "rebuild", "--from", DAY),
        ("archive", "--until-caught-up"),
        ("replay", "completejourney", "--from", DAY, "--to", DAY),
        ("quarantine", "list"),
        ("cut", "--date", DAY),
        ("kpi", "--date", DAY, "--layer", "speed"),
        ("batch", "--date", DAY),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("clean_database")
def test_a_command_in_a_terminal_without_the_setting_refuses_and_changes_nothing(
    topic_prefix: Settings, command: tuple[str, ...]
) -> None:
    """As where the books are kept in Berlin and euros, and the shell has the defaults."""
    send(topic_prefix, ORDER_EVENTS, order(1))
    with keeping_books_in(topic_prefix, "Europe/Berlin", "EUR"):
        done = tandem(topic_prefix, *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        "tandem: the books are kept in Europe/Berlin and EUR, and the settings say UTC and USD:"
        " set TANDEM_BUSINESS_TIMEZONE=Europe/Berlin and TANDEM_CURRENCY=EUR"
    )
    assert "Traceback" not in done.stderr
    assert_nothing_was_taken(topic_prefix)


@pytest.mark.usefixtures("clean_database")
def test_after_the_setting_is_put_right_the_same_order_counts(topic_prefix: Settings) -> None:
    send(topic_prefix, ORDER_EVENTS, order(1))
    assert tandem(topic_prefix, "stream", "--until-caught-up", TANDEM_CURRENCY="EUR").returncode == 2
    assert tandem(topic_prefix, "stream", "--until-caught-up").returncode == 0
    assert figure(topic_prefix, "speed.quarantine") == 0
    assert figure(topic_prefix, "speed.order_minutes WHERE order_count = 1 AND revenue_cents = 100") == 1


SET_OR_CHANGE = "set it as in the books, or change the books: 'tandem books --change'"
OTHERS: dict[str, tuple[Any, str, str]] = {
    "allowed_lateness": (timedelta(hours=2), "PT1H", "PT2H"),
    "dedupe_horizon": (timedelta(hours=25), "P1D", "P1DT1H"),
    "watermark_delay": (timedelta(0), "PT5S", "PT0S"),
    "order_repeat_lookback_days": (8, "7", "8"),
    "high_value_cents": (50, "100000", "50"),
    "moving_average_retention": (timedelta(hours=4), "PT3H", "PT4H"),
    "session_retention": (timedelta(days=91), "P90D", "P91D"),
}


@pytest.mark.parametrize("name", books.UNTIL_CHANGED)
def test_no_layer_gets_a_connection_under_a_rule_of_its_own(postgres: Settings, name: str) -> None:
    value, kept, said = OTHERS[name]
    for role in ROLES:
        with pytest.raises(TandemError) as refused:
            database.connect(postgres.model_copy(update={name: value}), role)
        assert str(refused.value) == (
            f"the books are kept under TANDEM_{name.upper()}={kept}, and the settings say {said}: {SET_OR_CHANGE}"
        )


def test_what_neither_figures_nor_readers_depend_on_may_differ(postgres: Settings) -> None:
    other = {"idle_after": timedelta(seconds=1), "micro_batch_max_events": 7, "journal_retention": timedelta(0)}
    database.connect(postgres.model_copy(update=other), database.SPEED).close()


@pytest.mark.parametrize(
    "command",
    [
        ("stream", "--until-caught-up"),
        ("archive", "--until-caught-up"),
        ("replay", "completejourney", "--from", DAY, "--to", DAY),
        ("batch", "--date", DAY),
        ("reconcile", "--date", DAY),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("clean_database")
def test_a_command_under_another_lateness_refuses_and_changes_nothing(
    topic_prefix: Settings, command: tuple[str, ...]
) -> None:
    send(topic_prefix, ORDER_EVENTS, order(1))
    done = tandem(topic_prefix, *command, TANDEM_ALLOWED_LATENESS="600")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        f"tandem: the books are kept under TANDEM_ALLOWED_LATENESS=PT1H, and the settings say PT10M: {SET_OR_CHANGE}"
    )
    assert_nothing_was_taken(topic_prefix)


@pytest.mark.usefixtures("clean_database")
def test_books_are_changed_on_request_alone_and_a_worker_that_runs_ends(topic_prefix: Settings, tmp_path: Path) -> None:
    sold_high = "serving.customer_metrics WHERE is_high_value"
    counted = "speed.customer_totals WHERE order_count > 0"
    changed = topic_prefix.model_copy(update={"high_value_cents": 50})
    log = tmp_path / "worker.log"
    with keeping_books_under(topic_prefix), log.open("wb") as output:
        send(topic_prefix, ORDER_EVENTS, order(1))
        worker = start_speed_worker(topic_prefix, log=output)
        try:
            deadline = time.monotonic() + 300
            while not figure(topic_prefix, counted):
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            assert tandem(changed, "up", "postgres").returncode == 2
            assert figure(topic_prefix, sold_high) == 0

            done = tandem(changed, "books", "--change", "--json")
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["TANDEM_HIGH_VALUE_CENTS"] == "50"
            assert done.stderr.splitlines() == ["TANDEM_HIGH_VALUE_CENTS was 100000"]
            assert figure(changed, sold_high) == 1
            send(topic_prefix, ORDER_EVENTS, order(2))
            assert worker.wait(300) == 2
            assert log.read_text().splitlines()[-1] == (
                "tandem: the books are kept under TANDEM_HIGH_VALUE_CENTS=50, and the settings say 100000: "
                f"{SET_OR_CHANGE}"
            )
            assert figure(changed, counted) == 1
            assert tandem(changed, "stream", "--until-caught-up").returncode == 0
            assert figure(changed, counted) == 2
        finally:
            worker.kill()
            worker.wait()
            assert tandem(topic_prefix, "books", "--change").returncode == 0
