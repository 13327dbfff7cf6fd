"""The journal lets go of what every date has done with, from its beginning on, and of nothing that a date needs."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from done_dates import certify, compare, correct, publish, settled
from journal_rig import DAY, DAYS, KEPT, NOW, TODAY, Rows, begins, expired, kept, noon, own, put, retain

from stream import journal_upkeep as upkeep
from stream.archive_table import MasterDataset
from stream.restore import restore
from tandem import database, journal
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS
from tests.reconciliation.books import execute, insert

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

__all__ = ["own"]  # a fixture


def test_what_every_date_has_done_with_goes_from_the_beginning_on_and_is_written_down(own: Settings) -> None:
    settled(own, *DAYS)
    for at, day in enumerate(DAYS):
        put(own, at % 2, 10 * (at // 2), [noon(day)] * 10)
    put(own, 0, 30, [noon(TODAY - KEPT)] * 2)  # the first date that is kept
    put(own, 1, 30, [noon(TODAY)] * 3, processed_at=NOW)
    trial = retain(own, dry_run=True)
    assert (len(kept(own)), begins(own), expired(own)) == (8, {}, []), "a trial changes nothing"
    done = retain(own)
    assert trial == done
    assert (done.kept_from, done.segments, done.records) == (TODAY - KEPT, 6, 60)
    assert done.dates == tuple(DAYS)
    assert (kept(own), begins(own), expired(own)) == ([(0, 30, 32), (1, 30, 33)], {0: 30, 1: 30}, DAYS)
    assert retain(own).segments == 0
    with database.connect(own, database.READER) as reader:
        with pytest.raises(journal.ExpiredError, match=f"journal of {DAYS[3]}.*rebuild --from {DAYS[3]} --swap"):
            journal.read(reader, ORDER_EVENTS, DAYS[3])
        with pytest.raises(journal.ExpiredError):
            journal.disagreements(reader, ORDER_EVENTS, DAYS[0])
        assert journal.read(reader, ORDER_EVENTS, TODAY).height == 3
        assert journal.read(reader, ORDER_EVENTS, DAYS[-1] + timedelta(days=1)).is_empty(), "nothing came, nothing went"


def test_nothing_goes_where_no_retention_is_set(own: Settings) -> None:
    settled(own, DAY)
    put(own, 0, 0, [noon(DAY)])
    assert retain(own.model_copy(update={"journal_retention": timedelta(0)})) == upkeep.Retained(None)
    assert kept(own) == [(0, 0, 1)]


def never_published(settings: Settings) -> None:
    settled(settings, DAYS[0])


def never_compared(settings: Settings) -> None:
    publish(settings, DAYS[1])


def another_version(settings: Settings) -> None:
    publish(settings, DAYS[1], "another")
    certify(settings, compare(settings, DAYS[1]))


def not_comparable(settings: Settings) -> None:
    settled(settings, DAYS[1])
    compare(settings, DAYS[1], "not_comparable")


def waits(settings: Settings) -> None:
    publish(settings, DAYS[1])
    number = compare(settings, DAYS[1], "mismatch")
    certify(settings, number)
    correct(settings, DAYS[1], number, "waiting_approval", applied=False)


def on_their_way(settings: Settings) -> None:
    publish(settings, DAYS[1])
    number = compare(settings, DAYS[1], "mismatch")
    certify(settings, number)
    correct(settings, DAYS[1], number, "emitted", applied=False)


def not_corrected(settings: Settings) -> None:
    publish(settings, DAYS[1])
    certify(settings, compare(settings, DAYS[1], "mismatch"))


def only_taken_back(settings: Settings) -> None:
    """What was corrected before the date was compared again does not correct what that found; nor does its reversal."""
    publish(settings, DAYS[1])
    correct(settings, DAYS[1], compare(settings, DAYS[1], "mismatch"), "emitted", applied=True)
    certify(settings, compare(settings, DAYS[1], "mismatch"))
    correct(settings, DAYS[1], None, "emitted", applied=True, nth=2)


def no_certificate(settings: Settings) -> None:
    publish(settings, DAYS[1])
    compare(settings, DAYS[1])


def incident(settings: Settings) -> None:
    settled(settings, DAYS[1])
    what = {"severity": "warning", "finding": "f", "said": "s"}
    insert(settings, "reconciliation.incidents", name=f"date:{DAYS[1]}", **what)


def claimed(settings: Settings) -> None:
    settled(settings, DAYS[1])
    insert(settings, "batch.claims", business_date=DAYS[1], holder="airflow:restate:r1")


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (never_published, "it was never published"),
        (never_compared, "it was never compared"),
        (another_version, "its last version is not compared"),
        (not_comparable, "it could not be compared"),
        (waits, "corrections of it wait for approval"),
        (on_their_way, "corrections of it are on their way"),
        (not_corrected, "it differs and was not corrected"),
        (only_taken_back, "it differs and was not corrected"),
        (no_certificate, "it has no certificate"),
        (incident, "an incident of it is open"),
        (claimed, "a run is at work on it"),
    ],
)
def test_a_date_that_still_needs_its_journal_keeps_it_however_old_and_all_behind_it(
    own: Settings, state: Any, why: str
) -> None:
    settled(own, DAY - timedelta(days=1), DAYS[2])
    if state is not never_published:
        settled(own, DAYS[0])
    state(own)
    put(own, 0, 0, [noon(DAYS[0])])
    put(own, 0, 1, [noon(DAYS[0]), noon(DAYS[1])])
    put(own, 0, 3, [noon(DAYS[2])])
    put(own, 1, 0, [noon(DAYS[2])])  # of another partition, which nothing holds back
    done = retain(own)
    assert done.held == ((DAYS[1], why),)
    assert (kept(own), begins(own)) == ([(0, 1, 3), (0, 3, 4)], {0: 1, 1: 1})
    assert expired(own) == [DAYS[0], DAYS[2]]


def test_a_date_that_was_corrected_and_agrees_now_needs_its_journal_no_more(own: Settings) -> None:
    publish(own, DAY)
    number = compare(own, DAY, "mismatch")
    certify(own, number)
    correct(own, DAY, number, "emitted", applied=True)
    put(own, 0, 0, [noon(DAY)])
    assert retain(own).dates == (DAY,)


@pytest.mark.parametrize(
    ("rows", "more"),
    [
        ([noon(DAY)], {"processed_at": NOW - KEPT}),
        ([noon(TODAY - KEPT, "late"), noon(DAY, "late")], {}),
        ([noon(DAY)], {"max_accepted_time": NOW - KEPT}),
        ([noon(DAY)], {"next_offset": 1_001}),
    ],
    ids=["read a short while ago", "of a date that is kept", "of ids that may be remembered", "not sent to the topics"],
)
def test_what_is_not_past_stays(own: Settings, rows: Rows, more: dict[str, Any]) -> None:
    settled(own, DAY, TODAY - KEPT)
    put(own, 0, 0, rows, **more)
    assert retain(own).segments == 0
    assert len(kept(own)) == 1


def test_a_stream_that_stood_still_for_years_remembers_its_ids(own: Settings) -> None:
    settled(own, *DAYS)
    last = noon(DAYS[-1])[0]
    execute(own, "UPDATE speed.partitions SET watermark = %s", [last])
    for at, day in enumerate([DAY - timedelta(days=60), *DAYS]):
        put(own, 0, at, [noon(day)])
    settled(own, DAY - timedelta(days=60))
    with database.connect(own, database.SPEED, autocommit=True) as speed:
        before = restore(speed, ORDER_EVENTS, 0, last, timedelta(days=3))
        assert retain(own).records == 1
        after = restore(speed, ORDER_EVENTS, 0, last, timedelta(days=3))
        ids = [[entry for part in state.accepted.parts for entry in part.ids] for state in (before, after)]
        assert ids[0] == ids[1] != []
        with pytest.raises(TandemError, match="TANDEM_DEDUPE_HORIZON reaches further back than the journal"):
            restore(speed, ORDER_EVENTS, 0, last, timedelta(days=90))


def test_what_lies_in_the_future_and_in_quarantine_neither_holds_nor_counts_as_gone(own: Settings) -> None:
    settled(own, DAY)
    put(own, 0, 0, [noon(DAY), noon(date(2099, 1, 1), "quarantined"), noon(DAY, "quarantined")])
    assert retain(own).dates == (DAY,)
    assert expired(own) == [DAY]


def test_one_event_with_an_old_date_holds_nothing_unless_the_stream_counted_it(own: Settings) -> None:
    settled(own, DAY)
    old, counted = date(1970, 1, 1), date(1970, 1, 2)
    pane = {"pane_start": noon(counted)[0], "partition": 0, "order_count": 1, "revenue_cents": 5}
    insert(own, "speed.order_minutes", business_date=counted, **pane)
    put(own, 0, 0, [noon(DAY), noon(old, "late")])
    put(own, 0, 2, [noon(counted)])
    done = retain(own)
    assert (done.dates, done.held) == ((old, DAY), ((counted, "it was never published"),))
    dataset = MasterDataset.find_or_create(own.archive, ORDER_EVENTS)
    dataset.open_partitions(7, {0: 0})
    from stream import archive_upkeep

    archive_upkeep.retain(own.model_copy(update={"archive_retention": KEPT}), NOW)
    assert retain(own).dates == (counted,), "the archive has let it go, so it will never be published"


def test_a_date_of_which_some_is_gone_holds_back_nothing_more(own: Settings) -> None:
    settled(own, DAYS[0], DAYS[1])
    put(own, 0, 0, [noon(DAYS[0])])
    put(own, 1, 0, [noon(DAYS[0])], next_offset=1_001)  # not sent yet
    assert retain(own).records == 1
    execute(own, "UPDATE speed.published SET next_offset = 2000")
    compare(own, DAYS[0], "not_comparable")
    assert (retain(own).records, kept(own)) == (1, [])
