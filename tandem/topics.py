"""The Kafka topics and what each promises (capability S1, S12). The broker gets the settings as they stand here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from tandem import messages

ORDER_EVENTS = "order-events"
CORRECTIONS = "corrections"
QUARANTINED_DATA = "quarantined-data"
DATA_QUALITY_ALERTS = "data-quality-alerts"
SUSPICIOUS_ACTIVITY_ALERTS = "suspicious-activity-alerts"
ABNORMAL_ORDER_ALERTS = "abnormal-order-alerts"
HIGH_VALUE_CUSTOMERS = "high-value-customers"
ENRICHED_ORDERS = "enriched-orders"
REVENUE_METRICS = "revenue-metrics"
PRODUCT_METRICS = "product-metrics"
CUSTOMER_METRICS = "customer-metrics"
HOURLY_TRENDS = "hourly-trends"
DAILY_ORDER_AGGREGATES = "daily-order-aggregates"
MONTHLY_ORDER_AGGREGATES = "monthly-order-aggregates"
QUALITY_METRICS_REPORTS = "quality-metrics-reports"
KPI_TOPICS = {
    "kpi-revenue": "revenue_cents",
    "kpi-order-count": "order_count",
    "kpi-avg-order-value": "avg_order_value_cents",
}
"""The KPI that each of these shows, by its name in ``tandem.kpis``."""


class Holds(StrEnum):
    """What a topic's messages are, and how two readers of it are compared."""

    INPUT = "input"
    """What the platform is given."""
    EVENTS = "events"
    """What happened: a set, in which the header ``message_id`` tells a message that came twice."""
    STATE = "state"
    """What is: the last value of each key counts."""


def _ms(duration: timedelta) -> str:
    return str(duration // timedelta(milliseconds=1))


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. ``replication`` is that of production; ``config``: of the broker.

    ``message``: the struct of its values, None where it is described elsewhere; ``cadence``: when a message comes.
    """

    name: str
    key: str
    partitions: int
    replication: int
    config: dict[str, str] = field(default_factory=dict)
    holds: Holds = Holds.INPUT
    message: Any = None
    cadence: str = ""
    meaning: str = ""

    def config_of(self, replication: int) -> dict[str, str]:
        """Settings where each partition is on so many brokers.

        On fewer than in production, the in-sync replicas are what the cluster asks for by itself: more than there are
        would refuse every message, and as many as there are would with the first broker that stops.
        """
        config = {"message.timestamp.type": "LogAppendTime", **self.config}
        if replication < self.replication:
            config.pop("min.insync.replicas", None)
        return config

    def local_config(self) -> dict[str, str]:
        """Settings on the one local broker."""
        return self.config_of(1) | {"min.insync.replicas": "1"}


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
_STATE = {
    "cleanup.policy": "compact",
    "segment.ms": _ms(timedelta(minutes=10)),
    "min.cleanable.dirty.ratio": "0.1",
}
"""Of entities: their last value is never too old to matter."""

_CADENCE = "every 10 s (`TANDEM_EARLY_RESULTS_EVERY`), of what has changed"


def _state(name: str, key: str, message: Any, meaning: str, config: dict[str, str] | None = None) -> Topic:
    return Topic(name, key, 3, 2, config or _STATE, Holds.STATE, message, _CADENCE, meaning)


_AT_ONCE = "as soon as the micro-batch is committed"


def _alerts(name: str, key: str, days: int, message: Any, meaning: str) -> Topic:
    config = {"retention.ms": _ms(timedelta(days=days)), "min.insync.replicas": "2"}
    return Topic(name, key, 3, 3, config, Holds.EVENTS, message, _AT_ONCE, meaning)


TOPICS: tuple[Topic, ...] = (
    Topic(ORDER_EVENTS, "customer_id", 12, 3, _EVENTS, meaning="the event contract, see semantics.md"),
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
        meaning="what customers do besides ordering; nothing reads it yet",
    ),
    Topic("metrics", "metric", 6, 2, _METRICS, meaning="for metrics of other systems; nothing reads it yet"),
    # A correction is an accounting entry: it never expires.
    Topic(
        CORRECTIONS,
        "correction_id",
        1,
        3,
        {"retention.ms": "-1", "min.insync.replicas": "2"},
        Holds.EVENTS,
        messages.Correction,
        "when reconciliation emits them",
        "adjusting entries; the speed layer applies each `correction_id` once",
    ),
    _alerts(
        QUARANTINED_DATA,
        "topic:partition:offset",
        30,
        messages.QuarantinedRecord,
        "every record that went to quarantine",
    ),
    _alerts(
        DATA_QUALITY_ALERTS,
        "reason",
        7,
        messages.QualityAlert,
        "why records went to quarantine, one message per partition, reason and micro-batch",
    ),
    _alerts(
        SUSPICIOUS_ACTIVITY_ALERTS,
        "customer_id",
        7,
        messages.Alert,
        "a customer's events that look like abuse",
    ),
    _alerts(
        ABNORMAL_ORDER_ALERTS,
        "customer_id",
        7,
        messages.Alert,
        "an order unlike the customer's others",
    ),
    _state(
        REVENUE_METRICS,
        "window_start",
        messages.RevenueWindow,
        "revenue windows: 5 minutes, hopping by 1 minute",
        _METRICS,
    ),
    *(
        _state(topic, "business_date", messages.KpiValue, f"the stream's `{kpi}` of each business date")
        for topic, kpi in KPI_TOPICS.items()
    ),
    _state(
        DAILY_ORDER_AGGREGATES,
        "business_date",
        messages.DailyAggregates,
        "the stream's KPIs of each business date, provisional",
    ),
    _state(
        MONTHLY_ORDER_AGGREGATES,
        "month",
        messages.MonthlyAggregates,
        "the stream's KPIs of each month, provisional",
    ),
    _state(PRODUCT_METRICS, "product_id", messages.ProductMetrics, "what each product has come to"),
    _state(CUSTOMER_METRICS, "customer_id", messages.CustomerMetrics, "what each customer has come to"),
    _state(
        HOURLY_TRENDS,
        "cell_start/category",
        messages.HourlyTrend,
        "hours in all and by category, early and then final",
    ),
    Topic(
        ENRICHED_ORDERS,
        "customer_id",
        12,
        3,
        _EVENTS,
        Holds.EVENTS,
        meaning="orders with what is known of customer and products; filled once enrichment is there",
    ),
    _state(
        QUALITY_METRICS_REPORTS,
        "window_start",
        messages.QualityReport,
        "how many records were good, and what was wrong with the others, by 5 minutes",
        _METRICS | {"retention.ms": _ms(timedelta(days=7))},
    ),
    # A customer crosses once: a new reader needs all of them.
    Topic(
        HIGH_VALUE_CUSTOMERS,
        "customer_id",
        3,
        3,
        {"retention.ms": "-1", "min.insync.replicas": "2"},
        Holds.EVENTS,
        messages.HighValueCustomer,
        _AT_ONCE,
        "customers whose orders come to more than `TANDEM_HIGH_VALUE_CENTS`, once each",
    ),
)
