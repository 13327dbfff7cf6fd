"""The archiver's consumer: read_committed, positions given by the archive and never by Kafka's own commits."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import OffsetSpec

from stream import still_there
from stream.archive_table import Offsets
from tandem import kafka_client, topic_ids
from tandem.compacted import refuse_compacted
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

READ_AT_ONCE = 5_000
"""Messages that one call takes at most."""
_ANSWER_S = 10.0
_HEARD_S = 0.1
"""How long nothing comes where all has been heard of."""
BACK_OFF_S = (0.5, 10.0)
"""First and longest wait for a server that does not answer."""
_NO_TOPIC_S = 10.0
"""A topic that was just created may take a moment to be known."""
_WARN_EVERY_S = 10.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ending:
    """When an archiver ends: when told to, or at ``deadline``, an instant of ``time.monotonic``."""

    stop: threading.Event = field(default_factory=threading.Event)
    deadline: float | None = None

    def has_come(self) -> bool:
        """Whether it is time."""
        return self.stop.is_set() or (self.deadline is not None and time.monotonic() >= self.deadline)

    def has_come_within(self, wait_s: float) -> bool:
        """Wait at most so long for it."""
        left_s = wait_s if self.deadline is None else min(wait_s, max(0.0, self.deadline - time.monotonic()))
        self.stop.wait(left_s)
        return self.has_come()


def group_id(settings: Settings) -> str:
    """The archiver's consumer group on the broker."""
    return settings.topic(settings.archive_group)


def has_members(settings: Settings) -> bool:
    """Whether any archiver is running, as far as the broker knows. False where it does not answer."""
    admin = kafka_client.admin(settings)
    described = admin.describe_consumer_groups([group_id(settings)], request_timeout=_ANSWER_S)
    try:
        return bool(described[group_id(settings)].result().members)
    except KafkaException:
        return False


@dataclass(frozen=True, slots=True)
class Topic:
    """What Kafka says of the topic. ``bounds``: of every partition the first offset that it holds, and the one after
    its last; that may belong to a transaction that is still open, or whose end the partition has not heard of yet: a
    producer's commit returns before every partition knows of it.
    """

    topic_id: int
    bounds: dict[int, tuple[int, int]]


class Source:
    """A member of the archiver's consumer group. The group says which partitions it reads, the archive from where."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topic(ORDER_EVENTS)
        self._granted: list[int] | None = None
        self._next: dict[int, int] = {}
        self._last: dict[int, tuple[int, int]] = {}
        self._doubted: set[int] = set()
        self._warned_at = -_WARN_EVERY_S
        self._consumer = kafka_client.consumer(settings, group_id(settings), self._options())
        self._admin = kafka_client.admin(settings)

    def _options(self) -> dict[str, Any]:
        session_ms = int(self._settings.session_timeout.total_seconds() * 1000)
        return {
            # An offset that Kafka no longer has is an error, never a jump.
            "auto.offset.reset": "error",
            # The end of a partition tells the offset after the transaction markers, which no message does.
            "enable.partition.eof": True,
            "session.timeout.ms": session_ms,
            "heartbeat.interval.ms": session_ms // 3,
            "queued.max.messages.kbytes": 65_536,
            "fetch.queue.backoff.ms": 5,
            "error_cb": self._hear_of_outage,
        }

    def subscribe(self) -> None:
        """Join the group. Partitions come with a later ``read``."""
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_loss, on_lost=self._on_loss
        )

    def read(self, limit: int, timeout_s: float) -> list[Message]:
        """Up to ``limit`` messages and ends of partitions.

        Nothing is returned while ``take_grant`` has something to tell: what was read then may be from before a
        rebalance, and a message of an earlier assignment must not pass for one of the new. Raises TandemError where a
        broker was away, and was set back meanwhile.
        """
        messages: list[Message] = self._consumer.consume(limit, timeout_s)
        if self._granted is None and self._doubted:
            messages = self._beyond_doubt(messages)
        if self._granted is not None:
            return []
        for message in messages:
            if message.error() is None:
                partition, offset = message.partition(), message.offset()
                self._last[partition], self._next[partition] = (offset, message.timestamp()[1]), offset + 1
        return messages

    def _beyond_doubt(self, messages: list[Message]) -> list[Message]:
        """Without what came of a partition since a broker was away until Kafka was seen to have what came before."""
        answered = self._doubted.intersection(each.partition() for each in messages if still_there.tells(each))
        try:
            self.require_still_there({partition: self._last[partition] for partition in answered & self._last.keys()})
            for partition in answered:
                self._consumer.seek(TopicPartition(self._topic, partition, self._next[partition]))
            self._doubted -= answered
        except KafkaException as failure:
            self.warn(failure.args[0])
            self._granted = list(self._next)  # all are looked at, and read behind what is archived
        return [each for each in messages if not (still_there.tells(each) and each.partition() in answered)]

    def idle(self, wait_s: float, ending: Ending) -> bool:
        """Stay in the group for so long with no partition to read; True where a grant or the ending comes before."""
        deadline = time.monotonic() + wait_s
        while not (told := self._granted is not None or ending.has_come()) and time.monotonic() < deadline:
            self._consumer.consume(1, min(_HEARD_S, wait_s))
        return told

    def take_grant(self) -> list[int] | None:
        """The partitions granted since the last call; the caller must ``start`` them. None: nothing has changed."""
        granted, self._granted = self._granted, None
        return granted

    def start(self, positions: Mapping[int, int]) -> None:
        """Read exactly these partitions, from these offsets. What was fetched before is dropped."""
        self._next, self._doubted = dict(positions), set()
        self._consumer.assign([TopicPartition(self._topic, p, offset) for p, offset in positions.items()])

    def wait_for_topic(self, ending: Ending) -> Topic | None:
        """The topic as it is now. Waits for Kafka; None where the ending comes first.

        Raises TandemError where there is no such topic, or Kafka compacts it.
        """
        wait_s, longest_s = BACK_OFF_S
        missing_since: float | None = None
        while True:
            try:
                bounds = self._bounds()
                refuse_compacted(self._settings, self._admin)
                return Topic(self.topic_id(), bounds)
            except KafkaException as failure:
                error: KafkaError = failure.args[0]
                if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    missing_since = missing_since or time.monotonic()
                    if time.monotonic() - missing_since > _NO_TOPIC_S:
                        where = f"topic '{self._topic}' does not exist on {self._settings.brokers}"
                        raise TandemError(where, "run 'tandem up'") from failure
                self.warn(error)
            if ending.has_come_within(wait_s):
                return None
            wait_s = min(2 * wait_s, longest_s)

    def topic_id(self) -> int:
        """The id that the topic has now. Raises KafkaException where Kafka does not tell."""
        return topic_ids.ids(self._settings, self._admin, [ORDER_EVENTS])[ORDER_EVENTS]

    def require_still_there(self, last: Mapping[int, tuple[int, int]]) -> None:
        """Raises TandemError where Kafka has another record, or none, at an offset that it has not expired.

        ``last``: offset and the broker's time in ms by partition. Raises KafkaException where Kafka does not answer.
        """
        still_there.require(
            self._settings,
            self._admin,
            {(ORDER_EVENTS, partition): of for partition, of in last.items()},
            lambda _: {(ORDER_EVENTS, partition): low for partition, (low, _) in self._bounds().items()},
            group=group_id(self._settings),
        )
        self._last |= last

    def _bounds(self) -> dict[int, tuple[int, int]]:
        found = self._admin.list_topics(self._topic, timeout=_ANSWER_S).topics[self._topic]
        if found.error is not None:
            raise KafkaException(found.error)
        parts = [TopicPartition(self._topic, partition) for partition in sorted(found.partitions)]
        lows, highs = (self._offsets(parts, spec) for spec in (OffsetSpec.earliest(), OffsetSpec.latest()))
        return {partition: (low, highs[partition]) for partition, low in lows.items()}

    def _offsets(self, parts: list[TopicPartition], spec: OffsetSpec) -> Offsets:
        answers = self._admin.list_offsets(
            dict.fromkeys(parts, spec), isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=_ANSWER_S
        )
        return {part.partition: answer.result().offset for part, answer in answers.items()}

    def show_progress(self, positions: Mapping[int, int]) -> None:
        """Tell Kafka how far the archive is, so that its tools can show the lag. Nothing relies on it."""
        offsets = [TopicPartition(self._topic, p, offset) for p, offset in positions.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            _log.debug("progress_not_shown", reason=str(error))

    def check(self, error: KafkaError, partition: int) -> None:
        """What an error message means: raises TandemError where waiting does not help, else says so and returns."""
        if error.code() in kafka_client.NOT_THERE:
            raise self._expired(partition)
        if error.fatal() or not (error.retriable() or error.code() in kafka_client.PASSING):
            raise TandemError(f"Kafka refuses to be read ({error.str()})", "check the topic and the access rights")
        self.warn(error)

    def _expired(self, partition: int) -> TandemError:
        low, high = self._bounds()[partition]
        return TandemError(
            f"the archive's next offset of partition {partition} is not in Kafka, which holds [{low}, {high})",
            "events have expired unread, or the topic was made anew; see docs/archive.md, from 'Expired offsets' on",
        )

    def close(self) -> None:
        """Leave the group. What was read and not taken is dropped; what the group has said is heard first.

        In ``Consumer.close`` the group may be gone before that is heard, as where an archiver was fenced, read on from
        where the archive ends, and has lost its partitions meanwhile. The answer then asks the group that is gone, for
        ever and with the interpreter's lock (librdkafka's issues 4041 and 4884), so that only SIGKILL ends the process.
        """
        try:
            self._consumer.unsubscribe()
            deadline = time.monotonic() + _ANSWER_S
            while self._consumer.consume(READ_AT_ONCE, _HEARD_S) and time.monotonic() < deadline:
                pass
        finally:
            self._consumer.close()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._granted = sorted(p.partition for p in partitions)
        consumer.assign([])  # nothing is read before the archive has said from where

    def _on_loss(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._granted = []

    def _hear_of_outage(self, error: KafkaError) -> None:
        self._doubted = set(self._next)
        self.warn(error)

    def warn(self, error: KafkaError) -> None:
        """Say what Kafka says, not too often."""
        if time.monotonic() - self._warned_at >= _WARN_EVERY_S:
            self._warned_at = time.monotonic()
            _log.warning("waiting_for_kafka", brokers=self._settings.brokers, reason=error.str())
