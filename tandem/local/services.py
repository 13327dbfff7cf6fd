"""The local parts in starting order, and what is done to several of them."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tandem.errors import TandemError
from tandem.local import airflow, kafka, mail, postgres, process, worker
from tandem.local.ports import check_free
from tandem.local.service import Service
from tandem.settings import Settings

SERVICES: dict[str, Service] = {
    service.name: service
    for service in (
        postgres.SERVICE,
        kafka.SERVICE,
        mail.SERVICE,
        worker.SPEED,
        worker.ARCHIVER,
        airflow.SERVICE,
    )
}
_SPACE_BYTES = 1024**3


def select(names: Iterable[str]) -> list[Service]:
    """These services and what they need, in starting order; all of them for no name. Raises TandemError."""
    wanted: set[str] = set()
    waiting = _known(names)
    while waiting:
        name = waiting.pop()
        wanted.add(name)
        waiting += SERVICES[name].needs
    return [service for service in SERVICES.values() if service.name in wanted]


def select_with_dependents(names: Iterable[str]) -> list[Service]:
    """These services and what cannot work without them, in starting order; all of them for no name."""
    wanted = set(_known(names))
    return [service for service in SERVICES.values() if service.name in wanted or wanted & set(service.needs)]


def _known(names: Iterable[str]) -> list[str]:
    known = list(names) or list(SERVICES)
    for name in known:
        if name not in SERVICES:
            raise TandemError(f"there is no local part '{name}'", f"choose from {', '.join(SERVICES)}")
    return known


def check_room(settings: Settings, services: Iterable[Service]) -> None:
    """End remains of what is to start; raise TandemError where its ports are in use or the disk is full."""
    idle = [service for service in services if service.is_idle(settings)]
    for part in (part for service in idle for part in service.parts):
        process.end_remains(settings, part)
    check_free(settings.host, {field: getattr(settings, field) for service in idle for field in service.ports})
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.state_dir).free
    if idle and free < _SPACE_BYTES:
        raise TandemError(
            f"{free / 1024**2:.0f} MB free on the disk of {settings.state_dir}", "make room: 1 GB is needed to work"
        )


def ensure_folder(settings: Settings) -> None:
    """Make the state folder where there is none. Raises TandemError where it cannot be written."""
    try:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        (settings.state_dir / "lock").touch()
    except OSError as error:
        remedy = "set TANDEM_STATE_DIR to a folder that you may write"
        raise TandemError(f"cannot write {settings.state_dir}: {error.strerror}", remedy) from error


@contextmanager
def exclusive(settings: Settings) -> Iterator[None]:
    """Let one ``up`` or ``down`` at a time work on an installation; the lock falls with the process.

    Raises TandemError where the state folder cannot be written.
    """
    ensure_folder(settings)
    with (settings.state_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def delete_data(settings: Settings) -> None:
    """Delete everything the installation keeps. Raises TandemError while a part of it runs."""
    if running := [service.name for service in SERVICES.values() if not service.is_idle(settings)]:
        raise TandemError(f"{running[0]} still runs", "run 'tandem down' first")
    if settings.state_dir.exists():
        postgres.delete_data(settings)
        shutil.rmtree(settings.state_dir)
