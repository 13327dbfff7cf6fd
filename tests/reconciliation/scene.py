"""Puts a hand-made log into the real database as both layers would keep it, with journal, facts and cut."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import deltalake
import polars as pl
import pyarrow as pa
from confluent_kafka import Consumer, TopicPartition
from shop import ends

from reconciliation import cut as cuts
from tandem import journal, kpis, topics
from tandem.pending import ALL_PARTITIONS
from tandem.settings import Settings
from tests.reconciliation.books import DAY, execute, fill_log, insert
from tests.reconciliation.decisions import Record, cells, evidence

RUN = "2017-12-23.20171224T020000Z.test00"
_MARKER_S = 5
"""How long after it has told the sender the broker may take to mark a transaction as committed, on a busy machine."""
CUBES = {cube.name: cube for cube in kpis.CUBES}


def _wide(side: pl.DataFrame) -> list[tuple[kpis.Cube, dict[str, Any], dict[str, int]]]:
    """Per cell: its cube, its place, its measures."""
    rows: dict[tuple[Any, ...], dict[str, int]] = {}
    for cube, start, key, measure, value in side.filter(pl.col("cube") != "distinct").iter_rows():
        rows.setdefault((cube, start, key), {})[measure] = value
    return [
        (CUBES[cube], {"cell_start": start, **({CUBES[cube].key: key} if CUBES[cube].key else {})}, measures)
        for (cube, start, key), measures in rows.items()
    ]


def write_stream(settings: Settings, records: Sequence[Record], day: date = DAY) -> None:
    """What the speed layer has: panes, customers, one journal segment a partition, and how far it is."""
    for cube, place, measures in _wide(cells(records, "speed")):
        pane = {"business_date": day, "pane_start": place.pop("cell_start"), "partition": 0, **place}
        insert(settings, f"speed.{cube.pane_table}", **pane, **measures)
    counted = [r for r in records if r.speed == "counted" and r.event_type == "order_created" and r.when.date() == day]
    for customer in {r.customer for r in counted}:
        insert(settings, "speed.customer_days", business_date=day, customer_id=customer, partition=ALL_PARTITIONS)
    ends = {p: max(r.offset for r in records if r.partition == p) + 1 for p in {r.partition for r in records}}
    fill_log(settings, ends)
    for partition in range(12):
        place = {"topic": topics.ORDER_EVENTS, "partition": partition}
        insert(settings, "speed.partitions", **place, next_offset=ends.get(partition, 0))
    _write_journal(settings, records, ends)


def _write_journal(settings: Settings, records: Sequence[Record], ends: dict[int, int]) -> None:
    rows = evidence(records).journal
    for partition, end in ends.items():
        ours = rows.filter(pl.col("partition") == partition).sort("offset")
        dates = [time.date() for time in ours["event_time"]]
        insert(
            settings,
            "speed.journal",
            topic=topics.ORDER_EVENTS,
            partition=partition,
            first_offset=0,
            next_offset=end,
            events=len(ours),
            min_business_date=min(dates, default=None),
            max_business_date=max(dates, default=None),
            epoch=1,
            rule_version="1",
            segment=journal.encode(ours.to_arrow()),
        )


def write_facts(settings: Settings, records: Sequence[Record], run_id: str = RUN) -> int:
    """The order_facts table as Spark leaves it, one partition a date; returns its version."""
    facts = evidence(records).facts.with_columns(
        business_date=pl.col("event_time").dt.date(), run_id=pl.lit(run_id), region=pl.lit(None, pl.String)
    )
    table = facts.to_arrow().cast(pa.schema([_plain(field) for field in facts.to_arrow().schema]))
    deltalake.write_deltalake(settings.order_facts, table, partition_by=["business_date"], mode="overwrite")
    return deltalake.DeltaTable(settings.order_facts).version()


def _plain(field: pa.Field) -> pa.Field:
    """Without polars' large types, which Delta does not keep."""
    if pa.types.is_large_list(field.type):
        inner = pa.struct([_plain(f) for f in field.type.value_type])
        return pa.field(field.name, pa.list_(inner))
    return pa.field(field.name, pa.string()) if pa.types.is_large_string(field.type) else field


def write_run(
    settings: Settings, records: Sequence[Record], run_id: str = RUN, *, gates: bool = True, publish: bool = True
) -> None:
    """What a published batch run leaves: facts, cells, the day's figures, gates, the version."""
    side = cells(records, "batch")
    version = write_facts(settings, records, run_id)
    run = {"kind": "manual", "code_version": "test", "rule_version": "1", "archive_version": 3}
    insert(settings, "batch.runs", run_id=run_id, business_date=DAY, facts_version=version, **run)
    for cube, place, measures in _wide(side):
        insert(settings, f"batch.{cube.hour_table}", run_id=run_id, business_date=DAY, **place, **measures)
    insert(settings, "batch.daily_metrics", run_id=run_id, business_date=DAY, **figures(side))
    if gates:
        gate = {"suite": "order_facts", "expectation": "order ids are unique", "level": "fail", "success": True}
        insert(settings, "batch.gate_results", run_id=run_id, business_date=DAY, **gate)
    if publish:
        execute(settings, "UPDATE batch.versions SET superseded_at = now() WHERE superseded_at IS NULL")
        number = execute(settings, "SELECT count(*) + 1 FROM batch.versions")[0][0]
        current = {"view": "daily_metrics", "business_date": DAY, "version": number}
        insert(settings, "batch.versions", run_id=run_id, **current)


def figures(side: pl.DataFrame) -> dict[str, int | None]:
    """The day's KPIs of a side's cells, by hand."""
    sums = {
        name: sum(v for cube, _, _, measure, v in side.iter_rows() if cube == "orders" and measure == name)
        for name in ("order_count", "revenue_cents", "cancelled_revenue_cents", "amended_revenue_cents", "units")
    }
    revenue, count = sums["revenue_cents"], sums["order_count"]
    net = revenue + sums["amended_revenue_cents"] - sums["cancelled_revenue_cents"]
    customers = sum(v for cube, _, _, _, v in side.iter_rows() if cube == "distinct")
    average = (2 * revenue + count) // (2 * count) if count else None
    return {**sums, "net_revenue_cents": net, "avg_order_value_cents": average, "unique_customers": customers}


def stage(settings: Settings, records: Sequence[Record], **changes: Any) -> None:
    """Everything up to the moment a nightly run reconciles."""
    write_stream(settings, records)
    cuts.take(settings, DAY, RUN, timeout=timedelta(0))
    write_run(settings, records, **changes)


class Applier:
    """Stands for the speed layer where only its promise is needed: each correction is booked once, by its id."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topic = settings.topic(topics.CORRECTIONS)
        self.messages: list[dict[str, Any]] = []
        self._position = 0

    def read(self) -> list[dict[str, Any]]:
        """Every committed message of the topic not read before."""
        import msgspec

        group = {"group.id": "applier", "isolation.level": "read_committed", "enable.auto.commit": False}
        consumer = Consumer({"bootstrap.servers": self.settings.brokers, "enable.partition.eof": True, **group})
        consumer.assign([TopicPartition(self.topic, 0, self._position)])
        ends_at, open_transaction, found = self._end(), False, []
        while True:
            message = consumer.poll(_MARKER_S if open_transaction else 10)
            if message is None and open_transaction:  # a sender that crashed has left it so
                break
            assert message is not None, "the broker did not answer"
            if message.error():  # the end of what is committed
                if message.offset() >= ends_at:
                    break
                open_transaction = True
                continue
            document = msgspec.json.decode(message.value())
            assert message.key().decode() == document["correction_id"]
            found.append({**document, "partition": 0, "offset": message.offset()})
            self._position = message.offset() + 1
        consumer.close()
        self.messages += found
        return found

    def _end(self) -> int:
        """The end of the topic, committed or not."""
        return ends(self.settings, topic=topics.CORRECTIONS)[0]

    def apply(self, messages: Sequence[dict[str, Any]] | None = None) -> None:
        """Book messages (those that are new), in the order given."""
        columns = [
            *("correction_id", "business_date", "cube", "cell_start", "key", "measure", "delta", "stream_value"),
            *("batch_value", "run_id", "reverses", "partition", "offset"),
        ]
        for message in self.read() if messages is None else messages:
            names = ", ".join(f'"{name}"' for name in columns)
            values = ", ".join(["%s"] * len(columns))
            statement = f"INSERT INTO speed.adjustments ({names}) VALUES ({values}) ON CONFLICT DO NOTHING"
            execute(self.settings, statement, [message[name] for name in columns])
