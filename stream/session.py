"""One membership in the group: from joining until a worker leaves, is fenced, or loses Kafka or Postgres.

Everything a session knows comes from Postgres when a partition is granted, and is thrown away with the session. So no
error needs repair: the next session goes on from what was committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace

import structlog

from stream import sink
from stream.committing import AfterCommits, Committing
from stream.decode import decode
from stream.marks import marks
from stream.memory import Memory, restore
from stream.outgoing import Outgoing
from stream.process import MicroBatch, process_decoded
from stream.rebuild_log import Log
from stream.settle import Settler
from stream.source import Polled, Source, not_there
from stream.stats import StatsState
from stream.types import Decoded, Position, Rules
from stream.upkeep import Upkeep
from stream.written import Written, written
from tandem import database, topic_ids
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

MakeSource = Callable[
    [Settings, Callable[[list[Position]], dict[Position, int]], Callable[[list[Position]], None]], "Source | Log"
]
_SHORTEST_S = 0.005
"""What a poll waits at least, so that what has just come is taken too."""
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class HeldState:
    """A partition this worker holds."""

    epoch: int
    next_offset: int
    memory: Memory


@dataclass(frozen=True, slots=True)
class Ahead:
    """What was read and is being decoded, and not yet decided."""

    polled: Polled
    decoding: Future[Decoded] | None
    topics: topic_ids.Answer
    """Asked for after it was read. An id does not come back: where it is the known one then, it was so before."""


class Session:
    """A consumer, a connection, and what the held partitions remember.

    A micro-batch is decoded by a thread while the one before it is decided and folded, and committed by another while
    the next one is. Only the thread that calls changes what the partitions remember.

    ``source``: where the log comes from, told what to call when partitions are granted and taken. ``sends``: whether
    anything goes out to Kafka.
    """

    def __init__(
        self, settings: Settings, worker: str, stats: StatsState, source: MakeSource = Source, *, sends: bool = True
    ) -> None:
        self._settings, self._worker, self._stats = settings, worker, stats
        self._rules = Rules.of(settings)
        self._held: dict[Position, HeldState] = {}
        self._topic_ids: dict[str, int] = {}
        self._connection = sink.connect_to_commit(settings)
        # Apart from the commits: what operators look up must not wait for a transaction, nor be part of one.
        self._reader = database.connect(settings, database.SPEED, autocommit=True, options="-c TimeZone=UTC")
        self._settler = Settler(settings)
        self._decoder = ThreadPoolExecutor(1, "decode")
        self._committing = Committing(self._connection)
        self._ahead: Ahead | None = None
        self._committed = 0
        self._due_s = 0.0
        self._is_behind = False
        self._upkeep = Upkeep(self._connection, self._rules, settings.idle_after)
        self._source = source(settings, self._granted, self._taken)
        self._outgoing = Outgoing(settings) if sends else None

    def close(self, *, settled: bool = False) -> None:
        """Leave the group and let go of everything, with nothing pending and all sent where ``settled``."""
        self._ahead = None  # not committed, so whoever comes next reads it again
        with ExitStack() as closing:  # each of them, whatever the others raise; the last one first
            closing.callback(self._connection.close)
            closing.callback(self._reader.close)
            closing.callback(self._decoder.shutdown)
            closing.callback(self._settler.close, settled=settled)
            if self._outgoing:
                closing.callback(self._outgoing.close, sent=settled)
            closing.callback(self._source.close)
            closing.callback(self._committing.close)
            closing.callback(self._committing.wait)

    def step(self) -> int:
        """Read a micro-batch, decide and fold one or two; returns how many records were committed since the last step.

        Where nothing comes any more, all that was read is committed. Raises sink.Fenced, or an error of psycopg or
        Kafka, where the session is over; what it had not committed, the next one reads again.
        """
        before = self._committed
        polled = self._poll()
        self._upkeep.idle.forget(self._with_more(polled))
        topics = self._source.ask_topic_ids() if polled.reached else dict
        orders = polled.orders
        decoding = self._decoder.submit(decode, orders, self._rules.currency) if len(orders) else None
        self._finish()
        self._ahead = Ahead(polled, decoding, topics)
        if not len(orders):
            self._finish()
            self._committing.wait()
        elif not self._is_behind:  # no more waits in Kafka, so nothing is to wait here
            self._finish()
        return self._committed - before

    @property
    def is_ahead(self) -> bool:
        """Whether something was read that is not committed."""
        return self._ahead is not None or self._committing.is_running

    def _poll(self) -> Polled:
        """A micro-batch: a full one under load, else what came since the last one, which is at least the linger ago."""
        limit, linger_s = self._settings.micro_batch_max_events, self._settings.micro_batch_linger.total_seconds()
        self._is_behind = self.lag() >= limit
        if not self._is_behind:
            linger_s = max(self._due_s - time.monotonic(), min(linger_s, _SHORTEST_S))
        try:
            polled = self._source.poll(limit, linger_s)
        except TandemError:  # an offset that is not there, perhaps because the topic is another one
            topic_ids.require_equal(self._topic_ids, self._source.ask_topic_ids()())
            raise
        self._due_s = time.monotonic() + self._settings.micro_batch_linger.total_seconds()
        return polled

    def _finish(self) -> None:
        """Decide what was read ahead and begin to commit it, once the commit before it has succeeded."""
        if self._ahead is None:
            return
        # Gone from here on: after an error nothing may be committed that comes behind it.
        ahead, self._ahead = self._ahead, None
        polled = ahead.polled
        self._upkeep.idle.forget(self._with_more(polled))
        self._keep_up()
        batch = self._process(ahead)
        self._committing.wait()
        topic_ids.require_equal(self._topic_ids, ahead.topics())
        self._commit(polled, batch)
        self._upkeep.idle.note(
            {held: end for (topic, held), end in polled.ends.items() if topic == ORDER_EVENTS}, time.monotonic()
        )

    def _with_more(self, polled: Polled) -> set[int]:
        """Partitions of orders of which records are in hand, or wait in Kafka: they came while a step took long."""
        unread = {position for position, offsets in self._source.lags().items() if offsets}
        unread |= {at for at, reached in polled.reached.items() if reached > self._held[at].next_offset}
        return {partition for topic, partition in unread if topic == ORDER_EVENTS}

    def _keep_up(self) -> None:
        """While nothing is decided that is not committed: a mark holds for everything from the next offset on."""
        now_s = time.monotonic()
        if not self._upkeep.is_due(now_s):
            return
        self._committing.wait()
        if not self._upkeep.run({held: of for (topic, held), of in self._held.items() if topic == ORDER_EVENTS}, now_s):
            raise sink.Fenced("a partition belongs to another worker")

    def _process(self, ahead: Ahead) -> MicroBatch | None:
        memories = {held: state.memory for (topic, held), state in self._held.items() if topic == ORDER_EVENTS}
        if not ahead.decoding:
            return None
        reader = AfterCommits(self._reader, self._committing)
        return process_decoded(ahead.decoding.result(), memories, self._rules, reader)

    def _commit(self, polled: Polled, batch: MicroBatch | None) -> None:
        """Begin the one transaction for all of it; no other one runs."""
        moves = self._moves(polled, batch)
        if moves:
            new = written(moves, polled, batch, self._settings, self._rules)
            self._committing.start(new.writes, lambda: self._note(polled, batch, new))

    def _moves(self, polled: Polled, batch: MicroBatch | None) -> list[sink.Move]:
        watermarks = {segment.partition: segment.watermark_after for segment in batch.segments} if batch else {}
        last = polled.last()
        return [
            sink.Move(
                topic,
                partition,
                held.epoch,
                held.next_offset,
                offset,
                watermarks.get(partition) if topic == ORDER_EVENTS else None,
                last.get((topic, partition)),
            )
            for (topic, partition), offset in sorted(polled.reached.items())
            if (held := self._held[topic, partition]).next_offset < offset
        ]

    def _note(self, polled: Polled, batch: MicroBatch | None, new: Written) -> None:
        """It is committed."""
        for move in new.writes.moves:
            self._held[move.topic, move.partition].next_offset = move.new_offset
        if self._outgoing:
            self._outgoing.committed(new.writes.frames, new.adjustments, new.writes.moves)
        self._stats.note(batch, len(new.adjustments))
        self._committed += len(polled.orders) + len(polled.corrections)
        self._settler.note(len(polled.orders), backlog=self._is_behind)

    def hear_of_marks(self) -> None:
        """Look again how far partitions were held to be while they were idle."""
        for (topic, partition), held in self._held.items():
            if topic == ORDER_EVENTS:
                held.memory = replace(held.memory, marks=marks(self._reader, partition))

    def lag(self) -> int:
        """Records still to come in the held partitions."""
        return sum(self._source.lags().values())

    def show_progress(self) -> None:
        """Let Kafka's own tools show the lag."""
        self._source.show_progress({position: state.next_offset for position, state in self._held.items()})

    def is_caught_up(self) -> bool:
        """Whether the group has committed everything that Kafka holds now, whoever reads it, and nobody is missing who
        would have to send what came of it: what this worker holds, it sends when it leaves.
        """
        self._committing.wait()
        done = {
            (topic, partition): offset
            for topic, partition, offset, _ in self._connection.execute(database.queries("speed").positions)
        }
        wanted = self._source.ends()
        if any(done.get(position, 0) < end for position, end in wanted.items()):
            return False
        unsent = self._connection.execute(database.queries("recover").unpublished)
        if any((topic, partition) not in self._held for topic, partition in unsent):
            return False
        self._require_still_there(position for position in wanted if position not in self._held)
        return True

    def _granted(self, positions: list[Position]) -> dict[Position, int]:
        self._committing.wait()
        if positions:
            self._topic_ids = self._source.ask_topic_ids()()
            topic_ids.note(self._reader, self._topic_ids)
        found = self._source.bounds(positions)
        self._refuse_expired(found)
        self._require_still_there(positions)
        for position, bounds in found.items():
            self._held[position] = self._take_over(position, bounds)
        _log.info("partitions_granted", worker=self._worker, partitions=[f"{t}:{p}" for t, p in positions])
        held = {position: self._held[position] for position in positions}
        if begun_late := {
            f"{t}:{p}": found[t, p][0] for (t, p), of in held.items() if of.epoch == 1 and found[t, p][0]
        }:
            _log.warning("begins_after_expired_events", worker=self._worker, first_offsets=begun_late)
        if self._outgoing:
            self._outgoing.granted({position: (of.next_offset, of.epoch) for position, of in held.items()})
        return {position: of.next_offset for position, of in held.items()}

    def _refuse_expired(self, bounds: Mapping[Position, tuple[int, int]]) -> None:
        """Before any is claimed: whoever reads one from the archive would be fenced."""
        for topic, partition, offset, _ in self._reader.execute(database.queries("speed").positions):
            low, high = bounds.get((topic, partition), (offset, offset))
            if offset < low:
                raise not_there((topic, partition), low, high, offset)

    def _require_still_there(self, positions: Iterable[Position]) -> None:
        """Nothing may be booked behind records that Kafka has lost, so this comes before any is claimed."""
        last = sink.last_records(self._reader)
        self._source.require_still_there({held: last[held] for held in positions if held in last})

    def _take_over(self, position: Position, bounds: tuple[int, int]) -> HeldState:
        topic, partition = position
        low, high = bounds
        claim = sink.claim(self._connection, topic, partition, low, self._worker)
        if not low <= claim.next_offset <= high:  # or the worker before went on in between
            self._source.check(position, claim.next_offset)
        memory = Memory()
        if topic == ORDER_EVENTS:
            memory = restore(self._reader, topic, partition, claim.watermark, self._rules)
        return HeldState(claim.epoch, claim.next_offset, memory)

    def _taken(self, positions: list[Position]) -> None:
        self._finish()  # it may hold records of theirs
        self._committing.wait()
        for position in positions:
            self._held.pop(position, None)
            if position[0] == ORDER_EVENTS:
                self._upkeep.forget(position[1])
        _log.info("partitions_taken", worker=self._worker, partitions=[f"{t}:{p}" for t, p in positions])
