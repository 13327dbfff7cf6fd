"""settle: what many micro-batches left → what readers want, in the background: pending rows go to the tables that they
are for, small segments of the journal become large ones, and the sketches of a cell one.

While there is a backlog this waits until much has gathered, because one settling of many micro-batches changes each row
once; without one it happens every few seconds. Readers do not notice either way.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg

from stream import sink
from stream.compact import compact_all
from stream.segments import Merging
from stream.tables import Table
from tandem import database
from tandem.settings import Settings

_PACKED = tuple(table for table in sink.TABLES if table.is_packed)
_EVENTS = 1_000_000
"""So many events are left pending under load."""
_EVERY_S = 2.0
_REST = 4
"""After settling, this many times its duration is left for other things."""


class Settler:
    """Settles what this worker and others have left pending. One worker does so at a time."""

    def __init__(self, settings: Settings) -> None:
        self._connection = database.connect(settings, database.SPEED, options=sink.never_idle(settings))
        self._thread = ThreadPoolExecutor(1, "settle")
        self._running: Future[bool] | None = None
        self._pending = self._taken = 0
        self._merging, self._allowed_lateness = Merging(), settings.allowed_lateness
        self._not_before = time.monotonic() + _EVERY_S

    def note(self, events: int, *, backlog: bool) -> None:
        """So many events were committed. ``backlog``: more are waiting in Kafka. Raises what settling raised."""
        self._pending += events
        if self._running and self._running.done():
            if not self._running.result():
                self._pending += self._taken
            self._running = None
        due = self._pending >= _EVENTS if backlog else self._pending and time.monotonic() >= self._not_before
        if due and not self._running:
            self._pending, self._taken = 0, self._pending
            self._running = self._thread.submit(self._settle)

    def close(self, *, settled: bool) -> None:
        """Let go, with nothing pending where ``settled``."""
        self._thread.shutdown()
        try:
            if settled:
                self._settle(wait=True)
        finally:
            self._connection.close()

    def _settle(self, *, wait: bool = False) -> bool:
        """Whether all was settled: somebody else may have been at it, if only at some of it."""
        started = time.monotonic()
        done = settle(self._connection, _PACKED, wait=wait)
        with self._connection.transaction():
            if _alone(self._connection, wait=False):
                self._merging.run(self._connection)
                compact_all(self._connection, self._allowed_lateness)
        ended = time.monotonic()
        self._not_before = ended + max(_EVERY_S, _REST * (ended - started))
        return done


def settle(connection: psycopg.Connection[Any], tables: Iterable[Table], *, wait: bool = False) -> bool:
    """Settle what is pending for these tables, in a transaction of its own; whether it was done. Where somebody else
    settles, it is done after them, or not at all where not ``wait``.
    """
    with connection.transaction():
        if not _alone(connection, wait=wait):
            return False
        for table in tables:
            connection.execute(getattr(sink.statements, f"settle_{table.name}"))
        return True


def _alone(connection: psycopg.Connection[Any], *, wait: bool) -> bool:
    """Whether nobody else settles now, or from now on until the transaction ends."""
    if wait:
        connection.execute(sink.queries.settling)
        return True
    row = connection.execute(sink.queries.settling_if_free).fetchone()
    return row is not None and row[0]
