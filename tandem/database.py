"""Postgres: roles, migrations (Alembic over .sql files), tables from declarations, and the named queries."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import IsolationLevel, sql
from psycopg.rows import tuple_row

from tandem import books, definitions, kpis, pending, rollups
from tandem.errors import TandemError

if TYPE_CHECKING:
    from tandem.settings import Settings

OWNER = "tandem_owner"
SPEED = "tandem_speed"
BATCH = "tandem_batch"
RECONCILIATION = "tandem_reconciliation"
REVIEW = "tandem_review"
READER = "tandem_reader"
AIRFLOW = "airflow"
ROLES = (OWNER, SPEED, BATCH, RECONCILIATION, REVIEW, READER, AIRFLOW)
_ROUNDS = 4096

_SQL = Path(str(files("sql")))
_NAME = re.compile(r"^-- name: (\w+).*$", re.MULTILINE)


def connect(settings: Settings, role: str, *, autocommit: bool = False, **options: Any) -> psycopg.Connection[Any]:
    """A connection as ``role``.

    Raises TandemError where Postgres cannot be reached, has no tables yet, or keeps the books under other settings than
    these, as ``tandem.books`` says, or by other definitions, as ``tandem.definitions`` says. The owner, who makes the
    tables, is not asked.
    """
    with _reaching(settings):
        # In autocommit until it is handed over: a statement must leave no transaction open.
        connection = psycopg.connect(**settings.conninfo(role), connect_timeout=10, autocommit=True, **options)  # type: ignore[arg-type]
        with ExitStack() as refused:
            refused.callback(connection.close)
            if role != OWNER:
                books.require_same(_kept(connection, settings), settings)
                definitions.require_same(_defined(connection, settings), definitions.declared())
            connection.autocommit = autocommit
            refused.pop_all()
    return connection


def kept(settings: Settings) -> dict[str, str]:
    """Under which settings the books are kept, by variable. Raises TandemError as ``connect`` does, but for others."""
    with _reaching(settings), psycopg.connect(**settings.conninfo(READER), connect_timeout=10) as connection:  # type: ignore[arg-type]
        return _kept(connection, settings)


@contextmanager
def _reaching(settings: Settings) -> Iterator[None]:
    """Say in one line that Postgres cannot be reached."""
    try:
        yield
    except psycopg.OperationalError as error:
        address = f"{settings.host}:{settings.postgres_port}"
        # What follows the last "failed:" of the last line that is no indented question.
        said = [line for line in str(error).strip().splitlines() if not line.startswith("\t")][-1]
        reason = " ".join(said.rpartition(" failed: ")[2].split())
        raise TandemError(f"cannot reach Postgres at {address} ({reason})", "run 'tandem up'") from error


@contextmanager
def snapshot(settings: Settings, role: str = READER, **options: Any) -> Iterator[psycopg.Connection[Any]]:
    """A connection that only reads, and sees one instant however many statements ask: that of the first."""
    with connect(settings, role, **options) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield connection


def require_same_books(settings: Settings) -> None:
    """For what books by the settings without asking Postgres anything. Raises TandemError as ``connect`` does."""
    connect(settings, READER).close()


def _kept(connection: psycopg.Connection[Any], settings: Settings) -> dict[str, str]:
    found = _noted(connection, "kept", settings)
    wanted = books.said(settings, (*books.FOR_GOOD, *books.UNTIL_CHANGED))
    if not wanted.keys() <= found.keys():
        raise _no_tables(settings)
    return {name: found[name] for name in wanted}


def _defined(connection: psycopg.Connection[Any], settings: Settings) -> dict[str, str]:
    """What each name that was ever declared means in the books."""
    return _noted(connection, "definitions", settings)


def _noted(connection: psycopg.Connection[Any], query: str, settings: Settings) -> dict[str, str]:
    try:
        rows = connection.cursor(row_factory=tuple_row).execute(getattr(queries("installation"), query)).fetchall()
    except psycopg.errors.UndefinedTable as error:
        raise _no_tables(settings) from error
    return dict(rows)


def _no_tables(settings: Settings) -> TandemError:
    problem = f"database '{settings.postgres_database}' has no tables yet, or those of an older release"
    return TandemError(problem, "run 'tandem up'")


def render(template: str, **values: object) -> str:
    """A .sql.jinja file under sql/ with the declarations filled in. Values are identifiers from code, never input."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - SQL, not HTML
        loader=FileSystemLoader(_SQL), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.tests["ratio"] = lambda source: isinstance(source, kpis.Ratio)
    environment.tests["mapping_terms"] = lambda source: isinstance(source, tuple)
    declared = {
        "cubes": kpis.CUBES,
        "kpis": kpis.KPIS,
        "measures": kpis.MEASURES,
        "measures_of": kpis.measures_of,
        "rollups": rollups.ROLLUPS,
        "rollup_measures_of": rollups.measures_of,
        "sketches": rollups.SKETCHES,
        "top_cubes": (kpis.PRODUCTS, *rollups.ROLLUPS),
        "plurals": rollups.PLURALS,
        "totals": rollups.TOTALS,
        "kept": sorted(rollups.KEPT),
        "packs": pending.PACKS,
        "all_partitions": pending.ALL_PARTITIONS,
        "readable": pending.readable,
        "hour_of": _hour_of,
    }
    return environment.get_template(template).render(**declared, **values)


def _hour_of(cube: kpis.Cube, zone: str) -> str:
    """SQL of the start of the hour that a pane of the cube is in; ``zone``: SQL of the business time zone.

    A pane of an hour is cut already. Where clocks shift by half an hour it may begin before they do, and would be cut
    as the hour before.
    """
    return "pane_start" if cube.pane == "hour" else f"date_trunc('hour', pane_start, {zone})"


@cache
def queries(layer: str, **declared: Hashable) -> SimpleNamespace:
    """The queries of ``sql/queries/<layer>.sql`` (or .sql.jinja), each block after ``-- name: x`` an attribute.

    ``declared``: what a template needs besides the declarations of the KPIs.
    """
    plain = _SQL / "queries" / f"{layer}.sql"
    text = plain.read_text(encoding="utf-8") if plain.exists() else render(f"queries/{layer}.sql.jinja", **declared)
    parts = _NAME.split(text)
    return SimpleNamespace(**dict(zip(parts[1::2], (body.strip() for body in parts[2::2]), strict=True)))


def create_roles(admin: psycopg.Connection[Any], passwords: Mapping[str, str]) -> None:
    """Create the login roles and set their passwords, given by role name."""
    admin.execute(render("roles.sql.jinja", roles=ROLES))
    for role in ROLES:
        # To stretch a password makes guesses dear. Ours are 32 random characters, and each new connection would pay.
        # The reader is for programs of others, too, some of which refuse less than RFC 7677 says.
        admin.execute(sql.SQL("SET scram_iterations = {}").format(_ROUNDS if role == READER else 1))
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(passwords[role]))
        admin.execute(statement)
    admin.execute("RESET scram_iterations")


def run_migration(script: str) -> None:
    """Run the .sql file beside an Alembic script, called by that script."""
    from alembic import op

    op.get_bind().exec_driver_sql(Path(script).with_suffix(".sql").read_text(encoding="utf-8"))


def migrate(settings: Settings, *, change: bool = False) -> None:
    """Bring the platform's database to the present: migrations, declared tables, views, grants. Safe to repeat.

    Runs as the owner role. Raises TandemError where the books are kept under other settings, or by other definitions;
    with ``change`` they are kept under these settings from now on, but for time zone and currency.
    """
    import sqlalchemy
    from alembic import command
    from alembic.config import Config

    engine = sqlalchemy.create_engine("postgresql+psycopg://", connect_args=settings.conninfo(OWNER))
    config = Config()
    config.set_main_option("script_location", str(_SQL / "migrations"))
    with engine.begin() as connection:
        # Two 'up' at once must not migrate twice.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('tandem.migrate'))")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    with connect(settings, OWNER) as owner:
        _settle_installation(owner, settings, change=change)
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('tandem.migrate'))")
        for declared in ("cubes", "pending", "views", "rollups", "customers"):
            connection.exec_driver_sql(_declared(declared, settings))
        connection.exec_driver_sql(render("grants.sql.jinja", database=_quoted(settings.postgres_database)))
    engine.dispose()


def _quoted(name: str) -> str:
    """A name as SQL text has it, whatever its letters."""
    return sql.Identifier(name).as_string()


def _declared(name: str, settings: Settings) -> str:
    return render(
        f"declared/{name}.sql.jinja",
        timezone=settings.business_timezone,
        allowed_lateness_s=int(settings.allowed_lateness.total_seconds()),
        moving_average_s=int(settings.moving_average_retention.total_seconds()),
        high_value_cents=settings.high_value_cents,
    )


def _settle_installation(owner: psycopg.Connection[Any], settings: Settings, *, change: bool) -> None:
    """In one transaction, so that no worker commits what it decided under the old settings once the new ones hold."""
    asked = queries("installation")
    owner.execute(asked.settle, books.said(settings, books.FOR_GOOD))
    may_change = [
        {"setting": name, "value": value} for name, value in books.said(settings, books.UNTIL_CHANGED).items()
    ]
    with owner.cursor() as cursor:
        cursor.executemany(asked.settle_setting, may_change)
        named = [{"name": name, "definition": definition} for name, definition in definitions.declared().items()]
        cursor.executemany(asked.define, named)
        if change and any(_kept(owner, settings)[each["setting"]] != each["value"] for each in may_change):
            cursor.executemany(asked.change_setting, may_change)
            cursor.execute(asked.fence)
    try:
        books.require_same(_kept(owner, settings), settings)
        definitions.require_same(_defined(owner, settings), definitions.declared())
    except TandemError as error:
        raise TandemError(error.problem, f"{error.remedy}, or start in a new TANDEM_STATE_DIR") from None
