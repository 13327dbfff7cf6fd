"""What is waited out, by a worker and by its thread alike."""

from __future__ import annotations

import psycopg
import pytest
from confluent_kafka import KafkaError, KafkaException

from stream.outages import passes
from tandem.errors import TandemError


def because_of(cause: Exception | None) -> TandemError:
    error = TandemError("it cannot go on", "see to it")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError(),
        psycopg.errors.AdminShutdown(),
        psycopg.errors.IdleInTransactionSessionTimeout(),
        psycopg.errors.TransactionTimeout(),
        KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN)),
    ],
)
def test_what_passes_by_itself_is_waited_out_also_where_it_is_told_in_our_words(error: Exception) -> None:
    assert passes(error)
    assert passes(because_of(error))


@pytest.mark.parametrize("error", [psycopg.ProgrammingError(), because_of(None), because_of(ValueError())])
def test_what_waiting_does_not_help_is_not_waited_out(error: Exception) -> None:
    assert not passes(error)
