"""Servers are found again, never mistaken for others, and leave nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tandem.errors import TandemError
from tandem.local import process
from tandem.settings import Settings

SLEEP = "import time; time.sleep(600)"
# A child in a session of its own, which a signal to the group does not reach, and which ignores SIGTERM.
LOOSE_CHILD = (
    "import subprocess, sys; subprocess.Popen([sys.executable, '-c', "
    "'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)'],"
    " start_new_session=True).wait()"
)


def a_program(code: str = SLEEP, **changes: object) -> process.Program:
    return process.Program(name="server", argv=(sys.executable, "-c", code), **{"grace_s": 5.0, **changes})


def wait_for(condition, what: str) -> None:
    for _ in range(200):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail(f"never came: {what}")


def test_a_server_is_found_by_another_process(lone: Settings):
    started = process.start(lone, a_program())
    code = (
        "from tandem.settings import settings; from tandem.local.process import find;"
        "print(find(settings(), 'server').pid)"
    )
    env = {**os.environ, **process.environment(lone)}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert int(said) == started.pid


def test_a_server_runs_in_a_session_of_its_own(lone: Settings):
    started = process.start(lone, a_program())
    assert os.getsid(started.pid) == started.pid != os.getsid(0)


def test_a_recycled_pid_is_neither_taken_for_the_server_nor_ended(lone: Settings):
    started = process.start(lone, a_program())
    record = next((lone.state_dir / "run").glob("server.json"))
    told = json.loads(record.read_text(encoding="ascii"))
    process.stop(lone, "server")
    stranger = subprocess.Popen([sys.executable, "-c", SLEEP])
    try:
        record.write_text(
            json.dumps({**told, "pid": stranger.pid, "created": told["created"] - 3600}), encoding="ascii"
        )
        assert process.find(lone, "server") is None
        assert not process.stop(lone, "server")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    assert not started.is_running()


def rewrite(record: Path, **changes: object) -> None:
    """As if it had been written down otherwise; None takes a field out."""
    told = {**json.loads(record.read_text(encoding="ascii")), **changes}
    record.write_text(json.dumps({name: value for name, value in told.items() if value is not None}), encoding="ascii")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the time of a start does not move with the clock")
def test_a_server_is_found_after_the_clock_was_set_and_a_stranger_of_its_pid_and_time_is_not(lone: Settings):
    started = process.start(lone, a_program())
    record = lone.state_dir / "run" / "server.json"
    # The clock was put forward by 5 s: what began at T then seems to have begun at T + 5 s.
    rewrite(record, created=started.create_time() - 5)
    assert process.find(lone, "server") == started
    time.sleep(0.05)  # the system tells starts apart by 10 ms, in which no pid comes round
    stranger = subprocess.Popen([sys.executable, "-c", SLEEP])
    try:
        rewrite(record, pid=stranger.pid, created=psutil.Process(stranger.pid).create_time())
        assert process.find(lone, "server") is None
    finally:
        stranger.kill()
        stranger.wait()
    rewrite(record, pid=started.pid)


def test_a_server_that_an_older_release_started_is_found(lone: Settings):
    started = process.start(lone, a_program())
    record = lone.state_dir / "run" / "server.json"
    rewrite(record, started=None)
    assert process.find(lone, "server") == started
    rewrite(record, created=started.create_time() - 5)
    assert process.find(lone, "server") is None


def test_stopping_ends_also_a_child_that_left_the_group_and_ignores_sigterm(lone: Settings):
    parent = process.start(lone, a_program(LOOSE_CHILD))
    wait_for(lambda: "1" in process.log_path(lone, "server").read_text(encoding="utf-8"), "the child")
    child = parent.children(recursive=True)[-1]
    assert os.getpgid(child.pid) != parent.pid
    assert process.stop(lone, "server")
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_what_a_killed_server_left_is_ended_before_the_next_start(lone: Settings):
    parent = process.start(lone, a_program(LOOSE_CHILD))
    wait_for(lambda: "1" in process.log_path(lone, "server").read_text(encoding="utf-8"), "the child")
    orphan = parent.children(recursive=True)[-1]
    parent.kill()
    process.start(lone, a_program())
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


def test_stopping_what_does_not_run_is_harmless(lone: Settings):
    assert not process.stop(lone, "server")


def test_an_unreadable_record_counts_as_not_running(lone: Settings):
    (lone.state_dir / "run").mkdir(parents=True)
    (lone.state_dir / "run" / "server.json").write_text("{", encoding="ascii")
    assert process.find(lone, "server") is None


def test_a_server_that_ends_at_its_start_is_reported_with_its_last_words(lone: Settings):
    process.start(lone, a_program("import sys; sys.exit('no such table')"))
    with pytest.raises(TandemError, match=r"server ended at its start \(no such table\): see .*server\.log"):
        process.wait_until_ready(lone, "server", lambda: False, timeout_s=60)


def test_the_last_words_of_a_server_are_not_the_frames_of_a_stack(tmp_path: Path):
    log = tmp_path / "server.log"
    log.write_text("10:04 ERROR caught exception\njava.io.IOException: No space left\n" + "\tat A.b(A.java:1)\n" * 300)
    assert process.last_line(log) == "java.io.IOException: No space left"


def test_another_process_gets_the_very_settings(tmp_path: Path):
    own = Settings(
        state_dir=tmp_path,
        allowed_lateness="PT90M",
        moving_average_retention="PT4H",
        topic_prefix="mine-",
        business_timezone="Europe/Berlin",
    )
    code = "from tandem.settings import settings; print(settings().model_dump_json())"
    env = {**os.environ, **process.environment(own)}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert said.strip() == own.model_dump_json()


def test_another_process_gets_the_very_folders_though_it_begins_in_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    own = Settings(state_dir="state", archive_uri="the archive", order_facts_uri="s3://books/order_facts")
    code = "from tandem.settings import settings as s; print(s().state_dir, s().archive, s().order_facts, sep='|')"
    env = {**os.environ, **process.environment(own)}
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, check=True).stdout
    assert said.strip() == f"{tmp_path}/state|{tmp_path}/the archive|s3://books/order_facts"
