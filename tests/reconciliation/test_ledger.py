"""Every differing event has one cause, and the causes of a cell sum to its difference."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciliation import compare
from reconciliation.books import Books
from reconciliation.discrepancies import discrepancies
from reconciliation.evidence import OTHER_RULES, Evidence
from reconciliation.explain import Cause, explain
from reconciliation.hours import hour_start
from reconciliation.ledger import ledger
from tests.reconciliation.books import DAY, START, at
from tests.reconciliation.decisions import Record, cells, evidence

AGREED = Record(0, order_id="agreed", customer="zoe")


def causes(*records: Record, **changes: object) -> dict[int, str]:
    rows = discrepancies(explain(evidence((AGREED, *records), **changes), DAY, "UTC"))
    return dict(zip(rows["offset"], rows["cause"], strict=True))


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        (Record(1, speed="late"), Cause.LATE),
        (Record(1, batch="duplicate"), Cause.DUPLICATE),
        (Record(1, speed="duplicate"), Cause.DUPLICATE),
        (Record(1, speed="quarantined"), Cause.QUARANTINED),
        (Record(1, batch="quarantined"), Cause.QUARANTINED),
        (Record(1, speed=""), Cause.MISSING_IN_STREAM),
        (Record(1, batch=""), Cause.MISSING_IN_BATCH),
        (Record(1, batch_cents=999), Cause.UNEXPLAINED),
        (Record(1, speed="ignored"), Cause.UNEXPLAINED),
        (Record(1, batch_when=at(10)), Cause.BOUNDARY),
        (Record(1, batch_when=at(24)), Cause.BOUNDARY),
        (Record(1, when=at(-1), batch_when=at(0)), Cause.BOUNDARY),
        (Record(1, speed="late", event_id="release:order-events:0:7"), Cause.RELEASED),
    ],
)
def test_each_way_to_differ_has_its_cause(record, cause):
    assert causes(record) == {1: cause}


@pytest.mark.parametrize(
    "record",
    [
        Record(1),
        Record(1, speed="late", batch="duplicate"),
        Record(1, speed="quarantined", batch="quarantined"),
        Record(1, speed="late", batch="quarantined"),
        Record(1, speed="late", event_type="payment_failed"),
        Record(1, speed="", when=at(30)),
    ],
)
def test_an_event_that_both_layers_book_alike_is_no_difference(record):
    assert causes(record) == {}


def test_the_first_cause_of_the_published_precedence_wins():
    late_release = Record(1, speed="late", batch="quarantined", event_id="release:order-events:0:7")
    assert causes(late_release) == {}  # booked by neither
    assert causes(late_release.again(batch="counted")) == {1: Cause.RELEASED}
    other = pl.DataFrame([(0, 1, 2, "0")], schema=OTHER_RULES, orient="row")
    assert causes(Record(1, speed="late"), other_rules=other) == {1: Cause.VERSION}
    assert causes(Record(2, speed="late"), other_rules=other) == {2: Cause.LATE}
    assert causes(Record(1, speed="quarantined"), other_rules=other) == {1: Cause.QUARANTINED}


def test_neither_a_release_nor_other_rules_explain_that_the_batch_layer_has_no_trace_of_an_order():
    other = pl.DataFrame([(0, 1, 2, "0")], schema=OTHER_RULES, orient="row")
    assert causes(Record(1, batch=""), other_rules=other) == {1: Cause.MISSING_IN_BATCH}
    assert causes(Record(1, batch="", event_id="release:order-events:0:7")) == {1: Cause.MISSING_IN_BATCH}
    assert causes(Record(1, speed="", event_id="release:order-events:0:7")) == {1: Cause.MISSING_IN_STREAM}


def test_an_id_that_only_looks_like_a_release_is_none():
    theirs = Record(1, speed="late", event_id="release:2026-11")
    assert causes(theirs, released=frozenset()) == {1: Cause.LATE}


_ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Chatham", "Antarctica/Casey"]


@given(
    time=st.datetimes(datetime(2018, 1, 1), datetime(2026, 1, 1)),  # noqa: DTZ001 - made UTC below
    zone=st.sampled_from(_ZONES),
)
@example(time=datetime(2025, 4, 5, 15, 15), zone="Australia/Lord_Howe")  # noqa: DTZ001
@example(time=datetime(2020, 10, 3, 19, 30), zone="Antarctica/Casey")  # noqa: DTZ001
def test_an_hour_begins_where_the_clock_of_the_instant_has_it(time, zone):
    instant = time.replace(tzinfo=UTC)
    ahead = instant.astimezone(ZoneInfo(zone)).utcoffset()
    local = (instant + ahead).replace(minute=0, second=0, microsecond=0)
    found = pl.select(hour_start(pl.lit(instant), zone)).to_series()
    assert found.item() == local - ahead
    assert found.dtype == pl.Datetime("us", "UTC")


@given(first=st.integers(1, 5), lengths=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=6))
def test_an_event_is_under_other_rules_where_a_range_of_its_own_partition_holds_it(first, lengths):
    ranges, at_offset = [], first
    for gap, length in lengths:
        ranges += [(0, at_offset + gap, at_offset + gap + length, "0"), (1, 0, 50, "0")]
        at_offset += gap + length
    held = {offset for partition, begin, end, _ in ranges for offset in range(begin, end) if partition == 0}
    records = [Record(offset, order_id=f"o{offset}", speed="late") for offset in range(1, 40)]
    found = causes(*records, other_rules=pl.DataFrame(ranges, schema=OTHER_RULES, orient="row"))
    assert found == {offset: Cause.VERSION if offset in held else Cause.LATE for offset in range(1, 40)}


def amounts(found: pl.DataFrame, cube: str) -> set[tuple]:
    return set(
        found.filter(pl.col("cube") == cube).select("cell_start", "key", "measure", "cause", "events", "amount").rows()
    )


def entries(explained: pl.DataFrame, batch: pl.DataFrame, speed: pl.DataFrame) -> pl.DataFrame:
    return ledger(explained, Books.of(batch), Books.of(speed), START)


def entered(records: list[Record], **changes: object) -> pl.DataFrame:
    explained = explain(evidence(records, **changes), DAY, "UTC")
    return entries(explained, cells(records, "batch"), cells(records, "speed"))


def test_a_late_order_adds_its_money_its_lines_and_its_customer_and_a_repeated_order_takes_them_back():
    found = entered(
        [
            Record(0, customer="zoe"),
            Record(
                1, speed="late", customer="bob", cents=1_500, lines=(("milk", "dairy", 1, 500), ("tea", None, 2, 1_000))
            ),
            Record(2, batch="duplicate", customer="zoe", when=at(17)),
        ]
    )
    assert amounts(found, "orders") == {
        (at(9), "", "revenue_cents", "late", 1, 1_500),
        (at(9), "", "order_count", "late", 1, 1),
        (at(9), "", "units", "late", 1, 3),
        (at(17), "", "revenue_cents", "duplicate", 1, -1_000),
        (at(17), "", "order_count", "duplicate", 1, -1),
        (at(17), "", "units", "duplicate", 1, -2),
    }
    assert amounts(found, "categories") == {
        (at(9), "dairy", "revenue_cents", "late", 1, 500),
        (at(9), "dairy", "order_count", "late", 1, 1),
        (at(9), "dairy", "units", "late", 1, 1),
        (at(9), "uncategorised", "revenue_cents", "late", 1, 1_000),
        (at(9), "uncategorised", "order_count", "late", 1, 1),
        (at(9), "uncategorised", "units", "late", 1, 2),
        (at(17), "dairy", "revenue_cents", "duplicate", 1, -1_000),
        (at(17), "dairy", "order_count", "duplicate", 1, -1),
        (at(17), "dairy", "units", "duplicate", 1, -2),
    }
    # bob has only the late order; zoe is counted by both layers, repeated order or not
    assert amounts(found, "distinct") == {(START, "", "unique_customers", "late", 1, 1)}


def test_a_late_cancellation_and_a_late_amendment_count_in_their_own_figures():
    found = entered(
        [
            Record(1, speed="late", event_type="order_cancelled", cents=400, lines=()),
            Record(2, speed="late", event_type="order_amended", cents=900, previous_cents=1_000, lines=()),
        ]
    )
    assert amounts(found, "orders") == {
        (at(9), "", "cancelled_revenue_cents", "late", 1, 400),
        (at(9), "", "amended_revenue_cents", "late", 1, -100),
    }
    assert amounts(found, "distinct") == set()


def test_two_late_orders_of_a_customer_are_one_customer():
    found = entered([Record(1, speed="late", customer="bob"), Record(2, speed="late", customer="bob", when=at(11))])
    assert amounts(found, "distinct") == {(START, "", "unique_customers", "late", 1, 1)}


def test_a_customer_of_several_causes_has_the_first_of_them():
    found = entered([Record(1, speed="late", customer="bob"), Record(2, speed="", customer="bob")])
    assert amounts(found, "distinct") == {(START, "", "unique_customers", "late", 1, 1)}


def test_an_order_moved_by_an_hour_is_minus_in_one_and_plus_in_the_other():
    found = entered([Record(1, batch_when=at(10, 1))])
    assert {row for row in amounts(found, "orders") if row[2] == "revenue_cents"} == {
        (at(9), "", "revenue_cents", "boundary", 1, -1_000),
        (at(10), "", "revenue_cents", "boundary", 1, 1_000),
    }


def test_the_lines_of_an_event_that_the_batch_layer_lacks_stand_under_its_cause():
    found = entered([Record(1, batch="")])
    assert amounts(found, "products") == {
        (at(9), "milk", "revenue_cents", "missing_in_batch", 0, -1_000),
        (at(9), "milk", "order_count", "missing_in_batch", 0, -1),
        (at(9), "milk", "units", "missing_in_batch", 0, -2),
    }


def off_by(side: pl.DataFrame, change: int) -> pl.DataFrame:
    one_cell = (pl.col("cube") == "orders") & (pl.col("measure") == "revenue_cents")
    return side.with_columns(pl.when(one_cell).then(pl.col("value") + change).otherwise("value").alias("value"))


def test_sums_that_do_not_show_what_the_journal_counted_are_aggregation():
    explained = explain(evidence([AGREED]), DAY, "UTC")
    found = entries(explained, cells([AGREED], "batch"), off_by(cells([AGREED], "speed"), -7))
    assert found.rows() == [("orders", at(9), "", "revenue_cents", "aggregation", 0, 7)]


def test_batch_sums_that_its_own_facts_do_not_make_are_unexplained():
    explained = explain(evidence([AGREED]), DAY, "UTC")
    found = entries(explained, off_by(cells([AGREED], "batch"), 5), cells([AGREED], "speed"))
    assert found.rows() == [("orders", at(9), "", "revenue_cents", "unexplained", 0, 5)]


def test_what_the_journal_no_longer_holds_is_not_called_missing_in_the_stream():
    dropped, kept = Record(1, speed=""), Record(5)
    explained = explain(evidence([dropped, kept], begins={0: 4}), DAY, "UTC")
    assert discrepancies(explained).is_empty()
    both = [dropped.again(speed="counted"), kept]
    assert entries(explained, cells(both, "batch"), cells(both, "speed")).is_empty()
    found = entries(explained, cells(both, "batch"), off_by(cells(both, "speed"), -7))
    assert found.rows() == [("orders", at(9), "", "revenue_cents", "unexplained", 0, 7)]


def test_hours_are_truncated_in_the_business_time_zone():
    moved = Record(1, batch_when=at(9, 35))  # 14:35 and 15:05 in Kolkata
    rows = discrepancies(explain(evidence([moved]), DAY, "Asia/Kolkata"))
    assert rows["cause"].to_list() == [Cause.BOUNDARY]
    explained = explain(evidence([moved]), DAY, "Asia/Kolkata")
    assert explained.select("hour_speed", "hour_batch").rows() == [(at(8, 30), at(9, 30))]


def test_the_date_is_that_of_the_business_time_zone():
    evening = Record(1, speed="late", when=at(19))  # already the 24th in Kolkata
    assert discrepancies(explain(evidence([evening]), DAY, "Asia/Kolkata")).is_empty()
    assert len(discrepancies(explain(evidence([evening]), DAY + timedelta(days=1), "Asia/Kolkata"))) == 1


def test_the_evidence_is_a_sentence_with_the_figures():
    rows = discrepancies(
        explain(
            evidence(
                [
                    Record(3, order_id="o7"),
                    Record(5, order_id="o7", batch="duplicate", cents=10),
                    Record(6, speed="late", when=at(9), watermark=at(11, 30), cents=2_000),
                    Record(7, batch="quarantined", reasons="INVALID_ITEM", cents=20),
                ]
            ),
            DAY,
            "UTC",
        )
    )
    assert dict(zip(rows["offset"], rows["evidence"], strict=True)) == {
        6: "150 min behind: 2017-12-23 09:00:00, when the partition was at 2017-12-23 11:30:00 UTC",
        7: "the batch layer found INVALID_ITEM",
        5: "the batch layer had counted the order before: partition 0, offset 3",
    }
    assert rows["offset"].to_list() == [6, 7, 5], "the largest difference comes first"


decisions = st.sampled_from(["counted", "late", "duplicate", "quarantined", "ignored", ""])
lines = st.lists(
    st.tuples(
        st.sampled_from(["milk", "tea", "ham"]),
        st.sampled_from(["dairy", None]),
        st.integers(-3, 9),
        st.integers(-50, 900),
    ),
    max_size=3,
).map(tuple)
records = st.builds(
    Record,
    offset=st.just(0),
    speed=decisions,
    batch=st.sampled_from(["counted", "duplicate", "quarantined", "ignored", ""]),
    order_id=st.sampled_from(["o1", "o2", "o3"]),
    event_type=st.sampled_from(["order_created", "order_created", "order_cancelled", "order_amended"]),
    customer=st.sampled_from(["alice", "bob", "zoe"]),
    cents=st.integers(1, 5_000),
    previous_cents=st.integers(1, 5_000),
    lines=lines,
    when=st.integers(-2, 25).map(at),
    batch_when=st.one_of(st.none(), st.integers(-2, 25).map(at)),
    batch_cents=st.one_of(st.none(), st.integers(1, 5_000)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(records, max_size=12), st.integers(-5, 5), st.integers(-5, 5))
def test_the_causes_of_every_cell_sum_to_batch_minus_speed(found, batch_slip, speed_slip):
    log = [record.again(offset=offset) for offset, record in enumerate(found)]
    batch, speed = off_by(cells(log, "batch"), batch_slip), off_by(cells(log, "speed"), speed_slip)
    explained = explain(_on_the_date(log), DAY, "UTC")
    place = list(compare.CELL)
    summed = entries(explained, batch, speed).group_by(place).agg(pl.col("amount").sum())
    expected = (
        batch.join(speed, on=place, how="full", coalesce=True)
        .with_columns(amount=pl.col("value").fill_null(0) - pl.col("value_right").fill_null(0))
        .filter(pl.col("amount") != 0)
    )
    assert set(summed.filter(pl.col("amount") != 0).select(*place, "amount").rows()) == set(
        expected.select(*place, "amount").rows()
    )


def _on_the_date(log: list[Record]) -> Evidence:
    """As evidence.read returns it: a record that either layer puts on the date."""
    ours = [
        r
        for r in log
        if DAY in {r.when.date() if r.speed else None, (r.batch_when or r.when).date() if r.batch else None}
    ]
    return replace(evidence(ours))
