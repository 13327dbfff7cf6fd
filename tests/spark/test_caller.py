"""An application looks after the command that started it, from its first moment on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

LOOKS = "import sys; from spark_jobs import caller; caller.end_with_caller(); print('up', flush=True); sys.stdin.read()"


@contextmanager
def application(caller: int | None) -> Iterator[subprocess.Popen[str]]:
    """A process that goes on until its input ends."""
    named = {} if caller is None else {"SPARK_JOB_CALLER": str(caller)}
    started = subprocess.Popen(
        [sys.executable, "-c", LOOKS],
        env={**os.environ, **named},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


@contextmanager
def killed_command(*, is_asked_after: bool) -> Iterator[int]:
    """The id of a process that was killed; it stays in the list until somebody asks after it."""
    command = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    command.kill()
    if is_asked_after:
        command.wait()
    else:
        while psutil.Process(command.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
    yield command.pid
    command.communicate()


@pytest.mark.parametrize("is_asked_after", [True, False])
def test_it_ends_where_its_caller_was_killed_before_it_looked(is_asked_after: bool) -> None:
    with killed_command(is_asked_after=is_asked_after) as caller, application(caller) as started:
        assert started.wait(300) == 1


def test_it_goes_on_while_its_caller_lives_and_where_none_is_named() -> None:
    for caller in (os.getpid(), None):
        with application(caller) as started:
            assert started.stdout
            assert started.stdout.readline() == "up\n"
            assert started.communicate("", timeout=300) == ("", None)
            assert started.returncode == 0
