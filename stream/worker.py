"""A worker of the speed layer: sessions one after the other, until it is told to stop or has nothing left to do."""

from __future__ import annotations

import os
import socket
import time
from threading import Event

import structlog
from confluent_kafka import KafkaException

from stream import catch_up
from stream.outages import PASSES, passes
from stream.session import Session
from stream.sink import Fenced
from stream.source import ExpiredError
from stream.stats import StatsState
from tandem import documents, kafka_client
from tandem.errors import TandemError, first_line
from tandem.settings import Settings

_REPORT_EVERY_S = 5.0
_PATIENCE_S = (0.2, 5.0)
"""Shortest and longest wait before a session is tried again."""

_log = structlog.get_logger(__name__)


class Worker:
    """Runs sessions. Losing Kafka, Postgres or a partition ends a session, never the worker."""

    def __init__(self, settings: Settings, stop: Event) -> None:
        self._settings, self._stop = settings, stop
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._reported = (time.monotonic(), 0)
        self.stats = StatsState()

    def run(self, *, until_caught_up: bool = False) -> StatsState:
        """Work until ``stop`` is set, or nothing is left. Raises TandemError where waiting does not help."""
        wait_s = _PATIENCE_S[0]
        while not self._stop.is_set():
            before = self.stats.micro_batches
            try:
                if self._work(until_caught_up=until_caught_up):
                    break
            except Fenced as fenced:
                self.stats.fenced += 1
                event, reason = "fenced", str(fenced)
            except (*PASSES, TandemError) as error:
                _raise_if_final(error)
                event, reason = "waiting", first_line(error)
            else:
                continue  # what had expired was read from the archive
            wait_s = _PATIENCE_S[0] if self.stats.micro_batches > before else min(2 * wait_s, _PATIENCE_S[1])
            _log.warning(event, worker=self._name, reason=reason, retry_in_s=wait_s)
            self._stop.wait(wait_s)
        return self.stats

    def _work(self, *, until_caught_up: bool) -> bool:
        """Whether the worker has nothing left to do. What Kafka no longer has is read from the archive."""
        try:
            return self._run_session(until_caught_up=until_caught_up)
        except ExpiredError as expired:
            _log.warning("expired", worker=self._name, reason=expired.problem)
        catch_up.from_archive(self._settings, self._name, self.stats, self._stop)
        return False

    def _run_session(self, *, until_caught_up: bool) -> bool:
        """Whether the worker has nothing left to do."""
        session = Session(self._settings, self._name, self.stats)
        done = False
        try:
            while not done:
                records = session.step()
                self._report(session)
                done = self._stop.is_set() or (until_caught_up and not records and session.is_caught_up())
            return True
        finally:
            session.show_progress()
            session.close(settled=done)

    def _report(self, session: Session) -> None:
        since, events = self._reported
        now = time.monotonic()
        if now - since < _REPORT_EVERY_S:
            return
        self._reported = (now, self.stats.events)
        session.show_progress()
        if self.stats.events > events:
            _log.info(
                "progress",
                events=self.stats.events,
                events_per_second=round((self.stats.events - events) / (now - since)),
                consumer_lag=session.lag(),
                watermark=documents.instant(self.stats.watermark) if self.stats.watermark else None,
                **{name: count for name, count in self.stats.decisions.items() if name != "counted"},
            )


def _raise_if_final(error: Exception) -> None:
    """Only what Postgres or Kafka may recover from is waited for."""
    if isinstance(error, KafkaException) and error.args[0].code() == kafka_client.REFUSED_SETTING:
        raise TandemError(f"Kafka's client refuses the settings ({error.args[0].str()})", "correct TANDEM_*") from error
    if not passes(error):
        raise error
