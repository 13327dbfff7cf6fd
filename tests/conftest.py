"""Real servers for the tests: started once a session where a test asks for them, in a folder of their own.

- ``platform_settings``: Settings of the session; environment and ``settings()`` say the same.
- ``postgres``, ``kafka``: these Settings, with the migrated database or the broker running.
- ``clean_database``: Postgres with all books empty.
- ``topic_prefix``: Settings with fresh topics, consumer group, archive and order_facts of the test's own.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from tandem.local import kafka as local_kafka
from tandem.local import postgres as local_postgres
from tandem.local import process
from tandem.local.ports import is_free
from tandem.settings import Settings, settings

_PORTS = ("postgres_port", "kafka_port", "kafka_controller_port", "airflow_port", "smtp_port", "mail_page_port")
_FOLDER = "tandem-test-"


def free_ports(count: int) -> list[int]:
    """Ports that nothing uses, below those that the system hands out to outgoing connections."""
    candidates = random.sample(range(23_000, 32_000), 500)
    return [port for port in candidates if is_free("127.0.0.1", port)][:count]


def start_settings(folder: Path, **changes: object) -> Settings:
    """Settings of an installation of its own in ``folder``, on free ports."""
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    return Settings(**{"state_dir": folder, "session_timeout": "PT6S", **ports, **changes})


def end_installation(own: Settings) -> None:
    """Stop every server of the installation and delete what it kept."""
    for record in sorted((own.state_dir / "run").glob("*.json")):
        process.stop(own, record.stem)
    local_postgres.delete_data(own)
    shutil.rmtree(own.state_dir, ignore_errors=True)


def _end_what_killed_sessions_left() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        owner = int(folder.name.removeprefix(_FOLDER).split("-")[0])
        if not psutil.pid_exists(owner):
            end_installation(Settings(state_dir=folder))


@pytest.fixture(scope="session")
def platform_settings() -> Iterator[Settings]:
    _end_what_killed_sessions_left()
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-"))
    folder.chmod(0o711)  # root lets another user run Postgres, who must get through
    own = start_settings(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in process.environment(own).items():
            patch.setenv(name, value)
        settings.cache_clear()
        yield own
        end_installation(own)
    settings.cache_clear()


@pytest.fixture(scope="session")
def postgres(platform_settings: Settings) -> Settings:
    local_postgres.start(platform_settings)
    return platform_settings


@pytest.fixture(scope="session")
def kafka(platform_settings: Settings) -> Settings:
    local_kafka.start(platform_settings)
    return platform_settings


@pytest.fixture
def clean_database(postgres: Settings) -> Settings:
    with local_postgres.connect_admin(postgres, postgres.postgres_database) as admin:
        tables = admin.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname IN ('speed', 'batch', 'reconciliation')"
        ).fetchall()
        filled = [name for (name,) in tables if admin.execute(f"SELECT EXISTS (SELECT FROM {name})").fetchone()[0]]
        if filled:
            admin.execute(f"TRUNCATE {', '.join(filled)} RESTART IDENTITY CASCADE")
    return postgres


@pytest.fixture
def topic_prefix(kafka: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    prefix = f"t{uuid4().hex[:8]}-"
    own = kafka.model_copy(
        update={
            "topic_prefix": prefix,
            "consumer_group": f"{prefix}speed",
            "archive_uri": str(tmp_path / "archive"),
            "order_facts_uri": str(tmp_path / "order_facts"),
        }
    )
    for name, value in process.environment(own).items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    local_kafka.ensure_topics(own)
    yield own
    local_kafka.delete_topics(own)
    settings.cache_clear()
