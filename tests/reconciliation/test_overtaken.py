"""What happened to a date since it was compared: no correction and no sentence of a report overlooks it."""

from __future__ import annotations

import pytest

from reconciliation import correct, gather, wording
from reconciliation import cut as cuts
from reconciliation.compare import Verdict
from reconciliation.headline import headline
from reconciliation.report import State
from tandem import database, serving
from tandem.errors import TandemError
from tandem.local import postgres as local_postgres
from tandem.serving import Layer
from tests.reconciliation.books import DAY, at, execute, insert
from tests.reconciliation.loop import AGREED, AT_ONCE, LATE, LOST, OUTSIDE, adjusted, all_corrections, run, statuses
from tests.reconciliation.scene import RUN, stage, write_run, write_stream

pytestmark = pytest.mark.integration


def test_a_correction_that_was_approved_since_a_comparison_is_not_made_once_more_of_it(shop, applier):
    """As when the task that compares was cleared, and a person approved what waited before the next task corrects."""
    stage(shop, LOST)
    waiting = run(shop).corrected.waiting
    again = run(shop, dry_run=True)
    assert correct.approve(shop, DAY, None, "ann") == waiting
    with pytest.raises(TandemError, match="out of date"):
        correct.run(shop, again.reconciliation_id, apply_timeout=AT_ONCE)
    applier.apply()
    assert statuses(shop) == {"emitted": waiting}
    assert run(shop).cells_differing == 0


def test_nothing_is_left_to_correct_of_a_comparison_where_a_later_one_has_done_it(shop, applier):
    """As when somebody compares by hand while a night is between two tasks, or clears a task of an older night."""
    stage(shop, OUTSIDE)
    first = run(shop, dry_run=True)
    emitted = run(shop).corrected.emitted
    applier.apply()
    assert correct.run(shop, first.reconciliation_id, apply_timeout=AT_ONCE) == correct.Corrected()
    assert run(shop).verdict is Verdict.MATCH
    assert correct.run(shop, first.reconciliation_id, apply_timeout=AT_ONCE) == correct.Corrected()
    assert statuses(shop) == {"emitted": emitted}


@pytest.mark.parametrize("corrected_by", ["approval", "task"])
def test_what_was_corrected_after_another_comparison_is_certified_with_what_is_reported(shop, applier, corrected_by):
    """As when somebody looks once more by `tandem reconcile --dry-run` before corrections go out."""
    stage(shop, LOST if corrected_by == "approval" else OUTSIDE)
    first = run(shop, dry_run=corrected_by == "task")
    again = run(shop, dry_run=True)
    if corrected_by == "approval":
        correct.approve(shop, DAY, None, "ann")
    else:
        correct.run(shop, first.reconciliation_id, apply_timeout=AT_ONCE)
    applier.apply()
    with database.snapshot(shop) as connection:
        found = gather.report(connection, shop, DAY)
    assert (found.reconciliation_id, found.state) == (again.reconciliation_id, State.CORRECTED)
    assert found.certificate.speed_sha256 == found.certificate.batch_sha256
    assert found.certificate.corrections == found.corrections.applied > 0
    assert execute(shop, "SELECT why FROM reconciliation.journal_needs") == [(None,)]


def test_what_waits_for_approval_does_not_go_once_the_stream_was_rebuilt(shop, applier):
    """It was made of figures that stand no more: the report itself may have advised the rebuild."""
    stage(shop, LOST)
    waiting = run(shop).corrected.waiting
    insert(shop, "speed.rebuilds", since=DAY)
    with pytest.raises(TandemError, match="out of date"):
        correct.approve(shop, DAY, None, "ann")
    assert statuses(shop) == {"waiting_approval": waiting}
    assert applier.read() == []


@pytest.mark.parametrize("log", [AGREED, LOST])
def test_what_was_compared_before_the_stream_was_rebuilt_is_not_reported_as_what_is(shop, log):
    stage(shop, log)
    run(shop)
    insert(shop, "speed.rebuilds", since=DAY)
    with database.snapshot(shop) as connection:
        found = gather.report(connection, shop, DAY)
    assert found.reason == "the stream was rebuilt since and is not compared yet"
    assert found.remedy.startswith(f"run the date in Airflow, or: tandem batch --date {DAY}")
    assert headline(found).endswith("the stream was rebuilt since and is not compared yet.")


def test_a_date_without_corrections_that_was_rebuilt_after_its_cut_is_not_corrected_by_that_cut(shop, applier):
    stage(shop, OUTSIDE)
    compared = run(shop, dry_run=True)
    insert(shop, "speed.rebuilds", since=DAY)
    with pytest.raises(TandemError, match="out of date"):
        correct.run(shop, compared.reconciliation_id, apply_timeout=AT_ONCE)
    outcome = run(shop)
    assert (outcome.verdict, outcome.corrected.emitted) == (Verdict.NOT_COMPARABLE, 0)
    assert "rebuilt" in outcome.reason
    assert applier.read() == []


def test_a_cut_that_was_taken_while_rebuilt_figures_were_swapped_in_is_one_of_before(shop):
    """The swap's own time is when it began; what tells is whether the cut saw it."""
    write_stream(shop, OUTSIDE)
    with local_postgres.connect_admin(shop, shop.postgres_database) as swap, swap.transaction():
        swap.execute("INSERT INTO speed.rebuilds (since) VALUES (%s)", [DAY])
        cuts.take(shop, DAY, RUN, timeout=AT_ONCE)
    write_run(shop, OUTSIDE)
    assert run(shop).verdict is Verdict.NOT_COMPARABLE


def test_a_correction_is_reversed_also_where_another_of_its_cell_waits(shop, applier):
    stage(shop, OUTSIDE)
    run(shop)
    applier.apply()
    later, more = "2017-12-23.later", LATE.again(offset=40, order_id="later still", cents=5_000, speed="")
    cuts.take(shop, DAY, later, timeout=AT_ONCE)
    write_run(shop, [*OUTSIDE, more], later, gates=False)
    waiting = run(shop).corrected.waiting
    chosen = next(
        c for c in all_corrections(shop) if c.status == "emitted" and c.cell == ("orders", at(9), "", "revenue_cents")
    )
    assert any(c.cell == chosen.cell for c in all_corrections(shop) if c.status == "waiting_approval")
    assert correct.reverse(shop, chosen.correction_id, "ann").reverses == chosen.correction_id
    applier.apply()
    assert adjusted(shop)[chosen.cell] == 0
    assert statuses(shop)["waiting_approval"] == waiting
    with pytest.raises(TandemError, match="out of date"):
        correct.approve(shop, DAY, None, "ann")


def test_a_date_that_the_batch_layer_no_longer_has_is_not_called_corrected_because_it_once_was(shop, applier):
    stage(shop, OUTSIDE)
    run(shop)
    applier.apply()
    later = "2017-12-23.later"
    cuts.take(shop, DAY, later, timeout=AT_ONCE)
    write_run(shop, [record.again(batch="quarantined") for record in OUTSIDE], later)
    assert run(shop, dry_run=True).verdict is Verdict.MISMATCH
    with database.snapshot(shop) as connection:
        assert gather.report(connection, shop, DAY).state is State.DIFFERS


def test_a_date_of_which_a_correction_was_taken_back_is_not_said_to_agree_to_the_cent(shop, applier):
    stage(shop, OUTSIDE)
    run(shop)
    applier.apply()
    assert run(shop).verdict is Verdict.MATCH
    chosen = next(
        c for c in all_corrections(shop) if c.measure == "revenue_cents" and c.cube == "orders" and c.delta == 900
    )
    correct.reverse(shop, chosen.correction_id, "ann")
    applier.apply()
    with database.snapshot(shop) as connection:
        found = gather.report(connection, shop, DAY)
    assert found.figure("revenue_cents").difference_now == 900
    assert headline(found).endswith("But 1 correction came since and is not compared yet.")
    assert wording.steps(found)[0].command == f"tandem reconcile --date {DAY}"


def test_a_date_that_only_the_stream_had_agrees_once_it_was_corrected_to_nothing(shop, applier):
    """A layer that lacks a date and one whose figures of it are all 0 do not differ."""
    stage(shop, [record.again(batch="quarantined") for record in AGREED])
    assert run(shop).verdict is Verdict.MISMATCH
    applier.apply()
    again = run(shop)
    assert (again.cells_differing, again.verdict) == (0, Verdict.MATCH)


def test_a_reversal_is_not_taken_for_a_correction_that_a_restored_backup_does_not_know(shop, applier):
    """The stream has booked a second correction of the cell, which the backup was made before."""
    stage(shop, OUTSIDE)
    run(shop)
    applier.apply()
    more = LATE.again(offset=40, order_id="more", cents=5_000)
    cuts.take(shop, DAY, "2017-12-23.later", timeout=AT_ONCE)
    write_run(shop, [*OUTSIDE, more], "2017-12-23.later")
    run(shop)
    applier.apply()
    known = "SELECT correction_id FROM reconciliation.corrections WHERE cube = 'orders' AND measure = 'revenue_cents'"
    ((first,), (second,)) = execute(shop, f"{known} AND cell_start = %s ORDER BY sequence", [at(9)])
    execute(shop, "DELETE FROM reconciliation.corrections WHERE correction_id = %s", [second])
    before = serving.read(shop, DAY, Layer.SPEED).metrics["revenue_cents"]
    reversal = correct.reverse(shop, first, "ann")
    applier.apply()
    assert serving.read(shop, DAY, Layer.SPEED).metrics["revenue_cents"] == before + reversal.delta
    assert reversal.sequence == 3


def test_a_reversal_takes_back_what_the_stream_has_booked_where_a_restored_backup_says_another_amount(shop, applier):
    stage(shop, OUTSIDE)
    run(shop)
    applier.apply()
    where = "cube = 'orders' AND measure = 'revenue_cents'"
    ((first, booked), *_) = execute(shop, f"SELECT correction_id, delta FROM speed.adjustments WHERE {where}")
    execute(
        shop,
        "UPDATE reconciliation.corrections SET delta = delta + 100, batch_value = batch_value + 100"
        " WHERE correction_id = %s",
        [first],
    )
    assert correct.reverse(shop, first, "ann").delta == -booked
    applier.apply()
    assert execute(
        shop,
        f"SELECT sum(delta)::bigint FROM speed.adjustments WHERE {where} AND cell_start ="
        " (SELECT cell_start FROM speed.adjustments WHERE correction_id = %s)",
        [first],
    ) == [(0,)]


@pytest.mark.parametrize("read_again", ["before it is compared", "after it was corrected"])
def test_corrections_that_a_restored_backup_does_not_know_are_not_taken_for_those_made_since(shop, applier, read_again):
    """The stream reads them again from Kafka and takes each id once; another delta under such an id would be lost."""
    stage(shop, OUTSIDE)
    run(shop)
    messages = applier.read()
    if read_again == "before it is compared":
        applier.apply(messages)
    execute(shop, "DELETE FROM reconciliation.corrections")
    later, more = "2017-12-23.later", LATE.again(offset=40, order_id="more", cents=5_000)
    cuts.take(shop, DAY, later, timeout=AT_ONCE)
    write_run(shop, [*OUTSIDE, more], later)
    assert run(shop).verdict is Verdict.MISMATCH
    applier.apply(messages)
    applier.apply()
    run(shop)
    applier.apply()
    assert run(shop).verdict is Verdict.MATCH
    assert serving.read(shop, DAY, Layer.SPEED).metrics == serving.read(shop, DAY, Layer.BATCH).metrics
