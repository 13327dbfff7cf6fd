"""Start and stop servers: each in its own session, found again by pid and start, ended with all it left."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from tandem.errors import TandemError
from tandem.settings import Settings

_LOG_BYTES = 20 * 1024 * 1024
"""A log longer than this is set aside at the next start; one old log is kept."""
_SAME_START_S = 1.0
"""Start times closer than this are one process, where nothing better is known: a recycled pid is younger."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
READY_S = 300.0
"""A part that is not ready by then hangs; on a busy machine of two cores Airflow took 200."""
_STRAGGLE_S = 5.0
"""What still runs this long after its server ended is killed."""

_started: list[subprocess.Popen[bytes]] = []
"""Kept, so that Python does not warn about children which are meant to outlive it."""


@dataclass(frozen=True, slots=True)
class Program:
    """A server to start: ``run_as`` is a user id where it must not run as root."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    run_as: int | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 30.0


@dataclass(frozen=True, slots=True)
class _Record:
    """What is written down about a running server, enough to find and end it from another process.

    ``started`` is None outside Linux, and in what an older release wrote down.
    """

    pid: int
    created: float
    stop_signal: int
    grace_s: float
    started: str | None = None


def environment(settings: Settings) -> dict[str, str]:
    """The ``TANDEM_*`` variables under which another process has these very settings."""
    return {f"TANDEM_{name.upper()}": str(value) for name, value in settings.model_dump(mode="json").items()}


def log_path(settings: Settings, name: str) -> Path:
    """Where the output of a server goes."""
    return settings.state_dir / "logs" / f"{name}.log"


def start(settings: Settings, program: Program) -> psutil.Process:
    """Start it in its own session, output to its log, after ending what an earlier one left behind."""
    end_remains(settings, program.name)
    log = log_path(settings, program.name)
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    env = {**os.environ, **environment(settings), **program.env, **_marks(settings, program.name)}
    with log.open("ab") as output:
        child = subprocess.Popen(
            program.argv,
            env=env,
            cwd=program.cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=program.run_as,
            group=None if program.run_as is None else pwd.getpwuid(program.run_as).pw_gid,
            extra_groups=None if program.run_as is None else [],
        )
    _started.append(child)
    process = psutil.Process(child.pid)
    _remember(settings, program, process)
    return process


def end_remains(settings: Settings, name: str) -> None:
    """End what a killed server left behind, which may still hold its port."""
    end(_marked(settings, name))


def find(settings: Settings, name: str) -> psutil.Process | None:
    """The server's process; None when it ended, though its pid may be someone else's by now."""
    record = _recall(settings, name)
    if record is None:
        return None
    try:
        process = psutil.Process(record.pid)
        same = _is_same(record, process)
    except psutil.NoSuchProcess:
        return None
    return process if same and _is_alive(process) else None


def stop(settings: Settings, name: str) -> bool:
    """End the server and everything it started, also what left its process group. False when nothing ran."""
    record, process = _recall(settings, name), find(settings, name)
    members = _marked(settings, name)
    if process is not None and record is not None:
        members |= {process, *process.children(recursive=True)}
        with suppress(ProcessLookupError):
            os.killpg(process.pid, record.stop_signal)
        _wait({process}, record.grace_s)
        _wait(members, _STRAGGLE_S)
    end(members | _marked(settings, name))
    _record_path(settings, name).unlink(missing_ok=True)
    return bool(members)


def wait_until_ready(settings: Settings, name: str, ready: Callable[[], bool], timeout_s: float = READY_S) -> None:
    """Return once ``ready()``. Raises TandemError with the log's last line when the server ends or takes too long."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        gone = find(settings, name) is None
        if gone or time.monotonic() > deadline:
            said = f" ({last_line(log_path(settings, name))})"
            problem = f"{name} {'ended at its start' if gone else f'is not ready after {timeout_s:.0f} s'}{said}"
            raise TandemError(problem, f"see {log_path(settings, name)}")
        time.sleep(0.1)


def last_line(log: Path) -> str:
    """The last line of a log that says anything, not what is indented below one, as the frames of a stack are."""
    if not log.exists():
        return "no log"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    flush = [line for line in lines if not line[0].isspace()]
    return (flush or lines or ["nothing logged"])[-1].strip()


def _marks(settings: Settings, name: str) -> dict[str, str]:
    """Environment by which every descendant is known as this installation's, whatever session it moved to.

    ``SPT_NOENV`` keeps setproctitle, which Airflow uses, from overwriting it.
    """
    return {"TANDEM_SERVICE": name, "TANDEM_STATE_DIR": str(settings.state_dir.resolve()), "SPT_NOENV": "1"}


def _marked(settings: Settings, name: str) -> set[psutil.Process]:
    wanted = _marks(settings, name)
    found = set()
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            if process.pid not in ours and wanted.items() <= process.environ().items():
                found.add(process)
        except (psutil.Error, OSError):
            continue  # ended meanwhile, or another user's
    return found


def _is_same(record: _Record, process: psutil.Process) -> bool:
    started = None if record.started is None else _started_at(process.pid)
    if started is not None:
        return started == record.started
    return abs(process.create_time() - record.created) <= _SAME_START_S


def _started_at(pid: int) -> str | None:
    """Which boot of the machine, and how many ticks after it: what a step of the clock leaves alone.

    The time of day at which Linux says that a process began is worked out from these, and moves with every step. None
    where there is no such thing, as on macOS, which notes the time of day itself.
    """
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # Field 22, counted behind the name, the second, which may hold spaces and brackets.
    return f"{boot}+{int(stat.rpartition(b')')[2].split()[19])}"


def _is_alive(process: psutil.Process) -> bool:
    """Whether it still does anything: a zombie, which in a container may stay for ever, does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait(processes: set[psutil.Process], timeout_s: float) -> set[psutil.Process]:
    """Those still alive when all have ended or the time is up."""
    deadline = time.monotonic() + timeout_s
    while True:
        for child in _started:
            child.poll()  # a child that nobody waits for stays a zombie
        alive = {process for process in processes if _is_alive(process)}
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(0.05)


def end(processes: set[psutil.Process]) -> None:
    """SIGTERM, then SIGKILL. Raises TandemError for what survives both."""
    alive = _wait(processes, 0)
    for ask in (psutil.Process.terminate, psutil.Process.kill):
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                ask(process)
        alive = _wait(alive, _STRAGGLE_S)
    for process in alive:
        raise TandemError(f"process {process.pid} does not end", "end it by hand")


def _record_path(settings: Settings, name: str) -> Path:
    return settings.state_dir / "run" / f"{name}.json"


def _recall(settings: Settings, name: str) -> _Record | None:
    try:
        return _Record(**json.loads(_record_path(settings, name).read_text(encoding="ascii")))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None


def _remember(settings: Settings, program: Program, process: psutil.Process) -> None:
    path = _record_path(settings, program.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    pid, signalled = process.pid, int(program.stop_signal)
    record = _Record(pid, process.create_time(), signalled, program.grace_s, _started_at(pid))
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(asdict(record)), encoding="ascii")
    draft.replace(path)
