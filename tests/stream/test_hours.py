"""What is on time and what is after final, against totals noted down at the moment an hour is passed."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import orders
import payload_oracle as oracle
from day_book import hour_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_stream_process import RULES, ZONE, part_of

from stream.finals import may_close_an_hour
from stream.hours import ENTRIES
from stream.marks import MarksState
from stream.memory import Memory
from stream.panes import PANES
from stream.process import MicroBatch, process
from stream.tables import Table
from tandem import journal

START = datetime(2017, 12, 22, 20, tzinfo=UTC)
DELAY = timedelta(seconds=5)
SECONDS = st.one_of(st.integers(0, 3 * 3600), st.sampled_from([3599, 3600, 3604, 3605, 3606, 7204, 7205, 7206]))
PAYLOADS = orders.events_at(SECONDS.map(lambda seconds: START + timedelta(seconds=seconds)), st.uuids().map(str))
MARKS = st.lists(st.tuples(st.integers(0, 20), SECONDS), max_size=3)


def on_time_by_hand(decided: list[tuple[str, oracle.Event]], marks: dict[int, datetime]) -> dict[datetime, int]:
    """Revenue of every hour as it stood when the partition passed its end, or at the end of the log.

    ``marks``: by offset; from there on the partition is held to be so far.
    """
    running: Counter[datetime] = Counter()
    noted: dict[datetime, int] = {}
    far: datetime | None = None

    def pass_hours() -> None:
        for hour in {*running, *(START.replace(minute=0) + timedelta(hours=n) for n in range(-1, 5))}:
            if far is not None and far >= hour + timedelta(hours=1) + DELAY:
                noted.setdefault(hour, running[hour])

    for offset, (decision, event) in enumerate(decided):
        if offset in marks:
            far = max(far or marks[offset], marks[offset])
            pass_hours()
        if decision != "counted":
            continue
        assert event.event_time is not None
        if event.texts["event_type"] == "order_created":
            running[hour_of(event.event_time, ZONE)] += event.total_cents or 0
        far = max(far or event.event_time, event.event_time)
        pass_hours()
    return {hour: cents for hour, cents in (dict(running) | noted).items() if cents}


def rows_of(batch: MicroBatch, table: Table) -> list[dict[str, Any]]:
    """What a micro-batch writes to a table; there is no frame where there is nothing."""
    frame = batch.emitted.frames.get(table)
    return [] if frame is None else frame.rows(named=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(PAYLOADS, max_size=20), MARKS, st.data())
def test_an_hour_keeps_what_it_had_when_it_was_passed_and_the_rest_is_beside_it(
    payloads: list[dict[str, Any]], drawn: list[tuple[int, int]], data: st.DataObject
) -> None:
    records = orders.records([orders.encode(payload) for payload in payloads])
    state = MarksState()
    marks: dict[int, datetime] = {}
    for offset, seconds in sorted(drawn):
        marks[offset] = max(START + timedelta(seconds=seconds), marks.get(offset, START))
        state.add(offset, (START + timedelta(seconds=seconds) - oracle.EPOCH) // timedelta(microseconds=1))
    memory = {0: Memory(marks=state)}
    panes: Counter[datetime] = Counter()
    after: Counter[datetime] = Counter()
    decisions: list[str] = []
    done = 0
    while done < len(records):
        upto = data.draw(st.integers(done + 1, len(records)))
        batch = process(part_of(records, {0: done}, {0: upto}), memory, RULES)
        done = upto
        for row in rows_of(batch, PANES["orders"]):
            panes[hour_of(row["pane_start"], ZONE)] += row["revenue_cents"]
        for row in rows_of(batch, ENTRIES["orders"]):
            if row["entry"] == "after_final":
                after[row["cell_start"]] += row["revenue_cents"]
        decisions += [d for s in batch.segments for d in journal.decode(s.content, 0)["decision"]]
    decided = list(zip(decisions, map(oracle.read, records.values), strict=True))
    on_time = {hour: panes[hour] - after[hour] for hour in panes if panes[hour] - after[hour]}
    assert on_time == on_time_by_hand(decided, marks)


@settings(max_examples=60, deadline=None)
@given(st.lists(PAYLOADS, min_size=1, max_size=30))
def test_what_came_too_late_stands_beside_its_hour_in_all_and_by_category(payloads: list[dict[str, Any]]) -> None:
    records = orders.records([orders.encode(payload) for payload in payloads])
    batch = process(records, {0: Memory()}, RULES)
    wanted: dict[str, Counter[tuple[object, ...]]] = defaultdict(Counter)
    for decision, value in zip(batch.decided["decision"], records.values, strict=True):
        event = oracle.read(value)
        if decision != "late" or event.texts["event_type"] != "order_created":
            continue
        assert event.event_time is not None
        hour = hour_of(event.event_time, ZONE)
        wanted["orders"][(hour,)] += 1
        for category in {item.category for item in event.items}:
            wanted["categories"][hour, category] += 1
    for cube, key in (("orders", ["cell_start"]), ("categories", ["cell_start", "category"])):
        rows = rows_of(batch, ENTRIES[cube])
        found = {tuple(row[name] for name in key): row["order_count"] for row in rows if row["entry"] == "late"}
        assert {cell: count for cell, count in found.items() if count} == wanted[cube]


@settings(max_examples=200, deadline=None)
@given(SECONDS, SECONDS)
def test_no_hour_is_passed_unnoticed(one: int, other: int) -> None:
    before, after = (START + timedelta(seconds=seconds) for seconds in sorted((one, other)))
    ends = [START + timedelta(minutes=30 * half) for half in range(20)]
    passed = any(before < end + DELAY <= after for end in ends)
    assert may_close_an_hour(before, after, RULES) or not passed
