"""The Kafka topics and what each promises (capability S1, S12). The broker gets the settings as they stand here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

ORDER_EVENTS = "order-events"
CORRECTIONS = "corrections"
QUARANTINED_DATA = "quarantined-data"
DATA_QUALITY_ALERTS = "data-quality-alerts"


def _ms(duration: timedelta) -> str:
    return str(duration // timedelta(milliseconds=1))


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: its name, key, partitions, replication in production, and broker settings."""

    name: str
    key: str
    partitions: int
    replication: int
    config: dict[str, str] = field(default_factory=dict)

    def local_config(self, replication: int) -> dict[str, str]:
        """Settings where only ``replication`` brokers exist: fewer in-sync replicas can be asked for."""
        config = {"message.timestamp.type": "LogAppendTime", **self.config}
        if replication < self.replication:
            config["min.insync.replicas"] = "1"
        return config


_EVENTS = {
    "retention.ms": _ms(timedelta(days=1)),
    "segment.ms": _ms(timedelta(hours=1)),
    "compression.type": "lz4",
    "min.insync.replicas": "2",
}
_METRICS = {
    "retention.ms": _ms(timedelta(hours=6)),
    "cleanup.policy": "compact,delete",
    "segment.ms": _ms(timedelta(minutes=10)),
    "min.cleanable.dirty.ratio": "0.1",
}

TOPICS: tuple[Topic, ...] = (
    Topic(ORDER_EVENTS, "customer_id", 12, 3, _EVENTS),
    Topic(
        "user-events",
        "customer_id",
        24,
        3,
        {
            "retention.ms": _ms(timedelta(days=7)),
            "compression.type": "snappy",
            "max.message.bytes": str(1024 * 1024),
            "min.insync.replicas": "2",
        },
    ),
    Topic("metrics", "metric", 6, 2, _METRICS),
    # A correction is an accounting entry: it never expires.
    Topic(CORRECTIONS, "correction_id", 1, 3, {"retention.ms": "-1", "min.insync.replicas": "2"}),
    Topic(
        QUARANTINED_DATA,
        "topic:partition:offset",
        3,
        3,
        {"retention.ms": _ms(timedelta(days=30)), "min.insync.replicas": "2"},
    ),
    Topic(
        DATA_QUALITY_ALERTS,
        "reason",
        3,
        3,
        {"retention.ms": _ms(timedelta(days=7)), "min.insync.replicas": "2"},
    ),
)
