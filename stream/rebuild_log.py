"""The log again, from its first record: from Kafka, and from the archive what Kafka no longer has."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import polars as pl
import stamina
from confluent_kafka import IsolationLevel, KafkaException, Message, TopicPartition
from confluent_kafka.admin import OffsetSpec

from stream.archive_table import MasterDataset
from stream.source import Polled, records_of
from stream.types import Position, Records
from tandem import delta, kafka_client, topic_ids
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

_NOTHING = Records([], [], [], [], [])
_ARCHIVED_AT_ONCE = 200_000
_PATIENCE_S = 60.0
_ANSWER_S = 30.0


class Log:
    """In place of ``stream.source.Source``: partition by partition, each from its start to a given offset.

    ``starts``: where the live state begins. ``extend`` says how far to read; ``poll`` then brings it.
    """

    def __init__(
        self,
        settings: Settings,
        starts: Mapping[Position, int],
        on_granted: Callable[[list[Position]], dict[Position, int]],
    ) -> None:
        self._settings, self._on_granted = settings, on_granted
        self._next = dict(starts)
        self._starts = dict(starts)
        self._ends: dict[Position, int] = dict(starts)
        self._granted = False
        self._limit, self._linger_s = 1, 0.0
        self._dataset = MasterDataset.find(settings.archive, ORDER_EVENTS)
        self._admin = kafka_client.admin(settings)
        self._lows = lows(settings, starts)
        self._polls: Iterator[Polled] = iter(())

    def extend(self, ends: Mapping[Position, int]) -> None:
        """Read on up to these offsets. Raises TandemError where some of it is nowhere."""
        self._lows = lows(self._settings, self._next)
        if came := sorted(ends.keys() - self._next.keys()):
            (topic, partition), *_ = came
            raise TandemError(f"partition {partition} of {topic} came while the log was read", "run it again")
        for position, end in ends.items():
            self._ends[position] = max(self._ends[position], end)
            self._check(position)
        self._polls = self._read()

    @property
    def is_done(self) -> bool:
        """Whether everything was brought."""
        return self._next == self._ends

    def poll(self, limit: int, linger_s: float) -> Polled:
        """The next records; none where everything was brought."""
        if not self._granted:
            self._granted = True
            self._on_granted(list(self._next))
        self._limit, self._linger_s = limit, linger_s
        polled = next(self._polls, None) or Polled(_NOTHING, _NOTHING, {})
        self._next.update(polled.reached)
        return polled

    def bounds(self, positions: Iterable[Position]) -> dict[Position, tuple[int, int]]:
        """From where to where partitions are read."""
        return {position: (self._starts[position], self._ends[position]) for position in positions}

    def ask_topic_ids(self) -> topic_ids.Answer:
        """Ask for the id of each topic that is read."""
        return topic_ids.ask(self._settings, self._admin, {topic for topic, _ in self._next})

    def require_still_there(self, last: Mapping[Position, tuple[int, int]]) -> None:
        """Nothing to look at: what comes is read from the start, or is in Kafka no longer."""

    def check(self, position: Position, offset: int) -> None:
        """Nothing to check: a rebuild begins at the start."""

    def ends(self) -> dict[Position, int]:
        """How far partitions are read."""
        return dict(self._ends)

    def lags(self) -> dict[Position, int]:
        """Offsets still to come of each partition."""
        return {position: end - self._next[position] for position, end in self._ends.items()}

    def show_progress(self, committed: Mapping[Position, int]) -> None:
        """Kafka is told nothing."""

    def close(self) -> None:
        """Nothing is held open between calls."""

    def _check(self, position: Position) -> None:
        topic, partition = position
        low = self._lows[position]
        first, end = self._next[position], min(low, self._ends[position])
        if first < end and self._dataset and (kept_from := self._dataset.kept_from):
            raise TandemError(
                f"Kafka begins at offset {low} of {topic} partition {partition}, and the archive keeps only the dates"
                f" from {kept_from} on",
                "a rebuild needs the whole log: it is possible only as long as TANDEM_ARCHIVE_RETENTION takes nothing",
            )
        if gone := lacking(self._dataset, position, first, end):
            raise TandemError(
                f"offsets [{gone[0]}, {gone[1]}) of {topic} partition {partition} are neither in Kafka nor in"
                " the archive",
                "a rebuild needs the whole log; see 'Rebuild the speed layer' in docs/operations.md",
            )

    def _read(self) -> Iterator[Polled]:
        for position, end in sorted(self._ends.items()):
            low = self._lows[position]
            if self._next[position] < min(low, end):
                yield from self._from_archive(position, min(low, end))
            if self._next[position] < end:
                yield from self._from_kafka(position, end)

    def _from_archive(self, position: Position, end: int) -> Iterator[Polled]:
        _, partition = position
        assert self._dataset is not None  # noqa: S101 - checked when the reading was planned
        rows = delta.scan(self._dataset.delta_table).filter(pl.col("partition") == partition)
        for start in range(self._next[position], end, _ARCHIVED_AT_ONCE):
            stop = min(start + _ARCHIVED_AT_ONCE, end)
            part = rows.filter(pl.col("offset").is_between(start, stop, closed="left"))
            found = part.select("partition", "offset", "kafka_time", "key", "value").collect().sort("offset")
            for at in range(0, found.height, self._limit):
                records = _archived(found[at : at + self._limit])
                yield Polled(records, _NOTHING, {position: records.offsets[-1] + 1})
            yield Polled(_NOTHING, _NOTHING, {position: stop})

    def _from_kafka(self, position: Position, end: int) -> Iterator[Polled]:
        topic, partition = position
        options = {"auto.offset.reset": "error", "enable.partition.eof": True, "fetch.queue.backoff.ms": 5}
        consumer = kafka_client.consumer(self._settings, f"{self._settings.consumer_group}-rebuild", options)
        try:
            consumer.assign([TopicPartition(self._settings.topic(topic), partition, self._next[position])])
            heard_at_s = time.monotonic()
            while self._next[position] < end:
                messages = consumer.consume(self._limit, max(self._linger_s, 0.2))
                polled = _up_to(messages, position, end)
                if polled:
                    heard_at_s = time.monotonic()
                    yield polled
                elif time.monotonic() - heard_at_s > _PATIENCE_S:
                    raise TandemError(f"Kafka at {self._settings.brokers} does not answer", "run 'tandem status'")
        finally:
            consumer.close()


def lacking(dataset: MasterDataset | None, position: Position, first: int, end: int) -> tuple[int, int] | None:
    """The first range of offsets in ``[first, end)`` that the archive does not have; None where it has all."""
    topic, partition = position
    if first >= end:
        return None
    if dataset is None or topic != ORDER_EVENTS:
        return first, end
    archived, start = dataset.next_offsets().get(partition, 0), dataset.start(partition)
    if first < start:
        return first, min(start, end)
    return (max(first, archived), end) if archived < end else None


def _up_to(messages: list[Message], position: Position, end: int) -> Polled | None:
    """What was read below ``end``; None where nothing was."""
    good = [message for message in messages if message.error() is None]
    # Past the end, or at that of the partition: what lies between are markers and aborted records.
    passed = len(good) < len(messages) and any(_is_end(message) and message.offset() >= end for message in messages)
    passed = passed or any(message.offset() >= end - 1 for message in good)
    good = [message for message in good if message.offset() < end]
    if not good and not passed:
        return None
    records = records_of(good)
    reached = {position: end if passed else records.offsets[-1] + 1}
    return Polled(records, _NOTHING, reached) if position[0] == ORDER_EVENTS else Polled(_NOTHING, records, reached)


def _is_end(message: Message) -> bool:
    """Whether it stands for the end of its partition. Raises KafkaException where reading fails."""
    error = message.error()
    if error is None:
        return False
    if error.code() != kafka_client.END and not error.retriable():
        raise KafkaException(error)
    return bool(error.code() == kafka_client.END)


@stamina.retry(on=kafka_client.is_moving, timeout=_ANSWER_S, wait_initial=0.05)
def lows(settings: Settings, positions: Collection[Position]) -> dict[Position, int]:
    """The first offset that Kafka holds of each partition."""
    admin = kafka_client.admin(settings)
    parts = {(settings.topic(topic), partition): (topic, partition) for topic, partition in positions}
    asked = admin.list_offsets(
        {TopicPartition(*part): OffsetSpec.earliest() for part in parts},
        isolation_level=IsolationLevel.READ_COMMITTED,
        request_timeout=_ANSWER_S,
    )
    return {parts[part.topic, part.partition]: future.result().offset for part, future in asked.items()}


def _archived(rows: pl.DataFrame) -> Records:
    return Records(
        partitions=rows["partition"].to_list(),
        offsets=rows["offset"].to_list(),
        kafka_times_ms=rows["kafka_time"].dt.epoch("ms").to_list(),
        keys=rows["key"].to_list(),
        values=rows["value"].to_list(),
    )
