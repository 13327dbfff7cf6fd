"""That orders are kept: a topic that Kafka compacts loses all but the last record of each key, and nothing tells.

The key is the customer, so the orders before the last would be in neither layer, and no comparison could show it.
Offsets that are missing look like those of transactions. Topics of corrections and alerts may be compacted: what they
lose has the key of what they keep, and says the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tandem.errors import TandemError
from tandem.topics import ORDER_EVENTS

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

    from tandem.settings import Settings

_ANSWER_S = 10.0
_SETTING = "cleanup.policy"
_COMPACT = "compact"


def refuse_compacted(settings: Settings, admin: AdminClient) -> None:
    """Raises TandemError where Kafka compacts the orders, KafkaException where it does not say whether it does."""
    policy = _policy(settings, admin, ORDER_EVENTS)
    if _COMPACT in policy:
        topic = settings.topic(ORDER_EVENTS)
        raise TandemError(
            f"topic {topic} has {_SETTING}={policy}: Kafka deletes all orders of a customer but the last",
            f"set its {_SETTING} to delete; see 'A topic that is compacted' in docs/archive.md",
        )


def is_compacted(settings: Settings, admin: AdminClient, topic: str) -> bool:
    """Whether Kafka compacts a topic. Raises KafkaException where it does not say."""
    return _COMPACT in _policy(settings, admin, topic)


def _policy(settings: Settings, admin: AdminClient, topic: str) -> str:
    from confluent_kafka.admin import ConfigResource, ResourceType

    resource = ConfigResource(ResourceType.TOPIC, settings.topic(topic))
    found = admin.describe_configs([resource], request_timeout=_ANSWER_S)[resource].result()
    policy: str = found[_SETTING].value
    return policy
