"""What a worker and its threads wait out: Postgres or Kafka is away, or they were paused themselves."""

from __future__ import annotations

import psycopg
from confluent_kafka import KafkaException

from tandem.errors import TandemError

_PAUSED = (psycopg.errors.IdleInTransactionSessionTimeout, psycopg.errors.TransactionTimeout)
"""What Postgres says to one that was paused in a transaction."""
PASSES = (psycopg.OperationalError, *_PAUSED, KafkaException)
"""What passes by itself. A TandemError may stand for one of these: see ``passes``."""


def passes(error: Exception) -> bool:
    """Whether waiting may help."""
    return isinstance(error.__cause__ if isinstance(error, TandemError) else error, PASSES)
