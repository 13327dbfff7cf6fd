"""outbox: what must go out to Kafka, committed with the micro-batch and sent after it.

A message is sent again after a crash between the broker's word and the row's deletion, under the same ``message_id``: a
reader that drops repeated ids sees each once, and none is missing.
"""

from __future__ import annotations

from typing import Any

import psycopg
import structlog
from confluent_kafka import KafkaError, KafkaException, Message

from tandem import database, kafka_client
from tandem.settings import Settings

_AT_ONCE = 5_000
_log = structlog.get_logger(__name__)
_queries = database.queries("speed")


class Relay:
    """Sends waiting messages. Workers may do so at the same time: a row is sent by one of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # A row stays locked while its message travels; the transaction must end before Postgres ends it.
        self._patience_s = settings.session_timeout.total_seconds() / 2
        self._producer = kafka_client.producer(
            settings,
            {
                "enable.idempotence": True,
                # As the sources do: what a key's other events lie beside.
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "compression.type": "lz4",
                "message.timeout.ms": int(self._patience_s * 1000),
            },
        )

    def send(self, connection: psycopg.Connection[Any]) -> int:
        """Send what waits; returns how many messages the broker took. What it did not take stays for the next call."""
        total = 0
        while True:
            with connection.transaction():
                waiting = {"limit": _AT_ONCE}
                # In binary: as text, Postgres would write bytes in hexadecimal.
                rows = connection.execute(_queries.outbox_waiting, waiting, binary=True).fetchall()
                sent = self._produce(rows) if rows else []
                if sent:
                    connection.execute(_queries.outbox_sent, {"sent": sent})
            total += len(sent)
            if len(rows) < _AT_ONCE or len(sent) < len(rows):
                return total

    def _produce(self, rows: list[tuple[Any, ...]]) -> list[int]:
        sent: list[int] = []
        refused: list[str] = []

        def note(message_id: int, error: KafkaError | None) -> None:
            if error is None:
                sent.append(message_id)
            else:
                refused.append(error.str())

        for message_id, dedupe_id, topic, key, value in rows:

            def on_delivery(error: KafkaError | None, _message: Message, of: int = message_id) -> None:
                note(of, error)

            headers = [("message_id", dedupe_id.encode())]
            try:
                self._producer.produce(
                    self._settings.topic(topic), value, key, headers=headers, on_delivery=on_delivery
                )
            except BufferError:  # full: the rest waits for the next call
                break
            except KafkaException as error:
                if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                    raise
                refused.append(error.args[0].str())  # it stays, and holds nothing back
        self._producer.flush(self._patience_s)
        if refused:
            _log.warning("outbox_waits", messages=len(refused), reason=refused[0])
        return sent
