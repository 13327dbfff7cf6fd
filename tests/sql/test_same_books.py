"""Nothing works on an installation under settings of another currency or time zone: it would book all of it wrongly."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from installations import keeping_books_in, send, tandem
from shop import archived, order

from tandem import database
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
    with pytest.raises(TandemError, match="has no tables yet: run 'tandem up'"):
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
    assert (figure(topic_prefix, "speed.journal"), figure(topic_prefix, "speed.partitions")) == (0, 0)
    assert not Path(topic_prefix.archive).exists() or archived(topic_prefix) == []


@pytest.mark.usefixtures("clean_database")
def test_after_the_setting_is_put_right_the_same_order_counts(topic_prefix: Settings) -> None:
    send(topic_prefix, ORDER_EVENTS, order(1))
    assert tandem(topic_prefix, "stream", "--until-caught-up", TANDEM_CURRENCY="EUR").returncode == 2
    assert tandem(topic_prefix, "stream", "--until-caught-up").returncode == 0
    assert figure(topic_prefix, "speed.quarantine") == 0
    assert figure(topic_prefix, "speed.order_minutes WHERE order_count = 1 AND revenue_cents = 100") == 1
