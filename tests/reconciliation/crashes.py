"""A correction that ends between two of its steps, as a process that is killed does."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer

from reconciliation import correct, emit
from tandem import kafka_client

STEPS = ("kept", "sent, not committed", "sent", "marked")
"""What was done last."""


class CrashError(BaseException):
    """The process ends here."""


def _crash(*_args: object, **_named: object) -> None:
    raise CrashError


def crash_after(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process end between two steps of the correction."""
    if step == "kept":
        monkeypatch.setattr(emit, "emit", lambda _, found, __: _crash() if found else None)
    elif step == "sent, not committed":
        monkeypatch.setattr(kafka_client, "Producer", _Uncommitting)
    elif step == "sent":
        send = emit.emit
        monkeypatch.setattr(emit, "emit", lambda *args: (send(*args), args[1] and _crash()))
    elif step == "marked":
        monkeypatch.setattr(correct, "wait_until_applied", _crash_second_time())


def _crash_second_time():
    wait, calls = correct.wait_until_applied, []

    def waits(*args: object) -> int:
        calls.append(1)
        return wait(*args) if len(calls) == 1 else _crash()

    return waits


class _Uncommitting(Producer):
    def commit_transaction(self, *_: object) -> None:
        self.flush(30)
        raise CrashError
