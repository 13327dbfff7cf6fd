"""Ports: which are free, and what to say when one is not."""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping

import psutil

from tandem.errors import TandemError


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def pick_free(host: str, count: int) -> list[int]:
    """Ports that nothing uses, below those that the system hands out to outgoing connections."""
    candidates = random.sample(range(23_000, 32_000), 500)
    return [port for port in candidates if is_free(host, port)][:count]


def answers(host: str, port: int) -> bool:
    """Whether a server accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def check_free(host: str, ports: Mapping[str, int]) -> None:
    """Raise TandemError for the first port in use; ``ports`` is field of Settings → port."""
    for field, port in ports.items():
        if not is_free(host, port):
            raise TandemError(
                f"port {port} is in use{_by_whom(port)}", f"stop that, or set TANDEM_{field.upper()} to another port"
            )


def _by_whom(port: int) -> str:
    """`` by NAME (pid N)``, where the system tells."""
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
            if listens and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return ""
