"""What every local part offers, so that ``up``, ``down`` and ``status`` treat them alike."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from tandem.local import process
from tandem.settings import Settings


@dataclass(frozen=True, slots=True)
class Service:
    """One local part: ``start`` returns when it is ready to be used, and may be called when it runs already."""

    name: str
    start: Callable[[Settings], None]
    is_ready: Callable[[Settings], bool]
    address: Callable[[Settings], str]
    ports: tuple[str, ...] = ()
    """Fields of Settings that hold its ports."""
    needs: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()
    """Its processes in starting order; empty means one, of the service's name."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of its processes."""
        return self.processes or (self.name,)

    def is_running(self, settings: Settings) -> bool:
        """Whether all its processes run."""
        return all(process.find(settings, part) for part in self.parts)

    def is_idle(self, settings: Settings) -> bool:
        """Whether none of its processes runs."""
        return not any(process.find(settings, part) for part in self.parts)

    def stop(self, settings: Settings) -> bool:
        """End all its processes, side by side. False when nothing ran."""
        with ThreadPoolExecutor() as pool:
            ran = list(pool.map(partial(process.stop, settings), self.parts))
        return any(ran)
