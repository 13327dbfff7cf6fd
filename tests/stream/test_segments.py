"""The journal's small segments become few, and nobody who reads it can tell, but by the time it takes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import orders
import polars as pl
import pytest
import speed_rig as rig
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from reconciliation import story
from stream import segments as segments_module
from stream import sink
from stream.restore import restore
from stream.segments import MANY, SMALL, Merging, Stretch, mergeable, runs
from stream.settle import Settler
from tandem import database, journal
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

START = datetime(2017, 12, 21, 8, tzinfo=UTC)


@st.composite
def small_segments(draw: st.DrawFn) -> list[Stretch]:
    """Of up to three partitions, by partition and offset; now and then a hole, another epoch or other rules."""
    found: list[Stretch] = []
    for partition in range(draw(st.integers(1, 3))):
        offset, epoch, rules = draw(st.integers(0, 5)), 1, 1
        events = draw(st.integers(1, 200))
        for _ in range(draw(st.integers(0, 4))):
            for _ in range(draw(st.integers(1, 3 * MANY))):
                length = draw(st.integers(0, 1)) + events
                found.append(Stretch("t", partition, offset, offset + length, events, epoch, str(rules)))
                offset += length
            match draw(st.sampled_from(["hole", "epoch", "rules"])):
                case "hole":
                    offset += draw(st.integers(1, 9))
                case "epoch":
                    epoch += 1
                case _:
                    rules += 1
    return found


def merged(part: Sequence[Stretch]) -> Stretch:
    first, last, events = part[0], part[-1], sum(stretch.events for stretch in part)
    ends = (first.first_offset, last.next_offset)
    return Stretch(first.topic, first.partition, *ends, events, first.epoch, first.rule_version)


@hypothesis_settings(max_examples=200, deadline=None)
@given(small_segments())
def test_only_what_follows_each_other_and_was_decided_alike_is_merged_and_little_is_left(small: list[Stretch]) -> None:
    found = runs(small)
    assert [stretch for run in found for stretch in run] == small, "none is lost, and they keep their order"
    for run in found:
        for one, other in pairwise(run):
            assert (one.partition, one.next_offset) == (other.partition, other.first_offset)
            assert (one.epoch, one.rule_version) == (other.epoch, other.rule_version)
        parts = list(mergeable(run))
        assert [stretch for part in parts for stretch in part] == run[: sum(map(len, parts))]
        assert len(run) - sum(map(len, parts)) < MANY
        assert all(len(part) >= 2 for part in parts)
        assert all(merged(part).events < 2 * SMALL for part in parts)
        assert all(merged(part).events >= SMALL or len(part) >= MANY for part in parts)


def order_record(number: int, partition: int) -> rig.Outgoing:
    payload = orders.order(
        f"e{number}", START + timedelta(minutes=number % 700), orders.line("p", 100), customer=f"c{number % 7}"
    )
    return rig.Outgoing(orders.encode(payload), b"k", partition)


def journal_of(settings: Settings) -> pl.DataFrame:
    with database.connect(settings, database.READER) as reader:
        return journal.read(reader, ORDER_EVENTS)


def processed(settings: Settings) -> list[dict[str, Any]]:
    """When each record was processed, by the place where its micro-batch began."""
    return rig.query(
        settings,
        """SELECT partition, began, at FROM speed.journal, unnest(coalesce(batch_offsets, ARRAY[first_offset]),
           coalesce(batch_times, ARRAY[processed_at])) AS batch (began, at) ORDER BY 1, 2""",
    )


def segments(settings: Settings) -> list[dict[str, Any]]:
    return rig.query(
        settings,
        """SELECT partition, first_offset, next_offset, events, epoch, rule_version, min_business_date,
           max_business_date, max_accepted_time, watermark_before, watermark_after FROM speed.journal ORDER BY 1, 2""",
    )


def merge_all(settings: Settings) -> int:
    with database.connect(settings, database.SPEED) as speed:
        return Merging().run(speed)


@pytest.mark.integration
@pytest.mark.usefixtures("clean_database")
def test_a_journal_of_small_micro_batches_reads_the_same_once_it_is_merged(
    topic_prefix: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [order_record(number, number % 2) for number in range(1_200)]
    poison = [rig.Outgoing(b"no json", b"k", number % 2) for number in range(40)]
    rig.produce(topic_prefix, [*records[:600], *poison, *records[:50]], at_once=7)
    rig.produce(topic_prefix, records[600:900], at_once=7, commit=False)
    rig.produce(topic_prefix, records[900:], at_once=7)
    with monkeypatch.context() as while_it_runs:
        while_it_runs.setattr(Merging, "run", lambda *_: 0)
        rig.run_to_end(topic_prefix.model_copy(update={"micro_batch_max_events": 8}))
    before, times, parts = journal_of(topic_prefix), processed(topic_prefix), segments(topic_prefix)
    told = told_of(topic_prefix, "o-e577")
    remembered = {partition: restored(topic_prefix, partition) for partition in (0, 1)}
    assert len(parts) > 3 * MANY

    less = merge_all(topic_prefix)
    after = segments(topic_prefix)
    assert less == len(parts) - len(after)
    assert len(after) <= 12 + 2 * MANY
    assert journal_of(topic_prefix).equals(before)
    assert processed(topic_prefix) == times
    assert told_of(topic_prefix, "o-e577") == told
    assert {partition: restored(topic_prefix, partition) for partition in (0, 1)} == remembered
    rig.assert_books_are_exact(topic_prefix)
    for segment in after:
        whole = [
            part
            for part in parts
            if part["partition"] == segment["partition"]
            and segment["first_offset"] <= part["first_offset"] < segment["next_offset"]
        ]
        dates = [part["min_business_date"] for part in whole if part["min_business_date"]]
        accepted = [part["max_accepted_time"] for part in whole if part["max_accepted_time"]]
        assert segment["events"] == sum(part["events"] for part in whole)
        assert segment["min_business_date"] == min(dates, default=None)
        assert segment["max_accepted_time"] == max(accepted, default=None)
        assert segment["watermark_before"] == whole[0]["watermark_before"]
        assert segment["watermark_after"] == whole[-1]["watermark_after"]
    assert merge_all(topic_prefix) == 0, "nothing is left to merge"


def told_of(settings: Settings, order_id: str) -> list[Any]:
    with database.connect(settings, database.RECONCILIATION) as connection:
        return [event.stream for event in story.of_order(connection, settings, order_id).events]


def restored(settings: Settings, partition: int) -> tuple[int, dict[str, Any]]:
    rows = rig.query(settings, "SELECT watermark FROM speed.partitions WHERE partition = %(p)s", p=partition)
    with database.connect(settings, database.SPEED, autocommit=True) as speed:
        state = restore(speed, ORDER_EVENTS, partition, rows[0]["watermark"], settings.dedupe_horizon)
    latest: dict[str, int] = {}
    for part in state.accepted.parts:
        latest.update(zip(part.ids, part.times_us.tolist(), strict=True))
    return state.watermark_us, latest


@pytest.mark.integration
@pytest.mark.usefixtures("clean_database")
def test_what_comes_later_is_merged_with_what_was_left_over_and_a_lost_segment_stays_a_hole(postgres: Settings) -> None:
    connection, merging = sink.connect(postgres), Merging()
    claim = sink.claim(connection, ORDER_EVENTS, 3, 0, "w")

    def put(first: int, count: int) -> None:
        rows = journal.ROWS.select(journal.SCHEMA.names)
        for offset in range(first, first + count):
            one = pl.DataFrame({"offset": [offset], "decision": ["counted"], "event_type": ["order_created"]})
            content = journal.encode(pl.concat([rows, one], how="diagonal").to_arrow())
            connection.execute(
                """INSERT INTO speed.journal (topic, partition, first_offset, next_offset, events, epoch, rule_version,
                   segment) VALUES (%s, 3, %s, %s, 1, %s, '1', %s)""",
                [ORDER_EVENTS, offset, offset + 1, claim.epoch, content],
            )

    def ranges() -> list[tuple[int, int]]:
        found = rig.query(postgres, "SELECT first_offset, next_offset FROM speed.journal ORDER BY 1")
        return [(row["first_offset"], row["next_offset"]) for row in found]

    try:
        put(0, MANY - 1)
        assert merging.run(connection) == 0
        put(MANY - 1, 1)
        assert merging.run(connection) == MANY - 1
        assert ranges() == [(0, MANY)]
        put(MANY, MANY - 1)
        assert merging.run(connection) == MANY - 1
        assert ranges() == [(0, 2 * MANY - 1)]
        put(2 * MANY, 2 * MANY)  # one is missing
        assert merging.run(connection) == 2 * MANY - 1
        assert ranges() == [(0, 2 * MANY - 1), (2 * MANY, 4 * MANY)]
        assert journal_of(postgres)["offset"].to_list() == [*range(2 * MANY - 1), *range(2 * MANY, 4 * MANY)]
    finally:
        connection.close()


@pytest.mark.integration
@pytest.mark.usefixtures("clean_database")
def test_a_worker_that_gets_little_at_a_time_leaves_few_segments(topic_prefix: Settings) -> None:
    rig.produce(topic_prefix, [order_record(number, 0) for number in range(400)])
    rig.run_to_end(topic_prefix.model_copy(update={"micro_batch_max_events": 4}))
    settler = Settler(topic_prefix)
    settler._not_before = 0.0
    settler.note(1, backlog=False)
    settler.close(settled=False)
    (row,) = rig.query(topic_prefix, "SELECT count(*) AS n, sum(events)::bigint AS events FROM speed.journal")
    assert row == {"n": row["n"], "events": 400}
    assert row["n"] < MANY
    rig.assert_books_are_exact(topic_prefix)


@pytest.mark.integration
@pytest.mark.usefixtures("clean_database")
def test_a_segment_that_is_lost_under_the_hands_of_a_merge_is_not_papered_over(postgres: Settings) -> None:
    connection = sink.connect(postgres)
    seen = [Stretch(ORDER_EVENTS, 0, at, at + 1, 1, 1, "1") for at in range(MANY)]
    try:
        for stretch in seen[:9] + seen[10:]:
            connection.execute(
                """INSERT INTO speed.journal (topic, partition, first_offset, next_offset, events, epoch, rule_version,
                   segment) VALUES (%s, 0, %s, %s, 1, 1, '1', '')""",
                [ORDER_EVENTS, stretch.first_offset, stretch.next_offset],
            )
        with connection.transaction():
            assert segments_module.merge(connection, seen) == 0
    finally:
        connection.close()
    assert len(segments(postgres)) == MANY - 1
