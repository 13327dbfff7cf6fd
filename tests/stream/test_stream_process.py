"""The whole way of a micro-batch without Kafka and Postgres: the same books whatever the cuts, restarts and orders."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import day_book
import odd_values as odd
import orders
import payload_oracle as oracle
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.dedupe import NO_WATERMARK, PartitionState
from stream.hashed import Texts
from stream.memory import Memory
from stream.process import MicroBatch, process
from stream.types import Records, Rules
from tandem import journal

START = datetime(2017, 12, 22, 20, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Berlin")
RULES = Rules(ZONE, "USD", timedelta(hours=1), timedelta(hours=24))
PARTITIONS = 3

MOMENTS = st.one_of(st.integers(0, 90), st.integers(0, 60 * 40)).map(lambda minutes: START + timedelta(minutes=minutes))
PAYLOADS = orders.events_at(MOMENTS, st.sampled_from("abcdefghijkl"))
VALUES = st.one_of(
    PAYLOADS.map(orders.encode),
    PAYLOADS.map(orders.encode),
    PAYLOADS.map(lambda payload: orders.encode(payload | {"event_type": "order_shipped"})),
    PAYLOADS.map(lambda payload: orders.encode(payload | {"customer_id": None})),
    PAYLOADS.map(lambda payload: orders.encode(payload | {"customer_email": "nobody"})),
    odd.VALUES,
)
LOGS = st.lists(st.tuples(st.integers(0, PARTITIONS - 1), VALUES), max_size=40)


KEYS = {
    "order_minutes": ["business_date", "pane_start", "partition"],
    "product_hours": ["business_date", "pane_start", "product_id"],
    "category_hours": ["business_date", "pane_start", "category", "partition"],
    "customer_days": ["business_date", "customer_id"],
    "outcomes": ["pane_start", "partition", "decision", "reason"],
}


@dataclass
class Totals:
    """What micro-batches came to, added up."""

    cells: dict[str, dict[tuple[Any, ...], Counter[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Counter))
    )
    journal: list[pl.DataFrame] = field(default_factory=lambda: [journal.ROWS])

    def add(self, batch: MicroBatch) -> None:
        for table, frame in batch.emitted.frames.items():
            for row in frame.iter_rows(named=True) if table.name in KEYS else ():
                key = tuple(row.pop(name) for name in KEYS[table.name])
                self.cells[table.name][key].update(row)
        self.journal += [journal.decode(segment.content, segment.partition) for segment in batch.segments]

    def rows(self) -> pl.DataFrame:
        return pl.concat(self.journal).sort("partition", "offset")


def part_of(records: Records, start: dict[int, int], end: dict[int, int]) -> Records:
    rows = [
        row
        for row, (partition, offset) in enumerate(zip(records.partitions, records.offsets, strict=True))
        if start[partition] <= offset < end[partition]
    ]
    return Records(*([of[row] for row in rows] for of in (getattr(records, name) for name in Records.__slots__)))


def remembered(rows: pl.DataFrame, partition: int) -> PartitionState:
    """What a new owner of the partition learns from its journal."""
    counted = rows.filter((pl.col("partition") == partition) & (pl.col("decision") == "counted"))
    times = counted["event_time"].dt.epoch("us")
    state = PartitionState(watermark_us=times.max() if len(times) else NO_WATERMARK)
    within = times >= state.watermark_us - RULES.dedupe_horizon // timedelta(microseconds=1)
    state.accept(Texts.of(counted["event_id"].filter(within)), times.filter(within).to_numpy())
    return state


def process_in_cuts(records: Records, data: st.DataObject | None, *, restart: bool) -> Totals:
    totals, memories = Totals(), {partition: Memory() for partition in range(PARTITIONS)}
    ends = Counter(records.partitions)
    done = dict.fromkeys(range(PARTITIONS), 0)
    while any(done[partition] < ends[partition] for partition in done):
        upto = {p: data.draw(st.integers(done[p], ends[p])) if data else ends[p] for p in done}
        if upto == done:
            upto = {p: ends[p] for p in done}
        part = part_of(records, done, upto)
        if restart:
            memories = {partition: Memory(remembered(totals.rows(), partition)) for partition in memories}
        totals.add(process(part, memories, RULES))
        done = upto
    return totals


@settings(max_examples=30, deadline=None)
@given(LOGS, st.data(), st.booleans())
def test_the_books_do_not_depend_on_the_cuts_between_micro_batches_nor_on_restarts(
    log: list[tuple[int, bytes | None]], data: st.DataObject, restart: bool
) -> None:
    records = orders.records([value for _, value in log], [partition for partition, _ in log])
    at_once, in_cuts = process_in_cuts(records, None, restart=False), process_in_cuts(records, data, restart=restart)
    assert in_cuts.cells == at_once.cells
    assert in_cuts.rows().equals(at_once.rows())


@settings(max_examples=30, deadline=None)
@given(LOGS)
def test_every_record_gets_one_decision_and_the_books_are_those_kept_by_hand(
    log: list[tuple[int, bytes | None]],
) -> None:
    records = orders.records([value for _, value in log], [partition for partition, _ in log])
    found = process_in_cuts(records, None, restart=False)
    rows = found.rows()
    assert rows.select("partition", "offset").rows() == list(zip(records.partitions, records.offsets, strict=True))
    clerks = {partition: day_book.Clerk() for partition in range(PARTITIONS)}
    book = day_book.DayBook(ZONE)
    for row, value in zip(rows.iter_rows(named=True), records.values, strict=True):
        event = oracle.read(value)
        if row["decision"] in ("ignored", "quarantined"):
            continue
        assert event.event_time is not None
        event_id = event.texts["event_id"]
        assert event_id is not None
        assert row["decision"] == clerks[row["partition"]].decide(event_id, event.event_time)
        if row["decision"] == "counted":
            book.book(event)
    for table, keys in (("order_minutes", 2), ("product_hours", 3), ("category_hours", 3)):
        summed: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
        for key, cell in found.cells[table].items():
            summed[key[:keys]].update(cell)
        plain = {key: {name: value for name, value in cell.items() if value} for key, cell in summed.items()}
        assert {key: cell for key, cell in plain.items() if cell} == book.of(table)


@settings(max_examples=40, deadline=None)
@given(LOGS)
def test_journal_and_panes_say_the_same(log: list[tuple[int, bytes | None]]) -> None:
    records = orders.records([value for _, value in log], [partition for partition, _ in log])
    found = process_in_cuts(records, None, restart=False)
    panes: Counter[str] = Counter()
    for cell in found.cells["order_minutes"].values():
        panes.update(cell)
    booked = journal.booked(found.rows())
    assert {name: value for name, value in booked.items() if value} == {name: n for name, n in panes.items() if n}


def one_by_one(*payloads: dict[str, Any]) -> list[str]:
    """Decisions for these events of one partition."""
    memory = {0: Memory()}
    batch = process(orders.records([orders.encode(payload) for payload in payloads]), memory, RULES)
    return batch.decided["decision"].to_list()


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def test_quarantined_events_move_no_watermark_and_are_not_remembered() -> None:
    broken = orders.order("a", at(600), orders.line("p", 100), customer="")
    sound = orders.order("a", at(1), orders.line("p", 100))
    assert one_by_one(broken, sound) == ["quarantined", "counted"]


def test_a_release_from_quarantine_counts_once_however_often_it_comes() -> None:
    release = orders.order("release:order-events:0:17", at(1), orders.line("p", 100))
    assert one_by_one(release, release) == ["counted", "duplicate"]


def test_warnings_are_kept_with_an_event_that_counts() -> None:
    payload = orders.order("a", at(1), orders.line("p", 100), customer_email="nobody")
    batch = process(orders.records([orders.encode(payload)]), {0: Memory()}, RULES)
    assert batch.decided.select("decision", "reasons").row(0) == ("counted", "INVALID_EMAIL_FORMAT")


def test_the_first_micro_batch_leaves_pandas_alone() -> None:
    # To load it takes longer than a worker has for a second of orders, just when it takes over from another.
    code = (
        "import sys, orders; from test_stream_process import *;"
        "batch = Records([0], [0], [orders.LATE_IN_2096_MS], [None],"
        " [orders.encode(orders.order('e', START, orders.line('p', 100)))]);"
        "assert process(batch, {0: Memory()}, RULES).decided['decision'].to_list() == ['counted'];"
        "sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parent).returncode == 0
