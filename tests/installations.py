"""Installations of their own for tests: free ports, a folder that is deleted, and ways to look at them from outside."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

from tandem.local import postgres, process
from tandem.local.ports import pick_free
from tandem.settings import PROJECT_ROOT, Settings

_PORTS = ("postgres_port", "kafka_port", "kafka_controller_port", "airflow_port", "smtp_port", "mail_page_port")
_FOLDER = "tandem-test-"
_FOR_MINUTES = {
    "session_timeout": "PT6S",
    "kafka_java_options": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m",
}
"""Settings of servers that live as long as a test: the broker's thorough compiler would cost more than it gains."""


def free_ports(count: int) -> list[int]:
    """Ports that nothing uses."""
    return pick_free("127.0.0.1", count)


def new_settings(folder: Path, **changes: object) -> Settings:
    """Settings of an installation of its own in ``folder``, on free ports."""
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    return Settings(**{"state_dir": folder, **_FOR_MINUTES, **ports, **changes})


def end_installation(own: Settings) -> None:
    """Stop every server of the installation and delete what it kept."""
    for record in sorted((own.state_dir / "run").glob("*.json")):
        process.stop(own, record.stem)
    postgres.delete_data(own)
    shutil.rmtree(own.state_dir, ignore_errors=True)


def installations(**changes: object) -> Iterator[Settings]:
    """One installation, stopped and deleted when the fixture that yields it ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-"))
    folder.chmod(0o711)  # root lets another user run Postgres, who must get through
    own = new_settings(folder, **changes)
    yield own
    end_installation(own)


def empty_database(own: Settings) -> None:
    """Delete every row of every layer, but for what is declared."""
    with postgres.connect_admin(own, own.postgres_database) as admin:
        tables = admin.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname IN ('speed', 'batch', 'reconciliation') AND tablename <> 'measures_since'"
        ).fetchall()
        filled = [name for (name,) in tables if admin.execute(f"SELECT EXISTS (SELECT FROM {name})").fetchone()[0]]
        if filled:
            admin.execute(f"TRUNCATE {', '.join(filled)} RESTART IDENTITY CASCADE")


@contextmanager
def keeping_books_in(own: Settings, zone: str, currency: str) -> Iterator[None]:
    """As if the installation had been made with these settings; afterwards as it was."""
    change = "UPDATE public.installation SET business_timezone = %s, currency = %s"
    with postgres.connect_admin(own, own.postgres_database) as admin:
        before = admin.execute("SELECT business_timezone, currency FROM public.installation").fetchone()
        admin.execute(change, (zone, currency))
        try:
            yield
        finally:
            admin.execute(change, before)


@contextmanager
def keeping_books_under(own: Settings) -> Iterator[None]:
    """As if 'tandem books --change' had been run with these settings; afterwards as it was."""
    change = "UPDATE public.kept_under SET value = %s WHERE setting = %s"
    with postgres.connect_admin(own, own.postgres_database) as admin, admin.cursor() as cursor:
        before = cursor.execute("SELECT value, setting FROM public.kept_under").fetchall()
        now = process.environment(own)
        cursor.executemany(change, [(now[setting], setting) for _, setting in before])
        try:
            yield
        finally:
            cursor.executemany(change, before)


def end_what_killed_sessions_left() -> None:
    """End the servers of test sessions that were killed before they could; one process at a time does."""
    with (Path(tempfile.gettempdir()) / f"{_FOLDER}lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}[0-9]*-*"):
            owner = int(folder.name.removeprefix(_FOLDER).split("-")[0])
            if not psutil.pid_exists(owner):
                end_installation(Settings(state_dir=folder))


def tandem(own: Settings, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "tandem", *arguments],
        env={**os.environ, **process.environment(own), **environment},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )


def send(own: Settings, topic: str, value: bytes) -> None:
    """One message, acknowledged by the broker: ``flush`` alone also returns 0 for one that failed."""
    refused = []
    producer = Producer({"bootstrap.servers": own.brokers, "enable.idempotence": True, "log_level": 0})
    producer.produce(own.topic(topic), value, on_delivery=lambda error, _: refused.append(error) if error else None)
    assert producer.flush(120) == 0
    assert refused == []


def read_all(own: Settings, topic: str) -> list[bytes]:
    """Every value of a topic, up to the end that each partition says it has: no clock decides."""
    consumer = Consumer(
        {"bootstrap.servers": own.brokers, "group.id": "reader", "enable.partition.eof": True, "log_level": 0}
    )
    partitions = consumer.list_topics(own.topic(topic), timeout=120).topics[own.topic(topic)].partitions
    consumer.assign([TopicPartition(own.topic(topic), number, OFFSET_BEGINNING) for number in partitions])
    values, open_partitions = [], set(partitions)
    while open_partitions:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error() is None:
            values.append(message.value())
        elif message.error().code() == KafkaError._PARTITION_EOF:
            open_partitions.discard(message.partition())
    consumer.close()
    return values


def processes_of(own: Settings) -> list[psutil.Process]:
    """Everything alive that was started for this installation, found independently of the supervisor's records."""
    folder = str(own.state_dir.resolve())
    found = []
    for candidate in psutil.process_iter():
        try:
            if candidate.pid == os.getpid() or candidate.status() == psutil.STATUS_ZOMBIE:
                continue
            told = " ".join([*candidate.cmdline(), candidate.cwd(), candidate.environ().get("TANDEM_STATE_DIR", "")])
        except psutil.Error:
            continue
        if folder in told:
            found.append(candidate)
    return found
