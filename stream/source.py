"""source: a member of the speed layer's consumer group. The group says which partitions, Postgres from which offset."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import NoneType
from typing import Any

import stamina
import structlog
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import OffsetSpec

from stream import still_there
from stream.types import Position, Records
from tandem import kafka_client, topic_ids
from tandem.compacted import refuse_compacted
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.topics import CORRECTIONS, ORDER_EVENTS

_ANSWER_S = 10.0
_WARN_EVERY_S = 10.0
_LONGEST_STEP_MS = 300_000
"""A worker that takes longer over a micro-batch loses its partitions."""

_NEVER = 1 << 63
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Polled:
    """What one call brought. ``reached``: the offset each partition was read up to, markers and aborts included;
    ``ends``: of those that were read to their end.
    """

    orders: Records
    corrections: Records
    reached: dict[Position, int]
    ends: Mapping[Position, int] = field(default_factory=dict)

    def last(self) -> dict[Position, tuple[int, int]]:
        """Offset, and the broker's time in ms, of the last record of each partition that brought any."""
        found = {}
        for name, records in ((ORDER_EVENTS, self.orders), (CORRECTIONS, self.corrections)):
            for partition, at in dict(zip(records.partitions, range(len(records)), strict=True)).items():
                found[name, partition] = records.offsets[at], records.kafka_times_ms[at]
        return found


class Source:
    """Reads ``order-events`` and ``corrections``, read_committed, from where it is told and never from elsewhere.

    ``on_granted`` is given partitions and returns the offset to read each from; ``on_taken`` is told which are gone.
    """

    def __init__(
        self,
        settings: Settings,
        on_granted: Callable[[list[Position]], dict[Position, int]],
        on_taken: Callable[[list[Position]], None],
    ) -> None:
        self._settings = settings
        self._names = {settings.topic(name): name for name in (ORDER_EVENTS, CORRECTIONS)}
        self._on_granted, self._on_taken = on_granted, on_taken
        self._next: dict[Position, int] = {}
        self._last: dict[Position, tuple[int, int]] = {}
        self._doubted: set[Position] = set()
        self._moved = False
        self._warned_at = -_WARN_EVERY_S
        self._admin = kafka_client.admin(settings)
        self._consumer = kafka_client.consumer(settings, settings.consumer_group, self._options())
        self._consumer.subscribe(list(self._names), on_assign=self._assign, on_revoke=self._take, on_lost=self._take)

    def _options(self) -> dict[str, Any]:
        session_ms = int(self._settings.session_timeout.total_seconds() * 1000)
        return {
            # Only what moves is given up, so a rebalance does not stop the rest.
            "partition.assignment.strategy": "cooperative-sticky",
            # An offset that Kafka no longer has is an error, never a jump.
            "auto.offset.reset": "error",
            # The end of a partition tells the offset after the transaction markers, which no message does.
            "enable.partition.eof": True,
            "session.timeout.ms": session_ms,
            "heartbeat.interval.ms": session_ms // 3,
            "max.poll.interval.ms": max(session_ms, _LONGEST_STEP_MS),
            "fetch.queue.backoff.ms": 5,
            # A topic that comes late, as on a broker that has just come up, is found within seconds.
            "topic.metadata.refresh.interval.ms": 5_000,
            "fetch.max.bytes": 50 * 1024 * 1024,
            "queued.max.messages.kbytes": 256 * 1024,
            "error_cb": self._hear_of_outage,
        }

    def poll(self, limit: int, linger_s: float) -> Polled:
        """Up to ``limit`` records, waiting ``linger_s`` for them.

        Raises TandemError where an offset is not in Kafka, KafkaException where reading fails.
        """
        self._moved = False
        messages: list[Message] = self._consumer.consume(limit, linger_s)
        if self._doubted:
            messages = self._beyond_doubt(messages)
        # One pass of C calls a column, here and in _records: that is all the Python there is for a message. The errors'
        # types are looked at, because comparing an error with None leaves the interpreter broken.
        good = messages
        if set(map(type, map(Message.error, messages))) - {NoneType}:
            good = [message for message in messages if message.error() is None]
        reached = self._ends(messages) if len(good) < len(messages) else {}
        if self._moved:
            # Some may be from before the rebalance: of partitions that are gone, or read again from where they stood.
            good = list(self._in_sequence(good))
            reached = {position: offset for position, offset in reached.items() if position in self._next}
        topic = self._settings.topic(ORDER_EVENTS)
        orders, others = good, []
        if list(map(Message.topic, good)).count(topic) < len(good):
            orders = [message for message in good if message.topic() == topic]
            others = [message for message in good if message.topic() != topic]
        polled = Polled(records_of(orders), records_of(others), reached, dict(reached))
        last = polled.last()
        for position, (offset, _) in last.items():
            reached[position] = max(reached.get(position, 0), offset + 1)
        self._last |= last
        self._next |= {position: max(offset, self._next[position]) for position, offset in reached.items()}
        return polled

    def _ends(self, messages: Iterable[Message]) -> dict[Position, int]:
        """The ends of partitions among the messages; any other error is dealt with."""
        ends = {}
        for message in messages:
            error = message.error()
            if error is None:
                continue
            if error.code() == kafka_client.END:
                ends[self._position(message)] = message.offset()
            elif error.code() in kafka_client.NOT_THERE:
                position = self._position(message)
                # Of a partition that was taken away since, whoever has it now will find out.
                if position in self._next:
                    raise not_there(position, *self.bounds([position])[position], self._next[position])
            elif error.fatal() or not (error.retriable() or error.code() in kafka_client.PASSING):
                raise KafkaException(error)
            else:
                self._warn(error)
        return ends

    def _in_sequence(self, messages: Iterable[Message]) -> Iterable[Message]:
        """Messages of partitions that are held, each offset once and in order."""
        passed = dict(self._next)
        for message in messages:
            position = self._position(message)
            if message.offset() >= passed.get(position, _NEVER):
                passed[position] = message.offset() + 1
                yield message

    def _beyond_doubt(self, messages: list[Message]) -> list[Message]:
        """Without the first that came of a partition since a broker was away: read once more, behind what came before.

        A broker cannot be set back while it answers. Some of what came may be from before, some from after. Partitions
        that do not answer yet keep no other waiting.
        """
        answered = self._doubted.intersection(map(self._position, filter(still_there.tells, messages)))
        self._doubted -= answered
        self.require_still_there({position: self._last[position] for position in answered & self._last.keys()})
        for position in answered:
            self._consumer.seek(self._on_broker(position, self._next[position]))
        return [each for each in messages if not (still_there.tells(each) and self._position(each) in answered)]

    def _position(self, part: Message | TopicPartition) -> Position:
        if isinstance(part, TopicPartition):
            return self._names[part.topic], part.partition
        return self._names[part.topic()], part.partition()

    def _on_broker(self, position: Position, offset: int = 0) -> TopicPartition:
        return TopicPartition(self._settings.topic(position[0]), position[1], offset)

    def bounds(self, positions: Iterable[Position]) -> dict[Position, tuple[int, int]]:
        """First offset Kafka holds of each partition, and the one after the last that read_committed shows."""
        parts = [self._on_broker(position) for position in positions]
        lows, highs = (self._offsets(parts, spec) for spec in (OffsetSpec.earliest(), OffsetSpec.latest()))
        return {position: (low, highs[position]) for position, low in lows.items()}

    def _lows(self, positions: Iterable[Position]) -> dict[Position, int]:
        return {position: low for position, (low, _) in self.bounds(positions).items()}

    @stamina.retry(on=kafka_client.is_moving, timeout=_ANSWER_S, wait_initial=0.05)
    def _offsets(self, parts: list[TopicPartition], spec: OffsetSpec) -> dict[Position, int]:
        asked = self._admin.list_offsets(
            dict.fromkeys(parts, spec),
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=_ANSWER_S,
        )
        return {self._position(part): future.result().offset for part, future in asked.items()}

    def ask_topic_ids(self) -> topic_ids.Answer:
        """Ask for the id of each topic."""
        return topic_ids.ask(self._settings, self._admin, self._names.values())

    def require_still_there(self, last: Mapping[Position, tuple[int, int]]) -> None:
        """Raise TandemError where Kafka was set back, KafkaException where it does not answer.

        ``last``: offset, and the broker's time in ms, of the last record that was read of each partition.
        """
        group = self._settings.consumer_group
        still_there.require(self._settings, self._admin, last, self._lows, group=group)
        self._last |= last

    def check(self, position: Position, offset: int) -> None:
        """Raise TandemError where ``offset`` is not one that Kafka can go on from."""
        low, high = self.bounds([position])[position]
        if not low <= offset <= high:
            raise not_there(position, low, high, offset)

    def ends(self) -> dict[Position, int]:
        """The offset after the last that read_committed shows, for every partition of both topics.

        Raises KafkaException where a topic does not exist, as on a broker that has just come up.
        """
        described = self._admin.list_topics(timeout=_ANSWER_S).topics
        for topic in self._names:
            if topic not in described:
                raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, f"there is no topic {topic}"))
        parts = [TopicPartition(topic, number) for topic in self._names for number in described[topic].partitions]
        return self._offsets(parts, OffsetSpec.latest())

    def lags(self) -> dict[Position, int]:
        """Offsets still to come of each partition that is held, as far as the last answers of the brokers say."""
        found = {}
        for position, offset in self._next.items():
            _, high = self._consumer.get_watermark_offsets(self._on_broker(position), cached=True)
            found[position] = max(high - offset, 0)
        return found

    def show_progress(self, committed: Mapping[Position, int]) -> None:
        """Tell Kafka how far this worker is, so that its tools can show the lag. Nothing relies on it."""
        offsets = [self._on_broker(position, offset) for position, offset in committed.items()]
        if offsets:
            with suppress(KafkaException):
                self._consumer.commit(offsets=offsets, asynchronous=True)

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        self._consumer.close()

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._moved = True
        refuse_compacted(self._settings, self._admin)
        granted = self._on_granted(sorted(map(self._position, partitions)))
        self._next.update(granted)
        consumer.incremental_assign([self._on_broker(position, offset) for position, offset in granted.items()])

    def _take(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._moved = True
        taken = [self._position(part) for part in partitions]
        for position in taken:
            self._next.pop(position, None)
            self._last.pop(position, None)
            self._doubted.discard(position)
        self._on_taken(taken)

    def _hear_of_outage(self, error: KafkaError) -> None:
        self._doubted = set(self._next)
        self._warn(error)

    def _warn(self, error: KafkaError) -> None:
        if time.monotonic() - self._warned_at >= _WARN_EVERY_S:
            self._warned_at = time.monotonic()
            _log.warning("waiting_for_kafka", brokers=self._settings.brokers, reason=error.str())


class ExpiredError(TandemError):
    """Kafka begins behind the next offset of a partition: what lies between may be in the archive."""


def not_there(position: Position, low: int, high: int, offset: int) -> TandemError:
    """What to say of an offset that a partition cannot be read from."""
    problem = f"offset {offset} of {position[0]} partition {position[1]} is not in Kafka, which holds [{low}, {high})"
    if offset < low:
        return ExpiredError(problem, "records expired before they were read; the archive may have them")
    return TandemError(problem, "it lost records that were read; see 'What was set back' in docs/archive.md")


def records_of(messages: list[Message]) -> Records:
    """Messages as records, sorted by partition; each partition's are in order already."""
    messages.sort(key=Message.partition)  # stable: offsets stay in order
    return Records(
        partitions=list(map(Message.partition, messages)),
        offsets=list(map(Message.offset, messages)),
        kafka_times_ms=[time_ms for _, time_ms in map(Message.timestamp, messages)],
        keys=list(map(Message.key, messages)),
        values=list(map(Message.value, messages)),
    )
