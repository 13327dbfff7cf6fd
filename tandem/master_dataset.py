"""What both layers know of the master dataset's Delta table: what its application transactions are called and mean."""

from __future__ import annotations

from datetime import date
from typing import Protocol

from tandem.errors import TandemError

UNKNOWN = "unknown"
"""The partition of records whose date the archiver would not guess. Every run reads it."""
KEPT_FROM = "tandem:kept_from"


class Transactions(Protocol):
    """What is asked of a Delta table: the last version of an application transaction."""

    def transaction_version(self, app_id: str) -> int | None:
        """The version, None where there never was one."""


def next_offset_id(topic: str, partition: int) -> str:
    """The transaction that holds the next offset of a Kafka partition."""
    return f"tandem:{topic}:{partition}"


def start_name(topic: str, partition: int) -> str:
    """The transaction that holds the first offset of a Kafka partition that is in the table, or that would be."""
    return f"tandem:{topic}:{partition}:start"


def start(table: Transactions, topic: str, partition: int) -> int:
    """That offset: nothing below it is in the table. 0 where the partition was opened before starts were noted."""
    return table.transaction_version(start_name(topic, partition)) or 0


def last_name(topic: str, partition: int) -> str:
    """The transaction that holds the offset of the last record of a Kafka partition that is in the table."""
    return f"tandem:{topic}:{partition}:last"


def last_time_name(topic: str, partition: int) -> str:
    """The transaction that holds when the broker took that record, in ms since 1970."""
    return f"tandem:{topic}:{partition}:last_time"


def topic_id_name(topic: str) -> str:
    """The transaction that holds the id that Kafka gave the topic."""
    return f"tandem:{topic}:topic_id"


def topic_id(table: Transactions, topic: str) -> int | None:
    """That id; None where no partition was opened since ids are noted."""
    return table.transaction_version(topic_id_name(topic))


def next_offsets(table: Transactions, topic: str) -> dict[int, int]:
    """The next offset of every partition that was opened: all below it is in the table."""
    offsets: dict[int, int] = {}
    while (offset := table.transaction_version(next_offset_id(topic, len(offsets)))) is not None:
        offsets[len(offsets)] = offset
    return offsets


def kept_from(table: Transactions) -> date | None:
    """The first date that retention has left whole; None where it has never taken anything."""
    version = table.transaction_version(KEPT_FROM)
    return None if version is None else date.fromisoformat(str(version))


class GoneError(TandemError):
    """Retention has taken the records of a date: nothing can be computed of it, nor checked, any more."""


def require_kept(first: date | None, day: date) -> None:
    """Raises GoneError where ``day`` is before ``first``, the table's ``kept_from``."""
    if first is not None and day < first:
        raise GoneError(
            f"the archive keeps the records from {first} on, and those of {day} are gone",
            f"what is published of it stays; compute dates from {first} on",
        )


def kept_from_version(day: date) -> int:
    """``day`` as the version of KEPT_FROM."""
    return int(f"{day:%Y%m%d}")
