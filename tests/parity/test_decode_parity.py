"""Two decoders and two interpreters of the checks, written apart, must type and judge every payload alike."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from awkward import VALUES, event, mixed
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from spark_jobs import decode as batch_decode
from spark_jobs import validate as batch_validate
from stream import decode as speed_decode
from stream import validate as speed_validate
from stream.types import Records
from tandem.events import EVENT_COLUMNS

pytestmark = pytest.mark.spark

KAFKA_TIME = datetime(2017, 12, 21, 10, tzinfo=UTC)
COLUMNS = [*(column.name for column in EVENT_COLUMNS), "reasons", "decision"]


def speed(values: list[bytes | None]) -> list[dict[str, Any]]:
    count = len(values)
    kafka_times_ms = [int(KAFKA_TIME.timestamp() * 1000)] * count
    decoded = speed_decode.decode(
        Records([0] * count, list(range(count)), kafka_times_ms, [None] * count, values), "USD"
    )
    items: dict[int, list[dict[str, Any]]] = {}
    for line in decoded.lines.iter_rows(named=True):
        items.setdefault(line.pop("row"), []).append(line)
    judged = speed_validate.validate(decoded.events)
    return [row | {"items": items.get(row["offset"], [])} for row in judged.iter_rows(named=True)]


def batch(spark: SparkSession, values: list[bytes | None]) -> list[dict[str, Any]]:
    records = pa.table(
        {
            "partition": pa.array([0] * len(values), pa.int32()),
            "offset": pa.array(range(len(values)), pa.int64()),
            "kafka_time": pa.array([KAFKA_TIME] * len(values), pa.timestamp("us", "UTC")),
            "value": pa.array(values, pa.binary()),
        }
    )
    judged = batch_validate.validate(batch_decode.decode(spark.createDataFrame(records), "USD"))
    rows = pl.DataFrame(judged.orderBy("offset").toArrow()).to_dicts()
    return [row | {"items": row["items"] or []} for row in rows]


def assert_alike(spark: SparkSession, values: list[bytes | None]) -> None:
    differing = [
        (value, {name: (ours[name], theirs[name]) for name in COLUMNS if ours[name] != theirs[name]})
        for value, ours, theirs in zip(values, speed(values), batch(spark, values), strict=True)
        if any(ours[name] != theirs[name] for name in COLUMNS)
    ]
    assert differing == []


def test_both_layers_read_what_json_engines_read_differently_alike(spark: SparkSession) -> None:
    assert_alike(spark, [*VALUES, *(mixed(seed) for seed in range(1500))])


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals(-99, 99, places=2).map(str) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
).flatmap(lambda thing: st.booleans().map(lambda ascii_only: json.dumps(thing, ensure_ascii=ascii_only)))
FIELDS = ("event_id", "event_time", "order_id", "total_amount", "items", "currency", "customer_email", "other")
EVENTS = st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=3).map(lambda fields: event(**fields))


# Few examples of many events: an example costs a Spark job, an event next to nothing. Shrinking would take minutes.
@settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(values=st.lists(EVENTS, min_size=100, max_size=150))
def test_both_layers_read_whatever_json_a_field_holds_alike(spark: SparkSession, values: list[bytes]) -> None:
    assert_alike(spark, list(values))
