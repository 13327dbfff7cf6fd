"""What the messages of the output topics (capability S12) hold, one struct a message: the schemas of docs/topics.md.

Money is whole cents in ``*_cents``; instants are RFC 3339 in UTC; intervals are half-open, ``[start, end)``.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tandem.kpis import CATEGORIES, KPIS, ORDERS, PRODUCTS, Kpi, Measure, Unit, measures_of

Instant = Annotated[datetime, Meta(tz=True)]
Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=0)]


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The base of all: exactly the declared fields."""


class Alert(Message, frozen=True):
    """One occurrence of a declared pattern (see ``tandem/patterns.py``)."""

    alert_id: Annotated[Text, Meta(description="pattern:partition:offset of the event that completes it")]
    pattern: Annotated[Text, Meta(description="name of the pattern")]
    meaning: Annotated[Text, Meta(description="what the pattern looks for, in a sentence")]
    severity: Annotated[Text, Meta(description="critical or warning")]
    customer_id: Text
    event_id: Annotated[Text, Meta(description="the event that completes it")]
    order_id: Annotated[Text, Meta(description="the order of that event")]
    event_time: Instant
    partition: Annotated[Count, Meta(description="of order-events, of that event")]
    offset: Annotated[Count, Meta(description="of order-events, of that event")]
    facts: Annotated[
        dict[str, int | float | str | None],
        Meta(description="what the condition of the pattern looked at, by its names there"),
    ]


class HighValueCustomer(Message, frozen=True):
    """A customer whose orders have come to more than the threshold, with the order that crossed it."""

    customer_id: Text
    order_id: Text
    event_id: Text
    crossed_at: Annotated[Instant, Meta(description="event time of that order")]
    order_count: Annotated[int, Meta(ge=1, description="orders created so far, with that one, in the order of the log")]
    revenue_cents: Annotated[int, Meta(description="their totals")]
    threshold_cents: Count


class QuarantinedRecord(Message, frozen=True):
    """A record that does not count, whole unless it is too large for a message."""

    topic: Annotated[Text, Meta(description="where it stands")]
    partition: Count
    offset: Count
    kafka_time: Annotated[Instant, Meta(description="when the broker took it")]
    key: Annotated[str | None, Meta(description="as a text for people; the bytes are in speed.quarantine")]
    value: Annotated[str | None, Meta(description="as a text for people; absent where it is too large")]
    reasons: Annotated[list[Text], Meta(description="codes of the failed checks, sorted", min_length=1)]
    event_id: Annotated[str | None, Meta(description="where it could be read; so for the next five")]
    event_type: str | None
    event_time: Instant | None
    order_id: str | None
    customer_id: str | None
    business_date: date | None
    value_bytes: Annotated[int | None, Meta(description="length of a value that is too large for a message")] = None


class Correction(Message, frozen=True):
    """What moves a cell of the speed layer to the batch layer's value."""

    correction_id: Annotated[Text, Meta(description="deterministic: the same correction has the same id")]
    business_date: date
    cube: Annotated[Text, Meta(description="orders, products, categories; or distinct")]
    cell_start: Annotated[Instant, Meta(description="of the hour; of the date for distinct")]
    key: Annotated[str, Meta(description="product_id or category; empty where the cube has no dimension")]
    measure: Text
    stream_value: int
    batch_value: int
    delta: Annotated[int, Meta(description="batch value - stream value")]
    run_id: Annotated[Text, Meta(description="of the batch run")]
    reverses: Annotated[str | None, Meta(description="the correction_id that this one takes back")]
    emitted_at: Instant


class QualityAlert(Message, frozen=True):
    """Records of one partition and micro-batch that went to quarantine for one reason."""

    reason: Annotated[Text, Meta(description="code of the failed check")]
    topic: Text
    partition: Count
    events: Annotated[int, Meta(ge=1, description="how many")]
    first_offset: Count
    last_offset: Count
    first_kafka_time: Instant


class RevenueWindow(Message, frozen=True):
    """Five minutes, hopping by one."""

    window_start: Instant
    window_end: Instant
    revenue_cents: Annotated[int, Meta(description="totals of the orders created in the window")]
    order_count: Count
    avg_order_value_cents: Annotated[int | None, Meta(description="revenue / orders, rounded half up")]


class KpiValue(Message, frozen=True):
    """A KPI of a business date as the stream has it: counted, with corrections applied."""

    business_date: date
    kpi: Annotated[Text, Meta(description="its name in tandem/kpis.py")]
    value: Annotated[
        int | None,
        Meta(description="in the KPI's unit; null where there is nothing to divide by, or it was not kept then"),
    ]
    unit: Annotated[Unit, Meta(description="cents or count")]


def _kpi_field(kpi: Kpi) -> tuple[str, Any]:
    return kpi.name, Annotated[int | None, Meta(description=kpi.meaning)]


def _struct(name: str, doc: str, *fields: tuple[str, Any]) -> type[msgspec.Struct]:
    """A message whose fields are what is declared."""
    return msgspec.defstruct(name, fields, bases=(Message,), namespace={"__doc__": doc}, module=__name__)


DailyAggregates = _struct(
    "DailyAggregates",
    "Every KPI of a business date, provisional: the batch layer's figures are the final ones.",
    ("business_date", date),
    *map(_kpi_field, KPIS),
)
MonthlyAggregates = _struct(
    "MonthlyAggregates",
    "Every KPI of a month of business dates, provisional: the batch layer's figures are the final ones.",
    ("month", Annotated[date, Meta(description="its first date")]),
    *map(_kpi_field, KPIS),
)


def _measure_field(measure: Measure, suffix: str = "", said: str = "", kind: Any = int | None) -> tuple[str, Any]:
    """NULL where the measure was declared later. Of corrections all are kept."""
    return measure.name + suffix, Annotated[kind, Meta(description=measure.meaning + said)]


_ORDER_TIMES = (
    ("first_order_time", Annotated[Instant | None, Meta(description="event time of the first order created")]),
    ("last_order_time", Annotated[Instant | None, Meta(description="event time of the last order created")]),
)
_NET = ("net_revenue_cents", Annotated[int | None, Meta(description="revenue + amended - cancelled")])
ProductMetrics = _struct(
    "ProductMetrics",
    "What a product has come to, of all time: counted, with corrections applied.",
    ("product_id", Text),
    *map(_measure_field, measures_of(PRODUCTS)),
    _NET,
    *_ORDER_TIMES,
)
CustomerMetrics = _struct(
    "CustomerMetrics",
    "What a customer has come to, of all time.",
    ("customer_id", Text),
    *map(_measure_field, measures_of(ORDERS)),
    *_ORDER_TIMES,
    _NET,
    ("avg_order_value_cents", Annotated[int | None, Meta(description="revenue / orders, rounded half up")]),
    (
        "days_between_orders",
        Annotated[float | None, Meta(description="the frequency: days from first order to last, per order after it")],
    ),
    ("is_high_value", Annotated[bool | None, Meta(description="revenue is above `TANDEM_HIGH_VALUE_CENTS`")]),
)
_CORRECTED = "_corrected"
_PARTS = {
    "": "",
    "_after_final": ", that came when the hour was final",
    "_late": ", that came too late to be counted",
    _CORRECTED: ", that reconciliation corrected",
}
_OF_CATEGORIES = {measure.name for measure in measures_of(CATEGORIES)}
_TRENDS = [measure for measure in measures_of(ORDERS) if measure.name in _OF_CATEGORIES]
HourlyTrend = _struct(
    "HourlyTrend",
    "An hour, in all or of one category: early results until it is final, then the row that never changes.",
    ("business_date", date),
    ("cell_start", Annotated[Instant, Meta(description="start of the hour")]),
    ("category", Annotated[str, Meta(description="empty: in all")]),
    (
        "status",
        Annotated[Literal["early", "final"], Meta(description="final: the figures without suffix never change")],
    ),
    ("finalised_at", Instant | None),
    *(_measure_field(measure) for measure in _TRENDS),
    *(
        _measure_field(measure, part, said, int if part == _CORRECTED else int | None)
        for part, said in _PARTS.items()
        if part
        for measure in _TRENDS
    ),
)


class QualityReport(Message, frozen=True):
    """What five minutes of event time brought, good and bad."""

    window_start: Annotated[
        Instant, Meta(description="of event time; of the broker's, where that is missing or over 1 h in the future")
    ]
    window_end: Instant
    records: Annotated[Count, Meta(description="of the contract's event types: valid + invalid")]
    valid: Annotated[Count, Meta(description="no critical check failed")]
    invalid: Annotated[Count, Meta(description="quarantined")]
    warnings: Annotated[Count, Meta(description="valid, with a failed check that is a warning")]
    duplicate: Annotated[Count, Meta(description="valid, and counted before")]
    late: Annotated[Count, Meta(description="valid, and too late to be counted by the stream")]
    issues: Annotated[dict[str, int], Meta(description="failed checks by code; a record can fail several")]
    quality_score: Annotated[float, Meta(ge=0, le=1, description="valid / records")]
