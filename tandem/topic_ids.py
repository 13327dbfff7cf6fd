"""Which topics the books are of.

A topic that is deleted and made anew has the old one's name and offsets from 0 on, and an id of its own. A position in
the old one would be taken for one in the new: what stands before it there would be skipped, by both layers alike, so
that no comparison could tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tandem import database
from tandem.errors import TandemError
from tandem.settings import Settings

if TYPE_CHECKING:
    import psycopg
    from confluent_kafka.admin import AdminClient

_ANSWER_S = 10.0


Answer = Callable[[], dict[str, int]]
"""Waits for Kafka, as ``ids`` does."""


def ids(settings: Settings, admin: AdminClient, topics: Iterable[str]) -> dict[str, int]:
    """The first 64 bits of each topic's id. Raises KafkaException where there is no such topic, or no answer.

    ``topics``: by their names without an installation's prefix, as in the result.
    """
    return ask(settings, admin, topics)()


def ask(settings: Settings, admin: AdminClient, topics: Iterable[str]) -> Answer:
    """As ``ids``, for who has something else to do until the answer is there."""
    from confluent_kafka import TopicCollection

    names = {settings.topic(topic): topic for topic in topics}
    asked = admin.describe_topics(TopicCollection(list(names)), request_timeout=_ANSWER_S)
    return lambda: {
        names[topic]: future.result().topic_id.get_most_significant_bits() for topic, future in asked.items()
    }


def note(connection: psycopg.Connection[Any], found: Mapping[str, int]) -> None:
    """Note the topics that the speed layer reads for the first time. Raises TandemError where one is another by now.

    ``found``: as ``ids`` says.
    """
    know = database.queries("speed").know_topic
    for topic, topic_id in found.items():
        row = connection.execute(know, {"topic": topic, "topic_id": topic_id}).fetchone()
        if row is None:
            raise AssertionError("an INSERT … RETURNING returns a row")
        if row[0] != topic_id:
            raise another(topic)


def require_equal(known: Mapping[str, int], found: Mapping[str, int]) -> None:
    """Raises TandemError where a topic is another than is known."""
    for topic, topic_id in found.items():
        if known.get(topic, topic_id) != topic_id:
            raise another(topic)


def known(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """The topics that the speed layer has read, as ``ids`` says."""
    return dict(connection.execute(database.queries("reconciliation").topic_ids).fetchall())


def require_same(connection: psycopg.Connection[Any], found: Mapping[str, int]) -> None:
    """Raises TandemError where a topic is another than the speed layer has read. ``found``: as ``ids`` says."""
    require_equal(known(connection), found)


def another(topic: str) -> TandemError:
    """What to say where a topic is not the one that was read before."""
    return TandemError(
        f"topic {topic} is not the one that was read before: it was made anew, or the settings name another",
        "nothing of it was read; see 'Another topic of the same name' in docs/archive.md",
    )
