"""outgoing: everything that leaves for Kafka, in threads beside the micro-batches, so that none waits for a broker.

Events leave as soon as their micro-batch is committed, from the outbox; states at a cadence, from the books. Each has a
thread of its own: under load states take seconds, for which no alert is to wait. Neither owns what a crash could lose.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any

import polars as pl
import psycopg
import structlog

from stream import sink
from stream.changes import LOOKED_AT, Frames
from stream.outages import PASSES, passes
from stream.outbox import Relay
from stream.publish import Publisher
from stream.sink import Move
from stream.tables import ADJUSTMENTS, OUTBOX, Table
from stream.types import Position
from tandem.errors import TandemError, first_line
from tandem.settings import Settings

_RELAY_EVERY_S = 5.0
"""What a worker left behind in the outbox when it died goes out within this time."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Granted:
    """Next offset and epoch of partitions that are this worker's from now on."""

    positions: Mapping[Position, tuple[int, int]]


class _Duty:
    """A thread that does one thing at a cadence, and at once where it is told to, on a connection of its own.

    ``hears`` is called before it and whenever the thread is woken.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        every_s: float,
        does: Callable[[psycopg.Connection[Any]], object],
        hears: Callable[[], None] = lambda: None,
        *,
        first_in_s: float = 0.0,
    ) -> None:
        self._settings, self._every_s, self._does, self._hears = settings, every_s, does, hears
        self._wake, self._stop = Event(), Event()
        self._due_s = time.monotonic() + first_in_s
        self._connection: psycopg.Connection[Any] | None = None
        self.failure: BaseException | None = None
        """What ended the thread, where waiting does not help."""
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def wake(self, *, now: bool = False) -> None:
        """Hear; where ``now``, it is due too."""
        if now:
            self._due_s = 0.0
        self._wake.set()

    def end(self) -> None:
        """Stop, and wait until it has."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def close(self, *, once_more: bool) -> None:
        """Let go of an ended one; where ``once_more``, it is done first."""
        if once_more:
            self._due_s = 0.0
            self._turn()
        if self._connection:
            self._connection.close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._wake.clear()
                self._turn()
                self._wake.wait(max(0.0, self._due_s - time.monotonic()))
        except BaseException as error:  # noqa: BLE001 - raised again where the session sees it
            self.failure = error

    def _turn(self) -> None:
        """Do it if it is due. Waits out what passes by itself, on a new connection the next time."""
        try:
            if self._connection is None:
                self._connection = sink.connect(self._settings)
            self._hears()
            now_s = time.monotonic()
            if now_s >= self._due_s:
                self._due_s = now_s + self._every_s
                self._does(self._connection)
        except (*PASSES, TandemError) as error:
            if not passes(error):
                raise
            if self._connection:
                self._connection.close()
            self._connection = None
            self._due_s = max(self._due_s, time.monotonic() + 1)
            _log.warning("outgoing_waits", sending=self._thread.name, reason=first_line(error))


class Outgoing:
    """The threads. They start with the session and are told of every grant and commit."""

    def __init__(self, settings: Settings) -> None:
        every_s = settings.early_results_every.total_seconds()
        self._told: SimpleQueue[_Granted | tuple[Frames, Mapping[Position, int]]] = SimpleQueue()
        self._publisher = Publisher(settings)
        self._events = _Duty(settings, "events", _RELAY_EVERY_S, Relay(settings).send)
        self._states = _Duty(settings, "states", every_s, self._publisher.send, self._listen, first_in_s=every_s)

    def granted(self, positions: Mapping[Position, tuple[int, int]]) -> None:
        """Partitions are this worker's, each from an offset on, in an epoch."""
        self._told.put(_Granted(positions))

    def committed(
        self, frames: Mapping[Table, pl.DataFrame], adjustments: Sequence[tuple[Any, ...]], moves: Sequence[Move]
    ) -> None:
        """A micro-batch was committed: the rows it wrote, OUTBOX among them, and how far it moved.

        Raises what ended a thread, if anything did that waiting does not help.
        """
        for duty in (self._events, self._states):
            if duty.failure:
                raise duty.failure
        named = {table.name: frame for table, frame in frames.items() if table.name in LOOKED_AT}
        if adjustments:
            named[ADJUSTMENTS.name] = pl.DataFrame(
                adjustments, schema=ADJUSTMENTS.columns, orient="row", infer_schema_length=None
            )
        self._told.put((named, {(move.topic, move.partition): move.new_offset for move in moves}))
        self._states.wake()
        if frames[OUTBOX].height:
            self._events.wake(now=True)

    def close(self, *, sent: bool) -> None:
        """Stop; where ``sent``, with everything gone out that can. What cannot is left to another worker."""
        self._publisher.is_leaving = True
        with ExitStack() as closing:
            for duty in (self._events, self._states):
                closing.callback(duty.close, once_more=sent)
                closing.callback(duty.end)

    def _listen(self) -> None:
        while True:
            try:
                told = self._told.get_nowait()
            except Empty:
                return
            if isinstance(told, _Granted):
                for position, (next_offset, epoch) in told.positions.items():
                    self._publisher.grant(position, next_offset, epoch)
            else:
                self._publisher.add(*told)
