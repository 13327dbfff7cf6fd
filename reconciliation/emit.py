"""Send corrections to Kafka: all of a batch or none, and from one sender per date at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from reconciliation.corrections import Correction
from tandem import topics
from tandem.errors import TandemError
from tandem.settings import Settings

_TIMEOUT_S = 60


def message(correction: Correction, emitted_at: datetime) -> bytes:
    """A correction as the speed layer reads it."""
    fields = ("correction_id", "business_date", "cube", "cell_start", "key", "measure")
    values = ("stream_value", "batch_value", "delta", "run_id", "reverses")
    document = {name: getattr(correction, name) for name in (*fields, *values)}
    return msgspec.json.encode({**document, "emitted_at": emitted_at.astimezone(UTC)})


def emit(settings: Settings, corrections: Sequence[Correction], now: datetime) -> None:
    """Produce corrections of one date in one transaction, keyed by their ids. Raises TandemError.

    The transactional id is the date's, so a sender that hangs is fenced by the next one. Sending again is harmless: the
    speed layer takes each id once.
    """
    from confluent_kafka import KafkaException

    from tandem import kafka_client

    if not corrections:
        return
    sender = settings.topic(f"{topics.CORRECTIONS}.{corrections[0].business_date}")
    producer = kafka_client.producer(settings, {"transactional.id": sender})
    try:
        producer.init_transactions(_TIMEOUT_S)
        producer.begin_transaction()
        _produce(producer, settings.topic(topics.CORRECTIONS), corrections, now)
        producer.commit_transaction(_TIMEOUT_S)
    except KafkaException as error:
        raise TandemError(
            f"the corrections could not be sent to Kafka at {settings.brokers}: {error.args[0].str()}",
            "run 'tandem up', then 'tandem reconcile' again: it takes up where this stopped",
        ) from error


def _produce(producer: Any, topic: str, corrections: Sequence[Correction], now: datetime) -> None:
    for correction in corrections:
        while True:
            try:
                producer.produce(topic, message(correction, now), key=correction.correction_id)
                break
            except BufferError:
                producer.poll(0.1)
