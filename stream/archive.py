"""The archiver (capability L2): every event as it came, once, into the master dataset.

Any number of archivers may run: the consumer group shares out the partitions and moves them on when one stops, and
the table refuses whoever comes too late (stream.archive_table). So a kill at any moment leaves whole commits only,
each with the offsets from which the next archiver goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog
from confluent_kafka import KafkaException, Message

from stream.archive_batch import BatchLimit, PendingState
from stream.archive_source import BACK_OFF_S, READ_AT_ONCE, Ending, Source, has_members
from stream.archive_table import FencedError, MasterDataset, Offsets, StorageError, covers, missing
from stream.outages import passes
from tandem import database, kafka_client
from tandem.amounts import count
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.topic_ids import another
from tandem.topics import ORDER_EVENTS

_READ_S = 0.2
_LOOK_S = 0.5
"""How often a waiting process looks whether others have committed."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Totals:
    """What one archiver did, and how far the archive is."""

    events: int
    commits: int
    next_offsets: Offsets


class Archiver:
    """One member of the archiver's group, from start to end."""

    def __init__(self, settings: Settings, ending: Ending) -> None:
        self._settings = settings
        self._ending = ending
        self._limit = BatchLimit(
            settings.archive_batch_max_events, settings.archive_batch_max_bytes, settings.archive_batch_linger
        )
        self._dataset = MasterDataset.find_or_create(settings.archive, ORDER_EVENTS)
        self._source = Source(settings)
        self._pending = PendingState()
        self._looked_at = 0.0
        self._back_off_s = BACK_OFF_S[0]
        self._events = self._commits = 0

    def run(self, target: Offsets | None = None) -> Totals:
        """Archive until the ending comes, or until the archive holds everything below ``target``.

        What has been read by then is committed, if the storage takes it. Raises TandemError where Kafka no longer has
        what comes next.
        """
        try:
            self._open_partitions()  # also those that another member will read, or nobody yet
            self._source.subscribe()
            while not self._ending.has_come() and not (target is not None and self._holds(target)):
                self._step(target)
            self._commit()
        finally:
            self._source.close()
        with suppress(StorageError):  # it was said
            self._dataset.refresh()
        return Totals(self._events, self._commits, self._dataset.next_offsets())

    def run_until_caught_up(self) -> Totals:
        """Archive until the archive holds everything that was in Kafka when this was called.

        Transactions that were open then are waited for; Kafka ends those whose producer is gone.
        """
        topic = self._source.wait_for_topic(self._ending)
        return self.run({partition: high for partition, (_, high) in topic.bounds.items()} if topic else None)

    def _step(self, target: Offsets | None) -> None:
        room = self._limit.events - len(self._pending.offsets)
        messages = self._source.read(min(READ_AT_ONCE, room), _READ_S)
        if (granted := self._source.take_grant()) is not None:
            self._start(granted)
            return
        now = time.monotonic()
        for message in messages:
            self._take(message, now)
        if self._pending.is_due(now, self._limit) or (target is not None and self._pending.completes(target)):
            self._commit()

    def _take(self, message: Message, now: float) -> None:
        error = message.error()
        if error is None:
            self._pending.add(message, now)
        elif error.code() == kafka_client.END:
            self._pending.reach(message.partition(), message.offset(), now)
        else:
            try:
                self._source.check(error, message.partition())
            except TandemError:  # an offset that is not there, perhaps because the topic is another one
                self._is_same_topic()
                raise

    def _start(self, partitions: list[int]) -> None:
        """Read the partitions from where the archive ends, forgetting what was read and not committed."""
        held = self._open_partitions() if partitions else {}
        positions = {partition: held[partition] for partition in partitions if partition in held}
        self._pending.start(positions)
        self._source.start(positions)
        _log.info("partitions_granted" if partitions else "partitions_taken", next_offsets=positions)

    def _open_partitions(self) -> Offsets:
        """The archive's next offsets, after opening partitions that it does not know at the first offset there is.

        Empty where the ending came while Kafka was away and nothing was archived yet. Raises TandemError where the
        topic is not the one that is archived, or was set back.
        """
        topic = self._source.wait_for_topic(self._ending)
        while True:
            refreshed = self._stored(self._dataset.refresh)
            held = self._dataset.next_offsets()
            if topic is None or not refreshed:
                return held
            self._require_same(topic.topic_id)
            self._require_still_there(held)
            new = {partition: low for partition, (low, _) in topic.bounds.items() if partition not in held}
            if not new and self._dataset.topic_id is not None:
                return held
            with suppress(FencedError):  # another archiver has just opened them
                if not self._stored(partial(self._dataset.open_partitions, topic.topic_id, new)):
                    return held
                if begun_late := {partition: low for partition, low in new.items() if low > 0}:
                    _log.warning("archive_begins_after_expired_events", first_offsets=begun_late)

    def _commit(self) -> None:
        moves = self._pending.moves()
        if not moves:
            return
        # After it was read: an id does not come back, so where it is the known one now, it was so then.
        if not self._is_same_topic():
            self._ending.has_come_within(BACK_OFF_S[0])
            return
        events = self._pending.table(ORDER_EVENTS, self._settings.zone)
        try:
            self._dataset.append(events, moves)
        except StorageError as problem:
            self._wait_for_storage(problem)
            return
        except FencedError:
            _log.warning("fenced", dropped=events.num_rows, reason="another archiver has committed these partitions")
            self._start(list(self._pending.reached))
            return
        self._events += events.num_rows
        self._commits += 1
        self._pending.done()
        self._back_off_s = BACK_OFF_S[0]
        self._source.show_progress(self._pending.committed)
        _log.info("archived", events=events.num_rows, version=self._dataset.version)

    def _wait_for_storage(self, problem: StorageError) -> None:
        """Forget what was read, and read it again later. It stays in the group, whose other members may do better."""
        partitions = list(self._pending.reached)
        self._pending.start({})
        self._source.start({})
        self._say_storage_waits(problem)
        self._source.idle(self._back_off_s, self._ending)
        self._back_off_s = min(2 * self._back_off_s, BACK_OFF_S[1])
        if not self._ending.has_come():
            self._start(partitions)

    def _stored(self, work: Callable[[], None]) -> bool:
        """Do it once the storage lets it be done; False where the ending, or another grant, came first."""
        while True:
            try:
                work()
            except StorageError as problem:
                self._say_storage_waits(problem)
            else:
                return True
            if self._source.idle(self._back_off_s, self._ending):
                return False
            self._back_off_s = min(2 * self._back_off_s, BACK_OFF_S[1])

    def _say_storage_waits(self, problem: StorageError) -> None:
        _log.warning("waiting_for_storage", reason=problem.problem, retry_in_s=self._back_off_s)

    def _is_same_topic(self) -> bool:
        """Whether the topic still is the one that is archived; False where Kafka does not tell now.

        Raises TandemError where it is another one.
        """
        try:
            found = self._source.topic_id()
        except KafkaException as failure:
            self._source.warn(failure.args[0])
            return False
        self._require_same(found)
        return True

    def _require_still_there(self, partitions: Iterable[int]) -> None:
        """Raises TandemError where Kafka has another record where the archive ends, so what follows is no sequel."""
        last = {partition: found for partition in partitions if (found := self._dataset.last(partition))}
        while last and not self._ending.has_come():
            try:
                self._source.require_still_there(last)
            except KafkaException as failure:
                self._source.warn(failure.args[0])
                self._ending.has_come_within(BACK_OFF_S[0])
            else:
                return

    def _require_same(self, topic_id: int) -> None:
        if self._dataset.topic_id not in {None, topic_id}:
            raise another(ORDER_EVENTS)

    def _holds(self, target: Offsets) -> bool:
        if covers(self._dataset.next_offsets(), target):
            return True
        if time.monotonic() - self._looked_at < _LOOK_S:
            return False
        self._looked_at = time.monotonic()
        self._stored(self._dataset.refresh)
        return covers(self._dataset.next_offsets(), target)


def _require_same_books(settings: Settings, ending: Ending) -> None:
    """Return once Postgres has said that the dates which records are put under are the business's, or the ending came.

    A record under a date of another zone would be missing from its own to every reader. Raises TandemError.
    """
    wait_s, longest_s = BACK_OFF_S
    while not ending.has_come():
        try:
            database.require_same_books(settings)
        except TandemError as error:
            if not passes(error):
                raise
            _log.warning("waiting_for_postgres", reason=error.problem, retry_in_s=wait_s)
        else:
            return
        ending.has_come_within(wait_s)
        wait_s = min(2 * wait_s, longest_s)


def next_offsets(settings: Settings) -> Offsets:
    """How far the archive is: the next offset of every partition; empty where nothing was archived yet."""
    dataset = MasterDataset.find(settings.archive, ORDER_EVENTS)
    return dataset.next_offsets() if dataset else {}


def archive(settings: Settings, *, stop: threading.Event, until_caught_up: bool = False) -> Totals:
    """Run an archiver until ``stop``, or until it has all that was in Kafka at the start."""
    ending = Ending(stop)
    _require_same_books(settings, ending)
    archiver = Archiver(settings, ending)
    return archiver.run_until_caught_up() if until_caught_up else archiver.run()


def cut_offsets(settings: Settings, run_id: str) -> Offsets:
    """The offsets at which a run compares both layers. Raises TandemError where the run has no cut."""
    parameters = {"run_id": run_id, "topic": ORDER_EVENTS}
    with database.connect(settings, database.READER) as connection:
        rows = connection.execute(database.queries("archive").cut_offsets, parameters).fetchall()
    if not rows:
        raise TandemError(f"run '{run_id}' has no cut", f"take it with 'tandem cut --date D --run-id {run_id}'")
    return dict(rows)


def wait_until(settings: Settings, offsets: Offsets, timeout: timedelta) -> Totals:
    """Return when the archive holds everything below ``offsets``. Where no archiver is running, archive here.

    The totals are those of the archiving done here. Raises TandemError after ``timeout``.
    """
    deadline = time.monotonic() + timeout.total_seconds()
    events = commits = 0
    while not covers(held := next_offsets(settings), offsets):
        if time.monotonic() >= deadline:
            behind = count(missing(held, offsets), "offset")
            raise TandemError(
                f"the archive is {behind} behind after {timeout.total_seconds():.0f} s",
                "see the archiver's log; 'tandem archive --until-caught-up' shows what holds it up",
            )
        if has_members(settings):
            time.sleep(_LOOK_S)
        else:
            ending = Ending(deadline=deadline)
            _require_same_books(settings, ending)
            totals = Archiver(settings, ending).run(offsets)
            events, commits = events + totals.events, commits + totals.commits
    return Totals(events, commits, held)
