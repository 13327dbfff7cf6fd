"""committing: a thread commits a micro-batch while the next one is read, decided and folded.

One commit at a time, each begun only once the one before it has succeeded. So there is never more than one micro-batch
whose fate is open, and nothing behind a commit that failed is ever sent.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg

from stream import sink


class Committing:
    """Owns the connection while a commit runs: whoever else uses it calls ``wait`` first. Of one thread."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._thread = ThreadPoolExecutor(1, "commit")
        self._running: tuple[Future[None], Callable[[], None]] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the fate of a micro-batch is open."""
        return self._running is not None

    def start(self, writes: sink.Writes, then: Callable[[], None]) -> None:
        """Commit once the commit before has succeeded; ``then`` is called by the ``wait`` that learns of it.

        Raises what the commit before raised.
        """
        self.wait()
        self._running = self._thread.submit(sink.commit, self._connection, writes), then

    def wait(self) -> None:
        """Until nothing runs. Raises what the commit raised: sink.Fenced, or an error of psycopg."""
        if self._running:
            (running, then), self._running = self._running, None
            running.result()
            then()

    def close(self) -> None:
        """Let what runs come to its end; what it came to is lost on the worker, and stands in Postgres."""
        self._thread.shutdown()


class AfterCommits:
    """A connection to look things up by: a query waits for the commit that is running, and so sees it."""

    def __init__(self, connection: psycopg.Connection[Any], committing: Committing) -> None:
        self._connection, self._committing = connection, committing

    def execute(self, query: str, parameters: dict[str, Any]) -> psycopg.Cursor[Any]:
        """As psycopg does. Raises what the commit raised, too."""
        self._committing.wait()
        return self._connection.execute(query, parameters)
