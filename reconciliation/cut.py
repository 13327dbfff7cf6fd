"""The aligned cut (capability B2): both layers are compared at the same Kafka offsets, so what is in flight is never a
difference. The speed layer's cells are copied at the very offsets that the batch layer then reads up to.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

import psycopg
from psycopg import IsolationLevel

from reconciliation import distincts
from tandem import clock, database, kpis, topic_ids, topics
from tandem.amounts import count
from tandem.checks import RULE_VERSION
from tandem.errors import TandemError
from tandem.settings import Settings

Offsets = dict[int, int]
"""Next offset per partition: everything strictly below is meant."""

_POLL_S = 0.2
_ANSWER_S = 30.0
"""How long Kafka may take to answer."""
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Cut:
    """What a run's two sides are compared at. Not comparable: ``reason`` says why, ``lag`` by how many records."""

    run_id: str
    business_date: date
    comparable: bool
    reason: str
    lag: int
    rule_version: str
    taken_at: datetime
    offsets: Offsets


def new_run_id(business_date: date, now: datetime) -> str:
    """An id that names its date and instant (``now`` in UTC) and that no other run has."""
    return f"{business_date}.{now:%Y%m%dT%H%M%SZ}.{secrets.token_hex(3)}"


def end_offsets(settings: Settings, timeout_s: float = _ANSWER_S) -> Offsets:
    """The offsets after the last committed record of every partition of order-events. Raises TandemError."""
    return _ask_kafka(
        settings, lambda admin: _ask_end_offsets(admin, settings.topic(topics.ORDER_EVENTS), timeout_s), timeout_s
    )


def _ask_kafka(settings: Settings, ask: Callable[[Any], _Answer], timeout_s: float = _ANSWER_S) -> _Answer:
    """What ``ask`` says, given an AdminClient, once Kafka answers. Raises TandemError where it does not."""
    import stamina
    from confluent_kafka import KafkaException

    from tandem import kafka_client

    def passes(error: Exception) -> bool:
        unknown = isinstance(error, KafkaException) and error.args[0].code() in kafka_client.UNKNOWN_TOPIC
        return unknown or kafka_client.is_moving(error)

    admin = kafka_client.admin(settings)
    try:
        # Leaders move, and a topic that was just made is not known everywhere at once.
        for attempt in stamina.retry_context(on=passes, timeout=timeout_s, attempts=None):
            with attempt:
                return ask(admin)
    except KafkaException as error:
        raise TandemError(
            f"Kafka at {settings.brokers} does not answer: {error.args[0].str()}", "run 'tandem up'"
        ) from error
    raise AssertionError("a retry ends by a result or an error")


def _ask_ids_and_ends(settings: Settings, admin: Any) -> tuple[dict[str, int], Offsets]:
    ends = _ask_end_offsets(admin, settings.topic(topics.ORDER_EVENTS), _ANSWER_S)
    # Asked for after them: where the id is the known one, so was the topic that ends there.
    return topic_ids.ids(settings, admin, [topics.ORDER_EVENTS]), ends


def _ask_end_offsets(admin: Any, topic: str, timeout_s: float) -> Offsets:
    from confluent_kafka import IsolationLevel as KafkaIsolation
    from confluent_kafka import KafkaException, TopicPartition
    from confluent_kafka.admin import OffsetSpec

    metadata = admin.list_topics(topic, timeout=timeout_s).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    asked = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in sorted(metadata.partitions)}
    answers = admin.list_offsets(asked, isolation_level=KafkaIsolation.READ_COMMITTED, request_timeout=timeout_s)
    return {at.partition: int(future.result().offset) for at, future in answers.items()}


def take(settings: Settings, business_date: date, run_id: str, *, timeout: timedelta | None = None) -> Cut:
    """The cut of a run, taken now unless the run has one already.

    Waits up to ``timeout`` (default ``settings.cut_timeout``) for the speed layer to consume all that Kafka held when
    asked. Where it does not, the cut is Kafka's end offsets and says that the date cannot be compared.
    """
    allowed = settings.cut_timeout if timeout is None else timeout
    with database.connect(settings, database.RECONCILIATION, autocommit=True) as connection:
        if (existing := read(connection, run_id)) is not None:
            return _same_date(existing, business_date)
        before = _reached(connection)
        # Offsets of another topic would be held against what was read of the old one, and a day certified without it.
        found, wanted = _ask_kafka(settings, lambda admin: _ask_ids_and_ends(settings, admin))
        topic_ids.require_same(connection, found)
        _require_not_set_back(before, wanted)
        lag = _wait(connection, wanted, time.monotonic() + allowed.total_seconds())
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        try:
            with connection.transaction():
                _copy(connection, settings, business_date, run_id, wanted=wanted, lag=lag)
        except psycopg.errors.UniqueViolation:
            pass  # the same run took it at the same moment
        taken = read(connection, run_id)
    if taken is None:
        raise TandemError(f"the cut of run {run_id} vanished", "take it again under a new run id")
    return _same_date(taken, business_date)


def take_each(settings: Settings, wanted: Sequence[tuple[date, str]]) -> list[Cut]:
    """The cuts of several dates and run ids, one after the other; a speed layer that hangs is waited for once."""
    taken: list[Cut] = []
    for business_date, run_id in wanted:
        waited = any(not cut.comparable for cut in taken)
        taken.append(take(settings, business_date, run_id, timeout=timedelta(0) if waited else None))
    return taken


def _same_date(cut: Cut, business_date: date) -> Cut:
    if cut.business_date != business_date:
        raise TandemError(
            f"run {cut.run_id} has the cut of {cut.business_date}, not of {business_date}", "use another run id"
        )
    return cut


def _reached(connection: psycopg.Connection[Any]) -> Offsets:
    """How far the speed layer has read."""
    parameters = {"topic": topics.ORDER_EVENTS}
    return dict(connection.execute(database.queries("reconciliation").progress, parameters).fetchall())


def _require_not_set_back(reached: Offsets, ends: Offsets) -> None:
    """Raises TandemError where Kafka ends before what was read of it: it gives these offsets to other records now.

    ``reached``: asked for before ``ends``, as more comes meanwhile.
    """
    for partition, offset in sorted(reached.items()):
        if (end := ends.get(partition, 0)) < offset:
            raise TandemError(
                f"{topics.ORDER_EVENTS} partition {partition} ends at offset {end}, and was read up to {offset}:"
                " Kafka was set back",
                "see 'What was set back' in docs/archive.md",
            )


def _wait(connection: psycopg.Connection[Any], wanted: Offsets, deadline: float) -> int:
    """Wait until the speed layer has passed ``wanted``; returns how many records it still lacks, 0 when it has."""
    while True:
        reached = _reached(connection)
        lag: int = sum(max(0, end - reached.get(partition, 0)) for partition, end in wanted.items())
        if lag == 0 or time.monotonic() >= deadline:
            return lag
        time.sleep(_POLL_S)


def _copy(
    connection: psycopg.Connection[Any],
    settings: Settings,
    business_date: date,
    run_id: str,
    *,
    wanted: Offsets,
    lag: int,
) -> None:
    """Inside Postgres, as far as it can: only it cannot merge sketches."""
    queries = database.queries("reconciliation")
    reason = f"the speed layer was {count(lag, 'record')} behind Kafka" if lag else ""
    parameters = {
        "run_id": run_id,
        "business_date": business_date,
        "timezone": settings.business_timezone,
        "comparable": lag == 0,
        "reason": reason,
        "lag": lag,
        "rule_version": RULE_VERSION,
        "topic": topics.ORDER_EVENTS,
        "partitions": list(wanted),
        "offsets": list(wanted.values()),
    }
    connection.execute(queries.insert_cut, parameters)
    if lag:
        connection.execute(queries.insert_given_offsets, parameters)
        return
    connection.execute(queries.copy_offsets, parameters)
    for cube in kpis.CUBES:
        connection.execute(getattr(queries, f"copy_{cube.name}"), parameters)
    connection.execute(queries.copy_distincts, parameters)
    hours = list(distincts.of_stream(connection, *clock.day_bounds(business_date, settings.zone)))
    with connection.cursor().copy(queries.copy_hourly_distincts) as copy:
        for cell in hours:
            copy.write_row((run_id, *cell))


def read(connection: psycopg.Connection[Any], run_id: str) -> Cut | None:
    """The cut of a run as it was taken, or None."""
    queries = database.queries("reconciliation")
    parameters = {"run_id": run_id, "topic": topics.ORDER_EVENTS}
    row = connection.execute(queries.cut, parameters).fetchone()
    if row is None:
        return None
    business_date, comparable, reason, lag, rule_version, taken_at = row
    offsets = dict(connection.execute(queries.cut_offsets, parameters).fetchall())
    return Cut(run_id, business_date, comparable, reason, lag, rule_version, taken_at, offsets)


def offsets(settings: Settings, run_id: str) -> Offsets:
    """Where a run's cut is. Raises TandemError for a run that has none."""
    with database.connect(settings, database.RECONCILIATION) as connection:
        taken = read(connection, run_id)
    if taken is None:
        raise TandemError(f"run {run_id} has no cut", f"take one: tandem cut --date D --run-id {run_id}")
    return taken.offsets
