"""Real servers for the tests: started once a session where a test asks for them, in a folder of their own.

- ``platform_settings``: Settings of the session; environment and ``settings()`` say the same.
- ``spark``: one Spark session for all tests, because it takes longer to start than most of them to run.
- ``postgres``, ``kafka``: these Settings, with the migrated database or the broker running.
- ``clean_database``, ``clean_module_database``: Postgres with all books empty, before a test or before a whole file.
- ``topic_prefix``: Settings with fresh topics, consumer group, archive and order_facts of the test's own.
- ``own_topics``: which topics those are. Making all takes the broker longer than most tests, so a folder or file that
  touches few names them; one that is missed is an error, as the broker makes none by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from installations import empty_database, end_what_killed_sessions_left, installations

from tandem.local import kafka as local_kafka
from tandem.local import postgres as local_postgres
from tandem.local import process
from tandem.settings import Settings, settings
from tandem.topics import TOPICS, Topic

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from xdist.scheduler import LoadFileScheduling


REAL_AIRFLOW = [f"tests/airflow/test_{name}.py" for name in ("airflow", "quarantine_review", "restate_dag")]
"""Files that share one Airflow, so one process runs them."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """As ``--dist loadfile`` does, but that some files go together."""
    from xdist.scheduler import LoadFileScheduling

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return REAL_AIRFLOW[0] if file in REAL_AIRFLOW else file

    return Together(config, log) if config.getvalue("dist") == "loadfile" else None


class TellingAtOnce:
    """Prints a failure when it happens: a run that is ended before its summary says what failed all the same."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self.terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.terminal.ensure_newline()
            self.terminal.write_line(f"{report.outcome} in {report.when}: {report.nodeid}", red=True)
            self.terminal.write_line(report.longreprtext)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    if terminal := config.pluginmanager.get_plugin("terminalreporter"):
        config.pluginmanager.register(TellingAtOnce(terminal))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: of the processes that share the files, none is to wait for another at the end."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def platform_settings() -> Iterator[Settings]:
    end_what_killed_sessions_left()
    with pytest.MonkeyPatch.context() as patch:
        for own in installations():
            for name, value in process.environment(own).items():
                patch.setenv(name, value)
            settings.cache_clear()
            yield own
    settings.cache_clear()


@pytest.fixture(scope="session")
def postgres(platform_settings: Settings) -> Settings:
    local_postgres.start(platform_settings)
    with local_postgres.connect_admin(platform_settings) as admin:
        # What is killed here is a process, which loses nothing that it has written: only a machine would.
        admin.execute("ALTER SYSTEM SET fsync = off")
        admin.execute("SELECT pg_reload_conf()")
    return platform_settings


@pytest.fixture(scope="session")
def kafka(platform_settings: Settings) -> Settings:
    local_kafka.start(platform_settings)
    return platform_settings


@pytest.fixture
def clean_database(postgres: Settings) -> Settings:
    empty_database(postgres)
    return postgres


@pytest.fixture(scope="module")
def clean_module_database(postgres: Settings) -> Settings:
    empty_database(postgres)
    return postgres


@pytest.fixture(scope="session")
def own_topics() -> tuple[Topic, ...]:
    """All but those that nothing reads or writes yet."""
    return tuple(topic for topic in TOPICS if topic.name not in {"user-events", "metrics"})


@pytest.fixture
def topic_prefix(
    kafka: Settings, postgres: Settings, own_topics: tuple[Topic, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
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
    local_kafka.ensure_topics(own, topics=own_topics)
    yield own
    local_kafka.delete_topics(own, own_topics)
    settings.cache_clear()


@pytest.fixture(scope="session")
def spark(platform_settings: Settings) -> Iterator[SparkSession]:
    from spark_jobs.session import open_session
    from tandem.local.jars import ensure_jars, java_home

    ensure_jars()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_HOME", str(java_home()))
        session = open_session("tests", platform_settings)
        yield session
        session.stop()
