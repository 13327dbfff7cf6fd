"""The loop on the real database and broker: compare, explain, correct, and compare again."""

from __future__ import annotations

import random
from datetime import date, timedelta
from threading import Event, Thread

import polars as pl
import pytest
from installations import keeping_books_in

from reconciliation import books, correct, reconcile, sides
from reconciliation.compare import Verdict
from tandem import database, serving
from tandem.errors import TandemError
from tandem.serving import Layer
from tandem.settings import Settings
from tests.reconciliation.books import DAY, at, execute, insert
from tests.reconciliation.crashes import STEPS, CrashError, crash_after
from tests.reconciliation.loop import (
    AGREED,
    AT_ONCE,
    INSIDE,
    LATE,
    LOST,
    OUTSIDE,
    adjusted,
    all_corrections,
    run,
    statuses,
)
from tests.reconciliation.scene import RUN, stage, write_run

pytestmark = pytest.mark.integration


def remaining(settings: Settings) -> pl.DataFrame:
    """Every base cell on which the layers still differ, by what the database holds now."""
    with database.connect(settings, database.RECONCILIATION) as connection:
        both = sides.read(connection, settings, DAY, RUN)
    return books.minus(both.batch, both.speed)


EXPECTED = {
    ("orders", at(9), "", "revenue_cents"): 700,
    ("orders", at(9), "", "order_count"): 1,
    ("orders", at(9), "", "units"): 2,
    ("orders", at(10), "", "revenue_cents"): 900,
    ("orders", at(10), "", "order_count"): 1,
    ("orders", at(10), "", "units"): 2,
    ("orders", at(11), "", "revenue_cents"): -1_000,
    ("orders", at(11), "", "order_count"): -1,
    ("orders", at(11), "", "units"): -2,
    ("distinct", at(0), "", "unique_customers"): 1,
    **{
        (cube, at(hour), key, measure): sign * amount
        for cube, key in (("products", "milk"), ("categories", "dairy"))
        for hour, sign in ((9, 1), (10, 1), (11, -1))
        for measure, amount in (("revenue_cents", 1_000), ("order_count", 1), ("units", 2))
    },
}
"""What OUTSIDE needs, by hand: two late orders of one new customer come in, a repeated order goes out."""


def test_a_date_outside_tolerance_gets_a_correction_for_every_differing_cell_and_then_shows_zero(shop, applier):
    stage(shop, OUTSIDE)
    first = run(shop)
    assert (first.verdict, first.exit_status) == (Verdict.MISMATCH, 1)
    assert (first.corrected.emitted, first.corrected.waiting) == (len(EXPECTED), 0)
    applier.apply()
    assert adjusted(shop) == EXPECTED
    again = run(shop)
    assert (again.verdict, again.cells_differing, again.exit_status) == (Verdict.MATCH, 0, 0)
    assert again.corrected.emitted == 0
    assert remaining(shop).is_empty()
    assert serving.read(shop, DAY, Layer.SPEED).metrics == serving.read(shop, DAY, Layer.BATCH).metrics


def test_a_date_of_another_clock_is_corrected_to_zero_as_well(shop, applier):
    berlin = shop.model_copy(update={"business_timezone": "Europe/Berlin"})
    with keeping_books_in(shop, "Europe/Berlin", "USD"):
        stage(berlin, OUTSIDE)
        assert run(berlin).corrected.emitted == len(EXPECTED)
        applier.apply()
        again = run(berlin)
    assert (again.verdict, again.cells_differing) == (Verdict.MATCH, 0)
    customers = ("distinct", at(0), "", "unique_customers")
    assert adjusted(shop) == {
        (cube, at(0) - timedelta(hours=1) if cell == customers else start, key, measure): delta
        for cell, delta in EXPECTED.items()
        for cube, start, key, measure in [cell]
    }


def test_after_corrections_both_sides_have_one_hash(shop, applier):
    stage(shop, OUTSIDE)
    run(shop)
    applier.apply()
    run(shop)
    hashes = execute(shop, "SELECT speed_hash, batch_hash FROM reconciliation.reconciliations ORDER BY 1")
    assert [speed == batch for speed, batch in hashes].count(True) == 1


def test_a_date_inside_tolerance_keeps_and_shows_its_difference(shop, applier):
    stage(shop, INSIDE)
    outcome = run(shop)
    assert (outcome.verdict, outcome.exit_status, outcome.corrected.emitted) == (Verdict.MATCH, 0, 0)
    assert outcome.cells_differing == 1
    rows = execute(
        shop, "SELECT batch_value - speed_value FROM reconciliation.comparisons WHERE metric = 'revenue_cents'"
    )
    assert set(rows) == {(50,)}  # the day's and the hour's
    assert applier.read() == []


def test_what_was_found_is_kept_event_by_event(shop):
    stage(shop, OUTSIDE)
    number = run(shop, dry_run=True).reconciliation_id
    rows = execute(
        shop,
        "SELECT order_id, cause, speed_decision, batch_decision, batch_cents - speed_cents"
        " FROM reconciliation.discrepancies WHERE reconciliation_id = %s ORDER BY 5",
        [number],
    )
    assert rows == [
        ("o3", "duplicate", "counted", "duplicate", -1_000),
        ("late", "late", "late", "counted", 700),
        ("later", "late", "late", "counted", 900),
    ]
    ledger = execute(
        shop,
        "SELECT cause, sum(events), sum(amount) FROM reconciliation.ledger"
        " WHERE cube = 'orders' AND measure = 'revenue_cents' GROUP BY 1 ORDER BY 1",
    )
    assert ledger == [("duplicate", 1, -1_000), ("late", 2, 1_600)]


def test_a_dry_run_sends_nothing_and_keeps_no_correction(shop, applier):
    stage(shop, OUTSIDE)
    assert run(shop, dry_run=True).verdict is Verdict.MISMATCH
    assert statuses(shop) == {}
    assert applier.read() == []


def test_where_the_batch_layer_may_be_wrong_corrections_wait_for_approval(shop, applier):
    stage(shop, LOST)
    outcome = run(shop)
    assert outcome.corrected.emitted == 0
    assert outcome.corrected.waiting > 0
    assert outcome.corrected.reason == "the batch layer may be the one that is wrong: missing_in_batch (1 event)"
    assert applier.read() == []
    assert correct.approve(shop, DAY, None, "ann") == outcome.corrected.waiting
    applier.apply()
    assert run(shop).cells_differing == 0
    assert execute(shop, "SELECT DISTINCT decided_by FROM reconciliation.corrections") == [("ann",)]


@pytest.mark.parametrize("gates", ["none", "failed"])
def test_without_passed_gates_corrections_wait_for_approval(shop, applier, gates):
    stage(shop, OUTSIDE, gates=False)
    if gates == "failed":
        gate = {"suite": "order_facts", "expectation": "few duplicates", "level": "fail", "success": False}
        insert(shop, "batch.gate_results", run_id=RUN, business_date=DAY, **gate)
    corrected = run(shop).corrected
    assert (corrected.emitted, corrected.waiting) == (0, len(EXPECTED))
    assert "gates" in corrected.reason


def test_correcting_once_more_after_an_older_comparison_that_matched_takes_no_waiting_correction_away(shop):
    """As when somebody clears the task of an older run."""
    stage(shop, LOST)
    waiting = run(shop).corrected.waiting
    matched = (
        "INSERT INTO reconciliation.reconciliations OVERRIDING SYSTEM VALUE SELECT (jsonb_populate_record(r,"
        " jsonb_build_object('reconciliation_id', r.reconciliation_id - 1, 'verdict', 'match'))).*"
        " FROM reconciliation.reconciliations AS r RETURNING reconciliation_id"
    )
    ((number,),) = execute(shop, matched)
    correct.run(shop, number, apply_timeout=AT_ONCE)
    assert statuses(shop) == {"waiting_approval": waiting}


def test_a_stream_that_was_rebuilt_beneath_a_correction_is_not_compared_at_the_cut_of_before(shop, applier):
    """The rebuilt figures may hold what the correction made good: then it counts twice, and the cut cannot tell."""
    stage(shop, OUTSIDE)
    run(shop)
    applier.apply()
    assert run(shop).verdict is Verdict.MATCH
    insert(shop, "speed.rebuilds", since=date(2017, 12, 24))
    assert run(shop).verdict is Verdict.MATCH, "another date was rebuilt"
    insert(shop, "speed.rebuilds", since=DAY)
    outcome = run(shop)
    assert outcome.verdict is Verdict.NOT_COMPARABLE
    assert "beneath the figures at the cut" in outcome.reason
    assert outcome.remedy.startswith("run the date in Airflow, or: tandem batch --date 2017-12-23")


def test_a_later_comparison_replaces_corrections_that_still_wait(shop):
    stage(shop, LOST)
    first, second = run(shop), run(shop)
    assert first.corrected.waiting == second.corrected.waiting
    assert statuses(shop) == {"waiting_approval": second.corrected.waiting}


def test_corrections_that_were_sent_but_not_booked_make_the_date_not_comparable(shop, monkeypatch):
    monkeypatch.setattr(reconcile, "_SETTLE", AT_ONCE)
    stage(shop, OUTSIDE)
    assert run(shop).corrected.not_applied == len(EXPECTED)
    outcome = run(shop)
    assert (outcome.verdict, outcome.exit_status) == (Verdict.NOT_COMPARABLE, 2)
    assert outcome.reason == f"{len(EXPECTED)} corrections not yet applied"


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda _: None, "no batch run of 2017-12-23 is published"),
        (lambda shop: write_run(shop, AGREED), f"the published run {RUN} was computed without a cut"),
        (lambda shop: stage(shop, []), "neither layer has an order of 2017-12-23"),
    ],
)
def test_what_cannot_be_compared_says_why_and_what_to_do(shop, prepare, reason):
    prepare(shop)
    outcome = run(shop)
    assert (outcome.verdict, outcome.exit_status, outcome.reason) == (Verdict.NOT_COMPARABLE, 2, reason)
    assert outcome.remedy


def test_a_batch_run_that_did_not_read_up_to_the_cut_is_not_comparable(shop):
    stage(shop, AGREED)
    execute(shop, """UPDATE batch.runs SET cut = '{"0": 9, "1": 10, "2": 0}'""")
    assert run(shop).verdict is Verdict.MATCH
    execute(shop, """UPDATE batch.runs SET cut = '{"0": 9, "1": 11}'""")
    outcome = run(shop)
    assert (outcome.verdict, outcome.reason) == (
        Verdict.NOT_COMPARABLE,
        "the batch run read the archive up to other offsets than the cut",
    )


def test_a_date_that_the_speed_layer_never_saw_is_corrected_from_nothing(shop, applier):
    stage(shop, [record.again(speed="") for record in AGREED])
    assert run(shop).verdict is Verdict.MISMATCH
    applier.apply()
    assert run(shop).cells_differing == 0
    assert serving.read(shop, DAY, Layer.SPEED).metrics["revenue_cents"] == 10_000


def test_facts_that_are_gone_leave_the_figures_and_make_corrections_wait(shop):
    stage(shop, OUTSIDE)
    execute(shop, "UPDATE batch.runs SET facts_version = 99")
    outcome = run(shop)
    assert outcome.verdict is Verdict.MISMATCH
    assert "order_facts" in outcome.reason
    assert outcome.corrected.waiting == len(EXPECTED)
    assert set(execute(shop, "SELECT DISTINCT cause FROM reconciliation.ledger")) == {("unexplained",)}


def test_a_reversed_correction_comes_back_only_by_approval(shop, applier):
    stage(shop, OUTSIDE)
    run(shop)
    applier.apply()
    before = adjusted(shop)
    chosen = next(
        c for c in all_corrections(shop) if c.measure == "revenue_cents" and c.cube == "orders" and c.delta == 900
    )
    reversal = correct.reverse(shop, chosen.correction_id, "ann")
    applier.apply()
    assert reversal.reverses == chosen.correction_id
    assert adjusted(shop) == {**before, chosen.cell: 0}
    with pytest.raises(TandemError, match="reversed before"):
        correct.reverse(shop, chosen.correction_id, "ann")
    outcome = run(shop)
    assert outcome.cells_differing == 1
    assert (outcome.corrected.emitted, outcome.corrected.waiting) == (0, 1)
    correct.approve(shop, DAY, None, "ann")
    applier.apply()
    assert run(shop).cells_differing == 0
    assert adjusted(shop) == before


def test_corrections_of_a_comparison_that_another_run_overtook_are_refused(shop):
    stage(shop, OUTSIDE)
    old = run(shop, dry_run=True)
    write_run(shop, AGREED, "2017-12-23.later")
    with pytest.raises(TandemError, match="out of date"):
        correct.run(shop, old.reconciliation_id, apply_timeout=AT_ONCE)


def test_correcting_twice_by_number_sends_nothing_twice(shop, applier):
    stage(shop, OUTSIDE)
    number = run(shop, dry_run=True).reconciliation_id
    first = correct.run(shop, number, apply_timeout=AT_ONCE)
    assert correct.run(shop, number, apply_timeout=AT_ONCE) == first
    assert len(applier.read()) == len(EXPECTED)


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_between_any_two_steps_converges_without_a_double(shop, applier, monkeypatch, step):
    stage(shop, OUTSIDE)
    with monkeypatch.context() as patch:
        crash_after(step, patch)
        with pytest.raises(CrashError):
            run(shop)
    applier.apply()
    rerun = run(shop)
    applier.apply()
    assert rerun.verdict in {Verdict.MATCH, Verdict.NOT_COMPARABLE}  # decided ones were sent, perhaps a moment ago
    final = run(shop)
    assert (final.verdict, final.cells_differing) == (Verdict.MATCH, 0)
    assert adjusted(shop) == EXPECTED
    assert statuses(shop) == {"emitted": len(EXPECTED)}


def test_corrections_applied_twice_and_out_of_order_give_the_same_books(shop, applier):
    stage(shop, OUTSIDE)
    run(shop)
    messages = applier.read() * 2
    random.Random(7).shuffle(messages)
    applier.apply(messages)
    assert adjusted(shop) == EXPECTED
    assert run(shop).cells_differing == 0


def test_two_reconciliations_at_once_correct_once(shop, applier):
    stage(shop, OUTSIDE)
    threads = [Thread(target=run, args=(shop,)) for _ in range(2)]
    stop = Event()
    booking = Thread(target=lambda: [applier.apply() or stop.wait(0.2) for _ in iter(stop.is_set, True)])
    for thread in (*threads, booking):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    booking.join()
    applier.apply()
    assert adjusted(shop) == EXPECTED
    assert run(shop).cells_differing == 0


def test_more_events_after_a_correction_are_corrected_again_beside_it(shop, applier):
    stage(shop, OUTSIDE)
    run(shop)
    applier.apply()
    more = LATE.again(offset=40, order_id="even later", cents=250)
    write_run(shop, [*OUTSIDE, more], "2017-12-23.second")
    execute(
        shop,
        "INSERT INTO reconciliation.cuts SELECT '2017-12-23.second', business_date, comparable, reason, lag,"
        " rule_version FROM reconciliation.cuts",
    )
    for table in ("cut_offsets", "cut_order_hours", "cut_product_hours", "cut_category_hours", "cut_distincts"):
        names = execute(
            shop,
            "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns WHERE"
            " table_schema = 'reconciliation' AND table_name = %s AND column_name <> 'run_id'",
            [table],
        )[0][0]
        execute(
            shop,
            f"INSERT INTO reconciliation.{table} (run_id, {names})"
            f" SELECT '2017-12-23.second', {names} FROM reconciliation.{table}",
        )
    second = run(shop)
    assert second.cells_differing == 9  # one order: three measures in three cubes
    if second.verdict is Verdict.MISMATCH:
        applier.apply()
        assert run(shop).cells_differing == 0
        sequences = execute(shop, "SELECT sequence, count(*) FROM reconciliation.corrections GROUP BY 1 ORDER BY 1")
        assert sequences == [(1, len(EXPECTED)), (2, 9)]
