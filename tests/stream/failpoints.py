"""A worker that dies at a chosen step: os._exit, so nothing is rolled back, closed or said, as after kill -9.

A step is a call that leaves the process: a statement or COPY to Postgres, the end of a transaction, what Kafka's
producer is asked to do. It is known by what it does, so that nothing here follows how the worker is built.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock
from typing import Any

import psycopg
from confluent_kafka import Producer
from psycopg import sql
from pytest import MonkeyPatch  # noqa: PT013 - nothing else of it

from stream import outbox, publish
from stream.worker import Worker
from tandem.settings import Settings

DIED = 9
_LABEL_LENGTH = 70
_lock = Lock()


def run(settings: Settings, *, die_at: tuple[str, int] | None = None, steps: Path | None = None) -> None:
    """Work until caught up, or die before the n-th time a step is taken. ``steps``: the file to write them to."""
    seen: list[str] = []

    def reach(label: str) -> None:
        with _lock:
            seen.append(label)
            if die_at and label == die_at[0] and seen.count(label) > die_at[1]:
                os._exit(DIED)

    _before_steps_of_kafka(reach)
    with before_steps_of_postgres(reach):
        Worker(settings, Event()).run(until_caught_up=True)
    if steps:
        steps.write_text("\n".join(seen))


def _before_steps_of_kafka(reach: Callable[[str], None]) -> None:
    """For good: the process ends with the worker."""

    class Hooked(Producer):
        def flush(self, *arguments: Any, **options: Any) -> Any:
            reach("flush")
            result = super().flush(*arguments, **options)
            reach("flushed")
            return result

        def commit_transaction(self, *arguments: Any, **options: Any) -> Any:
            reach("before the end of a Kafka transaction")
            result = super().commit_transaction(*arguments, **options)
            reach("after the end of a Kafka transaction")
            return result

    outbox.Producer = publish.Producer = Hooked  # type: ignore[misc, attr-defined]


@contextmanager
def before_steps_of_postgres(reach: Callable[[str], None]) -> Iterator[None]:
    """Call it with the label of each step that Postgres is asked for, before it is."""
    execute, copy, leave = psycopg.Cursor.execute, psycopg.Cursor.copy, psycopg.Transaction.__exit__

    def executed(cursor: psycopg.Cursor[Any], query: Any, *arguments: Any, **options: Any) -> Any:
        reach(_label(cursor, query))
        return execute(cursor, query, *arguments, **options)

    def copied(cursor: psycopg.Cursor[Any], query: Any, *arguments: Any, **options: Any) -> Any:
        reach(_label(cursor, query))
        return copy(cursor, query, *arguments, **options)

    def left(transaction: psycopg.Transaction, *raised: Any) -> Any:
        reach("before the end of a transaction")
        result = leave(transaction, *raised)
        reach("after the end of a transaction")
        return result

    with MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", executed)
        patch.setattr(psycopg.Cursor, "copy", copied)
        patch.setattr(psycopg.Transaction, "__exit__", left)
        yield


def _label(cursor: psycopg.Cursor[Any], query: Any) -> str:
    text = query.as_string(cursor) if isinstance(query, sql.Composable) else query
    lines = [line for line in (text.decode() if isinstance(text, bytes) else text).splitlines() if line[:2] != "--"]
    return " ".join(" ".join(lines).split())[:_LABEL_LENGTH]
