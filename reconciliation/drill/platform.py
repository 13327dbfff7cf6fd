"""The drill's own installation: a state folder and ports of its own, and the steps of a day's work on it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from reconciliation import cut, reconcile
from reconciliation.compare import Verdict
from tandem.amounts import count
from tandem.demo import folder
from tandem.demo.progress import Progress
from tandem.errors import TandemError
from tandem.local import ports
from tandem.settings import Settings
from tandem.sources.payloads import OutgoingEvent
from tandem.sources.producer import ReplayProducer, produce

_PORTS = ("postgres_port", "kafka_port", "kafka_controller_port", "airflow_port", "smtp_port", "mail_page_port")
_TELL_EVERY = 25


def own_settings(base: Settings, state_dir: Path) -> Settings:
    """The settings of a drill: the user's rules and zone, but nothing of the user's data and servers."""
    numbers = dict(zip(_PORTS, ports.pick_free(base.host, len(_PORTS)), strict=True))
    outside = dict.fromkeys(("kafka_bootstrap", "topic_prefix", "archive_uri", "order_facts_uri"), "")
    return base.model_copy(update={"state_dir": state_dir, **numbers, **outside})


@dataclass(frozen=True, slots=True)
class Platform:
    """A running installation and who tells of it."""

    settings: Settings
    progress: Progress

    def send(self, events: Sequence[OutgoingEvent] | Iterator[OutgoingEvent]) -> int:
        """Replay events into Kafka; returns how many records there are."""
        result = produce(iter(events), ReplayProducer(self.settings, "drill"))
        self.progress.say(f"{count(result.events, 'record')} sent")
        return result.events

    def catch_up(self, *commands: str, changes: Mapping[str, str] | None = None) -> None:
        """Let the speed layer, the archiver or both (``stream``, ``archive``) work until nothing is left."""
        chosen = commands or ("stream", "archive")
        self.progress.run_together(*((name, "--until-caught-up") for name in chosen), changes=changes)

    def compute(self, first: date, last: date, *, changes: Mapping[str, str] | None = None) -> int:
        """Run the batch layer for a range in one Spark application, as far as it is compared; returns its status."""
        span = ("--from", str(first), "--to", str(last), "--view", "daily_metrics")
        return self.progress.run("batch", *span, expected=(0, 2), changes=changes)

    def reconcile(self, dates: Sequence[date]) -> None:
        """Compare and correct every date, and compare again what was corrected."""
        differing = []
        for number, day in enumerate(dates, start=1):
            outcome = reconcile.run(self.settings, day)
            if outcome.verdict is Verdict.MISMATCH:
                differing.append(day)
                reconcile.run(self.settings, day)
            if number % _TELL_EVERY == 0 or number == len(dates):
                told = f"{number} of {len(dates)} dates compared"
                self.progress.say(f"{told}, {len(differing)} were out of tolerance and compared again")

    def end_offsets(self) -> dict[int, int]:
        """Where the log ends, by partition."""
        return cut.end_offsets(self.settings)


@contextmanager
def running(settings: Settings, progress: Progress, *, keep: bool) -> Iterator[Platform]:
    """An empty installation with Postgres, Kafka and a speed worker to come; stopped and deleted unless ``keep``.

    Raises TandemError where another drill works in the folder.
    """
    with _alone(settings):
        folder.reset(settings, folder.DRILL)
        try:
            progress.run("up", "postgres", "kafka")
            yield Platform(settings, progress)
        except BaseException:
            folder.stop(settings)  # the logs stay
            raise
        if keep:
            progress.say(f"left running in {settings.state_dir}; 'tandem down --all' stops it")
        else:
            folder.stop(settings)
            folder.delete(settings)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    settings.state_dir.parent.mkdir(parents=True, exist_ok=True)
    with settings.state_dir.with_name(f"{settings.state_dir.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TandemError(
                f"another drill works in {settings.state_dir}", "wait for it, or name another folder with --folder"
            ) from None
        yield
