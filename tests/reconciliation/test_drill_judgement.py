"""The drill's own judgement: what is wrong is shown, and fails it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.drill import choose, conduct, matrix, show
from reconciliation.drill.expect import Expected, Fate, Logged, expect
from reconciliation.drill.found import Day, Decided, Differing, Found
from reconciliation.drill.judge_layers import GATE, JOURNAL, Corrections, Planted
from reconciliation.drill.judge_layers import judge as judge_layers
from reconciliation.drill.layers import Scene, with_orders
from reconciliation.drill.matrix import NOT_PLANTED, Entry, Outcome
from tandem import clock
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.sources.completejourney import completejourney
from tandem.sources.faults import KINDS
from tandem.sources.labels import Label

DAY, CLEAN = date(2017, 12, 23), date(2017, 12, 24)
NINE = datetime(2017, 12, 23, 9, tzinfo=UTC)
LATE, REPEATED, SPOILT = (3, 40), (3, 41), (5, 7)
AGREES = Day("match", "", 0, "match", 0)


def label(kind: str, cents: int) -> Label:
    told = KINDS[kind]
    return Label(
        kind=kind,
        event_id=f"e-{kind}",
        order_id="o",
        customer_id="alice",
        business_date=DAY,
        event_time="2017-12-23T09:05:00Z",
        partition=3,
        cents=cents,
        speed=str(told.speed),
        batch=str(told.batch),
        check=told.check,
        cause=told.cause,
        difference_cents=told.revenue_sign * cents,
    )


PLANTED = {
    LATE: label("late_beyond_lateness", 1_500),
    REPEATED: label("repeated_order", 700),
    SPOILT: label("invalid_item", 90),
}
CELLS = {
    (DAY, "orders", NINE, "", "revenue_cents", "late"): 1_500,
    (DAY, "orders", NINE, "", "revenue_cents", "duplicate"): -700,
}
EXPECTED = Expected(PLANTED, CELLS)
RIGHT = Found(
    days={DAY: Day("mismatch", "", 2, "match", 0, sent=2, applied=2), CLEAN: AGREES},
    differing=(Differing(DAY, LATE, "late", 1_500), Differing(DAY, REPEATED, "duplicate", -700)),
    cells=CELLS,
    speed={place: Decided(one.speed, one.check or "") for place, one in PLANTED.items()},
    batch={place: Decided(one.batch, "") for place, one in PLANTED.items()},
)


def judge(**changes: object) -> Outcome:
    return matrix.judge(EXPECTED, replace(RIGHT, **changes), (DAY, CLEAN), {CLEAN})


def test_faults_that_are_found_as_planted_make_a_diagonal_matrix():
    found = judge()
    assert found.passed
    assert found.matrix == {
        ("duplicate", "duplicate"): Entry(1, -700, -700),
        ("late", "late"): Entry(1, 1_500, 1_500),
        ("no difference", "no difference"): Entry(1, 0, 0),
    }
    assert (found.planted, found.found, found.out_of_tolerance, found.clean_dates) == (3, 3, 1, 1)
    assert {line.kind: (line.planted, line.found) for line in found.kinds} == dict.fromkeys(
        ("late_beyond_lateness", "repeated_order", "invalid_item"), (1, 1)
    )


def test_a_wrong_cause_stands_beside_the_diagonal_and_fails_it():
    wrong = judge(differing=(Differing(DAY, LATE, "missing_in_stream", 1_500), RIGHT.differing[1]))
    assert (wrong.passed, wrong.is_diagonal, wrong.wrong_cause, wrong.found) == (False, False, 1, 2)
    assert wrong.matrix["late", "missing_in_stream"] == Entry(1, 1_500, 1_500)
    assert "found as missing_in_stream, is late" in wrong.problems[0]


def test_a_fault_that_is_not_found_stands_under_no_difference():
    wrong = judge(differing=RIGHT.differing[1:])
    assert (wrong.passed, wrong.wrong_cause) == (False, 1)
    assert wrong.matrix["late", "no difference"] == Entry(1, 1_500, 0)


def test_a_wrong_amount_fails_though_the_cause_is_right():
    wrong = judge(differing=(Differing(DAY, LATE, "late", 1_499), RIGHT.differing[1]))
    assert (wrong.passed, wrong.is_diagonal, wrong.wrong_cause, wrong.wrong_amount) == (False, False, 0, 1)


def test_one_unexplained_cent_is_shown_and_fails_it():
    cell = (DAY, "products", NINE, "milk", "revenue_cents", "unexplained")
    wrong = judge(cells=CELLS | {cell: -1})
    assert (wrong.passed, wrong.unexplained_cents, wrong.unexplained_cells, wrong.wrong_cells) == (False, 1, 1, 1)
    assert "1 cents unexplained" in show.headline(wrong)


def test_an_event_that_differs_and_was_not_planted_is_a_false_alarm():
    wrong = judge(differing=(*RIGHT.differing, Differing(DAY, (1, 1), "late", 5)))
    assert (wrong.passed, wrong.is_diagonal, wrong.false_alarms) == (False, False, 1)
    assert wrong.matrix[NOT_PLANTED, "late"] == Entry(1, 0, 5)


@pytest.mark.parametrize(
    "alarm",
    [
        Day("mismatch", "", 0, "match", 0),
        Day("match", "", 1, "match", 1),
        Day("match", "", 0, "match", 0, waiting=1),
        Day("match", "", 0, "match", 0, sent=1, applied=1),
    ],
)
def test_a_date_without_faults_that_raises_any_alarm_is_a_false_alarm(alarm: Day):
    wrong = judge(days={**RIGHT.days, CLEAN: alarm})
    assert (wrong.passed, wrong.false_alarms >= 1) == (False, True)


def test_a_date_that_was_not_compared_fails_it():
    assert judge(days={DAY: RIGHT.days[DAY]}).not_compared == 1
    assert not judge(days={DAY: RIGHT.days[DAY]}).passed


@pytest.mark.parametrize(
    "left",
    [
        Day("mismatch", "", 2, "match", 1, sent=2, applied=2),
        Day("mismatch", "", 2, "match", 0, sent=2, applied=1),
        Day("mismatch", "", 2, "mismatch", 2, waiting=2),
    ],
)
def test_a_date_that_corrections_do_not_make_exact_fails_it(left: Day):
    wrong = judge(days={DAY: left, CLEAN: AGREES})
    assert (wrong.passed, wrong.not_converged) == (False, 1)


def test_a_layer_that_decides_otherwise_than_labelled_fails_it_though_nothing_differs():
    counted = {**RIGHT.speed, SPOILT: Decided("counted", "")}
    both = judge(speed=counted, batch={**RIGHT.batch, SPOILT: Decided("counted", "")})
    assert (both.passed, both.is_diagonal, both.wrong_decision) == (False, True, 2)
    other_check = judge(speed={**RIGHT.speed, SPOILT: Decided("quarantined", "INVALID_TOTAL_AMOUNT")})
    assert (other_check.passed, other_check.wrong_decision) == (False, 1)


def test_every_form_tells_of_what_is_wrong():
    wrong = judge(differing=RIGHT.differing[1:])
    page = show.page(wrong, "Drill with seed 7", "USD")
    assert "Drill with seed 7" in page
    assert "failed" in page
    assert "rgba(179, 38, 30" in page  # off the diagonal
    assert "rgba(179, 38, 30" not in show.page(judge(), "Drill", "USD")
    document = json.loads(json.dumps(show.document(wrong)))
    assert {"planted", "found", "wrong_cause", "unexplained_cents", "false_alarms", "matrix"} <= document.keys()
    assert document["matrix"]["late"] == {"no difference": {"events": 1, "planted_cents": 1_500, "found_cents": 0}}
    assert document["passed"] is False


DATES = tuple(clock.days(date(2017, 3, 1), date(2017, 3, 31)))


@given(st.integers(1, 200), st.integers(0, 20), st.integers(0, 2**31))
def test_faults_are_of_all_kinds_in_equal_shares_and_none_touches_a_clean_date(count: int, clean_days: int, seed: int):
    chosen = choose.choose(DATES, count, clean_days, seed)
    assert chosen == choose.choose(DATES, count, clean_days, seed)
    assert len(chosen.clean) == clean_days
    shares = Counter(dict.fromkeys(KINDS, 0))
    for request in chosen.plan.fault:
        shares[request.kind] += request.count
        touched = {request.date, request.date + timedelta(days=request.kind == "cancelled_next_day")}
        assert not touched & chosen.clean
        assert touched <= set(DATES)
    assert sum(shares.values()) == count
    assert max(shares.values()) - min(shares.values()) <= 1


def test_a_date_on_which_nothing_was_sold_takes_no_part():
    days = conduct.dates_with_orders(completejourney(date(2017, 12, 24), date(2017, 12, 26), Settings()))
    assert days == (date(2017, 12, 24), date(2017, 12, 26))


def test_too_many_clean_dates_are_refused_in_one_line():
    with pytest.raises(TandemError, match="leave too few for 5 faults"):
        choose.choose(DATES, 5, 30, 1)


def order(customer: str, when: str, total: str, place: tuple[int, int], **more: object) -> Logged:
    items = [{"product_id": "milk", "category": "dairy", "quantity": 2, "amount": total}]
    payload = {"event_type": "order_created", "event_time": when, "customer_id": customer, "total_amount": total}
    return Logged(place, json.dumps({**payload, "items": items}).encode(), **more)


def test_what_must_be_found_follows_from_labels_and_records():
    log = [
        order("zoe", "2017-12-23T09:00:00Z", "5.00", (0, 0)),
        order("free", "2017-12-23T09:00:00Z", "0.00", (0, 1)),
        order("alice", "2017-12-23T09:05:00Z", "15.00", LATE, label=PLANTED[LATE]),
        order("zoe", "2017-12-23T09:06:00Z", "7.00", REPEATED, label=PLANTED[REPEATED]),
        Logged(SPOILT, b"{", PLANTED[SPOILT]),
    ]
    found = expect(log, ZoneInfo("UTC"))
    assert found.planted == PLANTED
    per_order = {"revenue_cents": (1_500, -700), "order_count": (1, -1), "units": (2, -2)}
    assert found.cells == {
        (DAY, cube, NINE, key, measure, cause): amount
        for cube, key in (("orders", ""), ("products", "milk"), ("categories", "dairy"))
        for measure, both in per_order.items()
        for cause, amount in zip(("late", "duplicate"), both, strict=True)
    } | {(DAY, "distinct", NINE.replace(hour=0), "", "unique_customers", "late"): 1}


def test_a_stream_in_another_zone_must_be_found_on_both_dates():
    tokyo = ZoneInfo("Asia/Tokyo")
    evening = order("zoe", "2017-12-23T20:00:00Z", "5.00", (0, 0))
    fate = Fate("counted", "counted", "aggregation", speed_zone=tokyo)
    cells = expect([replace(evening, fate=fate)], ZoneInfo("UTC")).cells
    revenue = {cell[0]: amount for cell, amount in cells.items() if cell[1::3] == ("orders", "revenue_cents")}
    assert revenue == {DAY: 500, CLEAN: -500}
    customers = {cell[0]: amount for cell, amount in cells.items() if cell[1] == "distinct"}
    assert customers == {DAY: 1, CLEAN: -1}
    assert {cell[-1] for cell in cells} == {"aggregation"}


SKIPPED = Planted("skipped", "stream", (DAY,), "missing_in_stream", Corrections.SENT, {LATE: 1_500})
LAYER_CELLS = {(DAY, "orders", NINE, "", "revenue_cents", "missing_in_stream"): 1_500}
LAYER_FOUND = replace(RIGHT, differing=(Differing(DAY, LATE, "missing_in_stream", 1_500),), cells=LAYER_CELLS)


def layers(fault: Planted = SKIPPED, gates: dict[date, list[str]] | None = None, **changes: object):
    return judge_layers((fault,), Expected({}, LAYER_CELLS), replace(LAYER_FOUND, **changes), gates or {}, (DAY, CLEAN))


def test_a_fault_in_a_layer_that_is_found_as_what_it_is_passes():
    assert layers().passed


@pytest.mark.parametrize(
    "changes",
    [
        {"differing": (Differing(DAY, LATE, "late", 1_500),)},
        {"differing": ()},
        {"cells": {(*cell[:5], "late"): amount for cell, amount in LAYER_CELLS.items()}},
        {"days": {DAY: Day("mismatch", "", 2, "mismatch", 2, waiting=2), CLEAN: AGREES}},
        {"days": {DAY: Day("mismatch", "", 2, "match", 1, sent=2, applied=2), CLEAN: AGREES}},
        {"days": {DAY: LAYER_FOUND.days[DAY], CLEAN: Day("mismatch", "", 0, "match", 0)}},
        {"days": {CLEAN: AGREES}},
    ],
)
def test_a_fault_in_a_layer_that_is_explained_away_or_corrected_wrongly_fails(changes: dict):
    assert not layers(**changes).passed


def test_corrections_that_must_wait_and_went_out_fail():
    waits = replace(SKIPPED, corrections=Corrections.WAIT)
    assert not layers(waits).passed
    assert layers(waits, days={DAY: Day("mismatch", "", 2, "mismatch", 2, waiting=2), CLEAN: AGREES}).passed


def test_a_date_that_a_check_must_stop_and_a_journal_that_is_lost_are_found_by_their_own_signs():
    stopped = Planted("zone", "batch", (DAY,), GATE, Corrections.NONE)
    nothing = {"cells": {}, "differing": ()}
    not_compared = {DAY: Day("not_comparable", "no batch run", 0, "not_comparable", 0), CLEAN: AGREES}

    def found(fault: Planted, gates: dict[date, list[str]], days: dict[date, Day]) -> bool:
        return judge_layers((fault,), Expected(), replace(RIGHT, days=days, **nothing), gates, (DAY, CLEAN)).passed

    assert found(stopped, {DAY: ["every archived record of the date has its row"]}, not_compared)
    assert not found(stopped, {}, not_compared)
    lost = Planted("journal", "stream", (DAY,), JOURNAL, Corrections.NONE)
    said = Day("match", "the stream's journal has lost offsets 3 to 8 of partition 1", 0, "match", 0)
    assert found(lost, {}, {DAY: said, CLEAN: AGREES})
    assert not found(lost, {}, {DAY: AGREES, CLEAN: AGREES})
    assert not found(lost, {}, {DAY: said, CLEAN: said})


def test_a_date_on_which_nothing_was_sold_is_no_alarm_of_a_drill_of_the_layers():
    sold, closed = date(2017, 12, 24), date(2017, 12, 25)
    scene = Scene((sold, closed), {sold: (Logged((0, 0), b"{}"),)}, 0, "milk", ZoneInfo("UTC"))
    assert with_orders(scene) == (sold,)
