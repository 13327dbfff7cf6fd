"""``sql/schema.sql`` shows the present; the migrations and declarations are how it came to be. They must agree."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tandem import database
from tandem.errors import TandemError
from tandem.local import postgres as local_postgres
from tandem.settings import Settings

SCHEMA = Path(__file__).parents[2] / "sql" / "schema.sql"
pytestmark = pytest.mark.integration


def present_schema(settings: Settings) -> str:
    """The migrated database as pg_dump writes it, without what differs from machine to machine."""
    pg_dump = local_postgres._binaries(local_postgres.data_home(settings)) / "pg_dump"
    dump = subprocess.run(
        [pg_dump, "--schema-only", "--no-owner", "--exclude-table=public.alembic_version", "--dbname", "tandem"],
        env={
            **os.environ,
            "PGHOST": settings.host,
            "PGPORT": str(settings.postgres_port),
            "PGUSER": local_postgres.ADMIN,
            "PGPASSWORD": settings.secret(local_postgres.ADMIN),
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    kept = [line for line in dump.splitlines() if not re.match(r"^(--|SET |SELECT pg_catalog|\\)", line)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip() + "\n"


def test_the_schema_file_shows_what_the_migrations_and_declarations_make(postgres: Settings) -> None:
    present = present_schema(postgres)
    if os.environ.get("TANDEM_REGENERATE"):
        SCHEMA.write_text(present, encoding="utf-8")
    assert SCHEMA.read_text(encoding="utf-8") == present, (
        "sql/schema.sql is behind; TANDEM_REGENERATE=1 .venv/bin/pytest tests/sql"
    )


def test_a_database_may_have_any_name(postgres: Settings) -> None:
    own = postgres.model_copy(update={"postgres_database": 'Shop-2 of "Köln"'})
    local_postgres.start(own)
    try:
        assert "TANDEM_CURRENCY" in database.kept(own)
    finally:
        with local_postgres.connect_admin(postgres) as admin:
            admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(own.postgres_database)))


def test_migrating_twice_changes_nothing(postgres: Settings) -> None:
    before = present_schema(postgres)
    database.migrate(postgres)
    assert present_schema(postgres) == before


@pytest.mark.parametrize(
    ("role", "table"),
    [
        (database.SPEED, "batch.runs"),
        (database.SPEED, "reconciliation.corrections"),
        (database.BATCH, "speed.partitions"),
        (database.BATCH, "reconciliation.corrections"),
        (database.RECONCILIATION, "speed.adjustments"),
        (database.RECONCILIATION, "batch.versions"),
        (database.READER, "speed.adjustments"),
        (database.READER, "batch.versions"),
        (database.READER, "reconciliation.corrections"),
    ],
)
def test_a_role_writes_only_its_own_schema(postgres: Settings, role: str, table: str) -> None:
    with database.connect(postgres, role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"DELETE FROM {table}")


@pytest.mark.parametrize(
    ("role", "hidden"), [(database.SPEED, "batch.daily_metrics"), (database.BATCH, "speed.journal")]
)
def test_neither_layer_can_read_the_answer_of_the_other(postgres: Settings, role: str, hidden: str) -> None:
    with database.connect(postgres, role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"SELECT * FROM {hidden}")


def test_airflow_cannot_even_connect_to_the_books(postgres: Settings) -> None:
    with pytest.raises(TandemError, match="CONNECT privilege"):
        database.connect(postgres, database.AIRFLOW)


def test_another_time_zone_over_existing_books_is_refused(postgres: Settings) -> None:
    moved = postgres.model_copy(update={"business_timezone": "Europe/Berlin"})
    with pytest.raises(TandemError, match="set TANDEM_BUSINESS_TIMEZONE=UTC, or start in a new TANDEM_STATE_DIR"):
        database.migrate(moved)
    database.migrate(postgres)
