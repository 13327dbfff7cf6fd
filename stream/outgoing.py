"""outgoing: everything that leaves for Kafka, in a thread beside the micro-batches, so that none waits for a broker.

Events leave as soon as their micro-batch is committed, from the outbox; states at a cadence, from the books. The thread
owns nothing that a crash could lose.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
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
from stream.source import Position
from stream.tables import ADJUSTMENTS, OUTBOX, Table
from tandem.errors import TandemError
from tandem.settings import Settings

_RELAY_EVERY_S = 5.0
"""What a worker left behind in the outbox when it died goes out within this time."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Granted:
    """Next offset and epoch of partitions that are this worker's from now on."""

    positions: Mapping[Position, tuple[int, int]]


class Outgoing:
    """The thread. It starts with the session and is told of every grant and commit."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._every_s = settings.early_results_every.total_seconds()
        self._told: SimpleQueue[_Granted | tuple[Frames, Mapping[Position, int]]] = SimpleQueue()
        self._wake, self._stop = Event(), Event()
        self._failure: BaseException | None = None
        self._relay, self._publisher = Relay(settings), Publisher(settings)
        self._connection: psycopg.Connection[Any] | None = None
        self._due = {"relay": 0.0, "publish": time.monotonic() + self._every_s}
        self._thread = Thread(target=self._run, name="outgoing", daemon=True)
        self._thread.start()

    def granted(self, positions: Mapping[Position, tuple[int, int]]) -> None:
        """Partitions are this worker's, each from an offset on, in an epoch."""
        self._told.put(_Granted(positions))

    def committed(
        self, frames: Mapping[Table, pl.DataFrame], adjustments: Sequence[tuple[Any, ...]], moves: Sequence[Move]
    ) -> None:
        """A micro-batch was committed: the rows it wrote, OUTBOX among them, and how far it moved.

        Raises what ended the thread, if anything did that waiting does not help.
        """
        if self._failure:
            raise self._failure
        named = {table.name: frame for table, frame in frames.items() if table.name in LOOKED_AT}
        if adjustments:
            named[ADJUSTMENTS.name] = pl.DataFrame(adjustments, schema=ADJUSTMENTS.columns, orient="row")
        self._told.put((named, {(move.topic, move.partition): move.new_offset for move in moves}))
        if frames[OUTBOX].height:
            self._due["relay"] = 0.0
        self._wake.set()

    def close(self, *, sent: bool) -> None:
        """Stop; where ``sent``, with everything gone out that can. What cannot is left to another worker."""
        self._stop.set()
        self._wake.set()
        self._thread.join()
        if sent:
            self._due = dict.fromkeys(self._due, 0.0)
            self._turn()
        if self._connection:
            self._connection.close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._wake.clear()
                self._turn()
                self._wake.wait(max(0.0, min(self._due.values()) - time.monotonic()))
        except BaseException as error:  # noqa: BLE001 - raised again where the session sees it
            self._failure = error

    def _turn(self) -> None:
        """Send what is due. Waits out what passes by itself, on a new connection the next time."""
        try:
            if self._connection is None:
                self._connection = sink.connect(self._settings)
            self._listen()
            if self._is_due("relay", _RELAY_EVERY_S):
                self._relay.send(self._connection)
            if self._is_due("publish", self._every_s):
                self._publisher.send(self._connection)
        except (*PASSES, TandemError) as error:
            if not passes(error):
                raise
            if self._connection:
                self._connection.close()
            self._connection = None
            self._due = {name: max(at, time.monotonic() + 1) for name, at in self._due.items()}
            _log.warning("outgoing_waits", reason=str(error).strip().split("\n")[0])

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

    def _is_due(self, name: str, every_s: float) -> bool:
        """Whether it is time; if so, the next time is set."""
        now = time.monotonic()
        if now < self._due[name]:
            return False
        self._due[name] = now + every_s
        return True
