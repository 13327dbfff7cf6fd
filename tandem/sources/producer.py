"""Events into Kafka: idempotent, acknowledged by all replicas, in transactions that are visible whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from tandem import kafka_client
from tandem.errors import TandemError
from tandem.events import EventType
from tandem.settings import Settings
from tandem.sources.payloads import OutgoingEvent
from tandem.topics import ORDER_EVENTS

ANSWER_SECONDS = 8.0
"""How long the broker may take to answer before it counts as unreachable."""
COMMIT_SECONDS = 30.0
ATTEMPTS = 5
"""How often a transaction is sent that the broker asks to abort."""
_FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}  # noqa: SLF001 - the library's public constants for its own error codes
_LOOK = "see 'tandem status', then replay again: what is in already is not counted twice"


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """When a transaction is committed: after so many events, or when its first event has waited so long."""

    events: int = 5_000
    seconds: float = 0.5


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What is visible to readers: events, of them planted faults, transactions; the source's orders and their cents."""

    events: int = 0
    planted: int = 0
    transactions: int = 0
    orders: int = 0
    revenue_cents: int = 0
    cancellations: int = 0
    cancelled_cents: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    def plus(self, batch: list[OutgoingEvent], seconds: float) -> ReplayResult:
        """The result after one more committed transaction."""
        own = [event for event in batch if not event.planted]
        created = [event.cents for event in own if event.event_type == EventType.ORDER_CREATED]
        cancelled = [event.cents for event in own if event.event_type == EventType.ORDER_CANCELLED]
        return ReplayResult(
            events=self.events + len(batch),
            planted=self.planted + len(batch) - len(own),
            transactions=self.transactions + 1,
            orders=self.orders + len(created),
            revenue_cents=self.revenue_cents + sum(created),
            cancellations=self.cancellations + len(cancelled),
            cancelled_cents=self.cancelled_cents + sum(cancelled),
            seconds=seconds,
        )


def _never() -> bool:
    return False


def _ignore(_: ReplayResult) -> None:
    pass


@dataclass(slots=True)
class ReplayProducer:
    """A transactional producer of one source. Opening it fences any other replay of the same source.

    Raises TandemError where no broker answers or the topic does not exist.
    """

    config: Settings
    source: str
    _client: Producer = field(init=False, repr=False)
    _topic: str = field(init=False, repr=False)
    partitions: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._topic = self.config.topic(ORDER_EVENTS)
        self._client = kafka_client.producer(
            self.config,
            {
                "transactional.id": f"{self.config.topic_prefix}replay-{self.source}",
                # A replay that was killed holds readers back no longer than this.
                "transaction.timeout.ms": 15_000,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 5,
                "queue.buffering.max.messages": 200_000,
            },
        )
        self.partitions = self._find_topic()
        try:
            self._client.init_transactions(ANSWER_SECONDS * 2)
        except KafkaException as failure:
            raise self._unreachable(failure) from failure

    def _find_topic(self) -> int:
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                found = self._client.list_topics(self._topic, timeout=ANSWER_SECONDS).topics[self._topic]
            except KafkaException as failure:
                raise self._unreachable(failure) from failure
            if found.error is None:
                return len(found.partitions)
            # A broker that has just made a topic needs a moment to know it.
            if time.monotonic() > deadline:
                raise TandemError(f"topic '{self._topic}' does not exist on {self.config.brokers}", "run 'tandem up'")
            time.sleep(0.2)

    def _unreachable(self, failure: KafkaException) -> TandemError:
        reason = failure.args[0].str() if failure.args else "no answer"
        return TandemError(
            f"Kafka does not answer on {self.config.brokers} ({reason})",
            "run 'tandem up', or set TANDEM_KAFKA_BOOTSTRAP to your brokers",
        )

    def send(self, batch: list[OutgoingEvent]) -> None:
        """Send the batch in one transaction. Raises TandemError when fenced, or when the broker keeps refusing."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._client.begin_transaction()
                self._enqueue(batch)
                self._commit()
            except KafkaException as failure:
                error: KafkaError = failure.args[0]
                self._abort()
                if not error.txn_requires_abort() or attempt == ATTEMPTS:
                    raise self._refused(error) from failure
            except TandemError:
                self._abort()
                raise
            else:
                return

    def wait_until_visible(self) -> None:
        """Wait until readers of what is committed see all that the topic holds now, at most ``COMMIT_SECONDS``.

        Kafka answers a commit once it is decided; the partitions hear of it a moment later, one after the other. Who
        asks for the topic's ends in between is told of a part of the transaction only.
        """
        admin = kafka_client.admin(self.config)
        deadline = time.monotonic() + COMMIT_SECONDS
        # What was committed stays committed: a broker that does not answer now does not make the replay a failure.
        with suppress(KafkaException):
            written = self._ends(admin, IsolationLevel.READ_UNCOMMITTED)
            while time.monotonic() < deadline:
                readable = self._ends(admin, IsolationLevel.READ_COMMITTED)
                if all(readable[number] >= end for number, end in written.items()):
                    return
                time.sleep(0.02)

    def _ends(self, admin: AdminClient, isolation: IsolationLevel) -> dict[int, int]:
        latest = {TopicPartition(self._topic, number): OffsetSpec.latest() for number in range(self.partitions)}
        asked = admin.list_offsets(latest, isolation_level=isolation, request_timeout=ANSWER_SECONDS)
        return {place.partition: found.result().offset for place, found in asked.items()}

    def _enqueue(self, batch: list[OutgoingEvent]) -> None:
        deadline = time.monotonic() + COMMIT_SECONDS
        for event in batch:
            while not self._enqueued(event):
                if time.monotonic() > deadline:
                    raise TandemError(f"Kafka on {self.config.brokers} takes no more events", _LOOK)
                self._client.poll(0.1)
        self._client.poll(0)

    def _enqueued(self, event: OutgoingEvent) -> bool:
        try:
            self._client.produce(self._topic, event.value, event.key)
        except BufferError:
            return False
        except KafkaException as failure:
            if failure.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                raise
            size = f"{len(event.value):,} bytes"
            raise TandemError(
                f"event '{event.event_id}' is larger than Kafka takes ({size})", "divide it into several orders"
            ) from failure
        return True

    def _commit(self) -> None:
        deadline = time.monotonic() + COMMIT_SECONDS
        while True:
            try:
                self._client.commit_transaction(COMMIT_SECONDS)
            except KafkaException as failure:
                # The same commit may be asked for again; whatever else went wrong is for the caller.
                if not failure.args[0].retriable() or time.monotonic() > deadline:
                    raise
            else:
                return

    def _abort(self) -> None:
        # After a fatal error there is nothing left to abort, and the first error is the one to show.
        with suppress(KafkaException):
            self._client.abort_transaction(COMMIT_SECONDS)

    def _refused(self, error: KafkaError) -> TandemError:
        if error.code() in _FENCED:
            return TandemError(
                f"another replay of '{self.source}' has started and taken over",
                "let that one finish; what this one had committed stays",
            )
        return TandemError(f"Kafka refused a transaction ({error.str()})", _LOOK)


def produce(
    events: Iterable[OutgoingEvent],
    producer: ReplayProducer,
    *,
    rate: float | None = None,
    on_progress: Callable[[ReplayResult], None] = _ignore,
    stop: Callable[[], bool] = _never,
    limit: BatchLimit = BatchLimit(),
) -> ReplayResult:
    """Send the events in order, at most ``rate`` a second, and return what is visible to readers.

    ``on_progress`` hears of every committed transaction. When ``stop`` says so, what is not committed is dropped
    and the result is marked ``interrupted``.
    """
    started = time.monotonic()
    result = ReplayResult()
    for batch in _batches(events, rate, limit, stop):
        producer.send(batch)
        result = result.plus(batch, time.monotonic() - started)
        on_progress(result)
    if result.transactions:
        producer.wait_until_visible()
    return replace(result, interrupted=stop())


def _batches(
    events: Iterable[OutgoingEvent], rate: float | None, limit: BatchLimit, stop: Callable[[], bool]
) -> Iterator[list[OutgoingEvent]]:
    """The events in batches within the limit, no event before its turn, nothing more once ``stop`` says so."""
    batch: list[OutgoingEvent] = []
    started = opened = time.monotonic()
    for number, event in enumerate(events):
        due = started + number / rate if rate else started
        while not stop() and (wait := due - time.monotonic()) > 0:
            time.sleep(min(wait, limit.seconds / 5))
            if batch and time.monotonic() - opened >= limit.seconds:
                yield batch
                batch = []
        if stop():
            return
        if not batch:
            opened = time.monotonic()
        batch.append(event)
        if len(batch) >= limit.events or time.monotonic() - opened >= limit.seconds:
            yield batch
            batch = []
    if batch and not stop():
        yield batch
