"""Each component's role does its own work and nothing else."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from tandem import database
from tandem.local import postgres as local_postgres
from tandem.settings import Settings

pytestmark = pytest.mark.integration

OWN_SCHEMA = {
    database.SPEED: {"speed"},
    database.BATCH: {"batch"},
    database.RECONCILIATION: {"reconciliation"},
    database.REVIEW: {"speed"},
    database.READER: set(),
    database.AIRFLOW: set(),
}


@pytest.mark.parametrize("role", OWN_SCHEMA)
def test_a_role_may_write_its_own_schema_and_no_other(postgres: Settings, role: str):
    with local_postgres.connect_admin(postgres, postgres.postgres_database) as admin:
        rows = admin.execute(
            "SELECT DISTINCT schemaname FROM pg_tables"
            " WHERE schemaname IN ('speed', 'batch', 'reconciliation', 'public')"
            " AND (has_table_privilege(%(role)s, format('%%I.%%I', schemaname, tablename), 'INSERT')"
            "   OR has_table_privilege(%(role)s, format('%%I.%%I', schemaname, tablename), 'UPDATE')"
            "   OR has_table_privilege(%(role)s, format('%%I.%%I', schemaname, tablename), 'DELETE'))",
            {"role": role},
        ).fetchall()
    assert {schema for (schema,) in rows} == OWN_SCHEMA[role]


def test_who_reviews_can_decide_and_touch_nothing_else(postgres: Settings):
    with local_postgres.connect_admin(postgres, postgres.postgres_database) as admin:
        rows = admin.execute(
            "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
            " WHERE grantee = %s AND table_schema <> 'public'",
            [database.REVIEW],
        ).fetchall()
    assert set(rows) == {
        ("quarantine", "SELECT"),
        ("quarantine", "DELETE"),
        ("reviews", "SELECT"),
        ("reviews", "INSERT"),
        ("outbox", "INSERT"),
    }


@pytest.mark.parametrize("role", [role for role in database.ROLES if role != database.AIRFLOW])
def test_no_role_of_the_platform_enters_airflow_s_database(postgres: Settings, role: str):
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(**postgres.conninfo(role, database.AIRFLOW))


def test_airflow_does_not_enter_the_platform_s_database(postgres: Settings):
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(**postgres.conninfo(database.AIRFLOW))


@pytest.mark.parametrize("role", [database.SPEED, database.BATCH, database.RECONCILIATION, database.READER])
def test_no_component_may_create_or_drop_tables(postgres: Settings, role: str):
    with psycopg.connect(**postgres.conninfo(role)) as connection, pytest.raises(InsufficientPrivilege):
        connection.execute("CREATE TABLE public.mine (value integer)")


def test_a_wrong_password_does_not_connect(postgres: Settings):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(**{**postgres.conninfo(database.SPEED), "password": "guess"})


def test_nobody_connects_without_a_password(postgres: Settings):
    conninfo = {**postgres.conninfo(database.SPEED)}
    del conninfo["password"]
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(**conninfo)
