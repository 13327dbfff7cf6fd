"""The topics as declared: all that capability S12 names, with schemas, and a page that says what they say."""

from __future__ import annotations

import os

import topic_docs

from tandem.kpis import KPIS
from tandem.patterns import PATTERNS
from tandem.topics import ENRICHED_ORDERS, KPI_TOPICS, TOPICS, Holds

DECLARED = {topic.name: topic for topic in TOPICS}


def test_the_page_says_what_is_declared() -> None:
    page = topic_docs.page()
    if os.environ.get("TANDEM_REGENERATE"):
        topic_docs.PAGE.write_text(page, encoding="utf-8")
    assert topic_docs.PAGE.read_text(encoding="utf-8") == page, (
        "docs/topics.md is behind; TANDEM_REGENERATE=1 .venv/bin/pytest tests/stream/test_topics.py"
    )


def test_every_output_topic_has_a_schema_and_a_cadence() -> None:
    outputs = [topic for topic in TOPICS if topic.holds is not Holds.INPUT and topic.name != ENRICHED_ORDERS]
    assert [topic.name for topic in outputs if not (topic.message and topic.cadence and topic.meaning)] == []


def test_every_topic_of_the_capability_is_there() -> None:
    wanted = """revenue-metrics product-metrics customer-metrics high-value-customers hourly-trends kpi-revenue
        kpi-order-count kpi-avg-order-value suspicious-activity-alerts abnormal-order-alerts enriched-orders
        daily-order-aggregates monthly-order-aggregates data-quality-alerts quarantined-data quality-metrics-reports
        corrections"""
    assert set(wanted.split()) <= DECLARED.keys()


def test_states_are_compacted_and_events_are_not() -> None:
    compacted = {name for name, topic in DECLARED.items() if "compact" in topic.config.get("cleanup.policy", "")}
    assert compacted - {"metrics"} == {name for name, topic in DECLARED.items() if topic.holds is Holds.STATE}


def test_patterns_and_kpis_have_the_topics_that_they_name() -> None:
    assert {pattern.topic for pattern in PATTERNS} <= DECLARED.keys()
    assert KPI_TOPICS.keys() <= DECLARED.keys()
    assert set(KPI_TOPICS.values()) <= {kpi.name for kpi in KPIS}
