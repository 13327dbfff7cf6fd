"""A hole in the journal: what was skipped is missing in the stream, what only the journal lost is no difference."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation import reconcile
from reconciliation.books import Books
from reconciliation.compare import Verdict
from reconciliation.discrepancies import discrepancies
from reconciliation.evidence import HOLES, Evidence
from reconciliation.explain import Cause, explain
from reconciliation.holes import Fate, fates, in_words
from reconciliation.ledger import clear_up, ledger
from tandem import journal, topics
from tandem.settings import Settings
from tests.reconciliation.books import DAY, START, at, execute, insert
from tests.reconciliation.decisions import Record, cells, evidence
from tests.reconciliation.scene import stage

KNOWN = Record(0, order_id="known", customer="zoe")
FIRST, SECOND = (Record(n, speed="", order_id=f"o{n}", customer=f"c{n}", cents=n * 100) for n in (10, 11))
HOLE = (0, 10, 12, "unclear")


def seen(*records: Record, holes: tuple[tuple, ...] = (HOLE,), shown: tuple[Record, ...] = ()) -> Evidence:
    """The evidence after a look at the sums, which show ``shown`` beside what the journal counted."""
    found = evidence((KNOWN, *records), holes=pl.DataFrame(list(holes), schema=HOLES, orient="row"))
    return clear_up(found, Books.of(sums(*records, shown=shown)), DAY, "UTC")


def entries(explained: pl.DataFrame, batch: pl.DataFrame, speed: pl.DataFrame) -> pl.DataFrame:
    return ledger(explained, Books.of(batch), Books.of(speed), START)


def sums(*records: Record, shown: tuple[Record, ...] = ()) -> pl.DataFrame:
    counted = [record.again(speed="counted") if record in shown else record for record in (KNOWN, *records)]
    return cells(counted, "speed")


def test_records_that_were_skipped_are_missing_in_the_stream():
    found = seen(FIRST, SECOND)
    assert found.holes["fate"].to_list() == [Fate.ABSENT]
    rows = discrepancies(explain(found, DAY, "UTC"))
    assert dict(rows.select("offset", "cause").rows()) == {10: "missing_in_stream", 11: "missing_in_stream"}
    assert in_words(found.holes) == ""


def test_what_only_the_journal_lost_is_no_difference_and_is_named():
    found = seen(FIRST, SECOND, shown=(FIRST, SECOND))
    assert found.holes["fate"].to_list() == [Fate.SHOWN]
    explained = explain(found, DAY, "UTC")
    assert discrepancies(explained).is_empty()
    log = (KNOWN, FIRST, SECOND)
    assert entries(explained, cells(log, "batch"), sums(FIRST, SECOND, shown=(FIRST, SECOND))).is_empty()
    assert in_words(found.holes) == "the stream's journal has lost offsets 10 to 11 of partition 0"


def test_a_hole_that_is_shown_in_part_is_unexplained_and_so_waits_for_a_person():
    found = seen(FIRST, SECOND, shown=(SECOND,))
    assert found.holes["fate"].to_list() == [Fate.UNCLEAR]
    explained = explain(found, DAY, "UTC")
    assert set(discrepancies(explained)["cause"]) == {Cause.UNEXPLAINED}
    lines = entries(explained, cells((KNOWN, FIRST, SECOND), "batch"), sums(FIRST, SECOND, shown=(SECOND,)))
    assert set(lines["cause"]) == {Cause.UNEXPLAINED}


def test_two_holes_of_one_hour_are_told_apart_by_their_amounts():
    holes = ((0, 10, 11, "unclear"), (0, 11, 12, "unclear"))
    found = seen(FIRST, SECOND, holes=holes, shown=(SECOND,))
    assert found.holes["fate"].to_list() == [Fate.ABSENT, Fate.SHOWN]
    rows = discrepancies(explain(found, DAY, "UTC"))
    assert rows.select("offset", "cause").rows() == [(10, "missing_in_stream")]


def test_two_holes_of_equal_amounts_of_which_one_is_shown_are_unclear():
    holes = ((0, 10, 11, "unclear"), (0, 11, 12, "unclear"))
    twin = FIRST.again(offset=11, order_id="twin")
    found = seen(FIRST, twin, holes=holes, shown=(twin,))
    assert found.holes["fate"].to_list() == [Fate.UNCLEAR, Fate.UNCLEAR]


def test_a_product_that_the_sums_lack_is_not_hidden_behind_an_order_that_the_batch_layer_lacks():
    unread = Record(1, batch="", order_id="unread", customer="bob")
    explained = explain(evidence((KNOWN, unread)), DAY, "UTC")
    dropped = sums(unread).filter(pl.col("cube") != "products")
    lines = entries(explained, cells((KNOWN, unread), "batch"), dropped).filter(pl.col("cube") == "products")
    assert set(lines["cause"]) == {Cause.UNEXPLAINED}
    whole = entries(explained, cells((KNOWN, unread), "batch"), sums(unread)).filter(pl.col("cube") == "products")
    assert set(whole["cause"]) == {Cause.MISSING_IN_BATCH}


amounts = st.dictionaries(st.sampled_from([("a",), ("b",), ("c",)]), st.integers(1, 9), max_size=3)


@given(st.lists(st.tuples(amounts, st.booleans()), max_size=6))
def test_a_hole_is_never_said_to_be_what_it_is_not(holes):
    beyond: dict[tuple, int] = {}
    for sums_, is_shown in holes:
        for cell, amount in sums_.items() if is_shown else ():
            beyond[cell] = beyond.get(cell, 0) + amount
    found = fates([sums_ for sums_, _ in holes], beyond)
    for fate, (sums_, is_shown) in zip(found, holes, strict=True):
        if sums_:
            assert fate in {Fate.SHOWN if is_shown else Fate.ABSENT, Fate.UNCLEAR}
        else:
            assert fate is Fate.ABSENT  # it books nothing, so nothing follows from it


@given(st.lists(amounts.filter(bool), max_size=6))
def test_one_lost_hole_by_itself_is_never_unclear(holes):
    apart = [{(number, *cell): amount for cell, amount in sums_.items()} for number, sums_ in enumerate(holes)]
    every_second = {cell: amount for sums_ in apart[::2] for cell, amount in sums_.items()}
    assert fates(apart, every_second) == [Fate.ABSENT if number % 2 else Fate.SHOWN for number in range(len(apart))]


def lose(settings: Settings, partition: int, first: int, after: int) -> None:
    """Leave of a partition's one segment what is before and behind these offsets."""
    ((whole, end),) = execute(
        settings, "DELETE FROM speed.journal WHERE partition = %s RETURNING segment, next_offset", [partition]
    )
    for start, stop in ((0, first), (after, end)):
        rows = journal.decode(bytes(whole), partition).filter(pl.col("offset").is_between(start, stop, closed="left"))
        dates = {"min_business_date": DAY, "max_business_date": DAY}
        place = {"topic": topics.ORDER_EVENTS, "partition": partition, "first_offset": start, "next_offset": stop}
        content = {"events": rows.height, "segment": journal.encode(rows.drop("partition").to_arrow())}
        insert(settings, "speed.journal", **place, **dates, **content, epoch=1, rule_version="1")


@pytest.mark.integration
@pytest.mark.usefixtures("clean_database")
def test_a_segment_that_was_lost_is_named_with_what_brings_it_back(topic_prefix: Settings):
    log = [Record(n, order_id=f"o{n}", customer=f"c{n}", when=at(8 + n % 9), partition=n % 2) for n in range(20)]
    stage(topic_prefix, log)
    assert reconcile.run(topic_prefix, DAY, dry_run=True).reason == ""
    lose(topic_prefix, 1, 3, 9)
    found = reconcile.run(topic_prefix, DAY, dry_run=True)
    assert found.reason == "the stream's journal has lost offsets 3 to 8 of partition 1"
    assert found.remedy == f"rebuild it from the log: tandem stream rebuild --from {DAY} --swap"
    assert (found.verdict, found.cells_differing) == (Verdict.MATCH, 0)
    assert execute(topic_prefix, "SELECT count(*) FROM reconciliation.ledger") == [(0,)]


@pytest.mark.integration
@pytest.mark.usefixtures("clean_database")
def test_a_micro_batch_that_was_skipped_is_missing_in_the_stream(topic_prefix: Settings):
    log = [Record(n, order_id=f"o{n}", customer=f"c{n}", when=at(8 + n % 9), partition=n % 2) for n in range(20)]
    stage(topic_prefix, [record.again(speed="") if record.offset in {5, 7} else record for record in log])
    lose(topic_prefix, 1, 4, 9)  # it has nothing there but what was skipped
    found = reconcile.run(topic_prefix, DAY, dry_run=True)
    assert (found.verdict, found.reason) == (Verdict.MISMATCH, "")
    causes = execute(topic_prefix, 'SELECT partition, "offset", cause FROM reconciliation.discrepancies ORDER BY 2')
    assert causes == [(1, 5, "missing_in_stream"), (1, 7, "missing_in_stream")]
    assert {cause for (cause,) in execute(topic_prefix, "SELECT cause FROM reconciliation.ledger")} == {causes[0][2]}
