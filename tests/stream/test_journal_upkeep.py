"""The journal lets go of what every date has done with, from its beginning on, and writes down which dates lost it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import failpoints
import orders
import polars as pl
import pytest
import speed_rig as rig
from done_dates import certify, compare, correct, publish, settled
from installations import tandem

from stream import journal_upkeep as upkeep
from stream import sink
from stream.archive_table import MasterDataset
from stream.rebuild_tables import REBUILT
from stream.restore import restore
from stream.segments import Merging
from tandem import database, journal
from tandem.errors import TandemError
from tandem.local import postgres as local_postgres
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS
from tests.reconciliation.books import execute, insert

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

NOW = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=200)
KEPT = timedelta(days=31)
DAY = date(2025, 6, 1)
DAYS = [DAY + timedelta(days=number) for number in range(6)]
TODAY = NOW.date()
KPIS = "business_date, order_count, revenue_cents, unique_customers, units"

Rows = Sequence[tuple[datetime, str]]
"""Event time and decision."""


@pytest.fixture
def own(postgres: Settings, tmp_path: Any) -> Settings:
    own = postgres.model_copy(update={"journal_retention": KEPT, "archive_uri": str(tmp_path / "archive")})
    for partition in (0, 1):
        place = {"topic": ORDER_EVENTS, "partition": partition}
        insert(own, "speed.partitions", **place, next_offset=1_000, first_offset=0, watermark=NOW)
        insert(own, "speed.published", **place, next_offset=1_000)
    return own


def noon(day: date, decision: str = "counted") -> tuple[datetime, str]:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC), decision


def put(
    settings: Settings, partition: int, first: int, rows: Rows, processed_at: datetime = LONG_AGO, **more: Any
) -> None:
    """A segment of as many offsets as there are rows."""
    content = pl.concat(
        [
            journal.ROWS.select(journal.SCHEMA.names),
            pl.DataFrame(
                {
                    "offset": [*range(first, first + len(rows))],
                    "event_id": [f"e{partition}-{at}" for at in range(first, first + len(rows))],
                    "event_time": [time for time, _ in rows],
                    "decision": [decision for _, decision in rows],
                }
            ).cast({"event_time": pl.Datetime("us", "UTC")}),
        ],
        how="diagonal",
    )
    accepted = [time for time, decision in rows if decision == "counted"]
    facts = {
        "min_business_date": min(time.date() for time, _ in rows),
        "max_business_date": max(time.date() for time, _ in rows),
        "max_accepted_time": max(accepted, default=None),
    }
    place = {"topic": ORDER_EVENTS, "partition": partition, "first_offset": first, "next_offset": first + len(rows)}
    decided = {"epoch": 1, "rule_version": "1", "processed_at": processed_at, "events": len(rows)}
    insert(
        settings, "speed.journal", **{**place, **facts, **decided, **more}, segment=journal.encode(content.to_arrow())
    )


def retain(settings: Settings, now: datetime = NOW, **options: bool) -> upkeep.Retained:
    return upkeep.retain(settings, now, lambda _: None, **options)


def kept(settings: Settings) -> list[tuple[int, int, int]]:
    rows = execute(settings, "SELECT partition, first_offset, next_offset FROM speed.journal ORDER BY 1, 2")
    return [tuple(row) for row in rows]


def begins(settings: Settings) -> dict[int, int]:
    return dict(execute(settings, "SELECT partition, from_offset FROM speed.journal_kept"))


def expired(settings: Settings) -> list[date]:
    return [day for (day,) in execute(settings, "SELECT business_date FROM speed.journal_expired ORDER BY 1")]


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


def test_a_step_is_bounded_and_what_is_kept_is_not_looked_at(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settled(own, *DAYS)
    monkeypatch.setattr(upkeep, "_AT_ONCE", 2)

    def statements(kept_segments: int) -> list[str]:
        execute(own, "TRUNCATE speed.journal, speed.journal_kept, speed.journal_expired")
        for at, day in enumerate(DAYS[:5]):
            put(own, 0, at, [noon(day)])
        for at in range(kept_segments):
            put(own, 0, 5 + at, [noon(TODAY)], processed_at=NOW)
        seen: list[str] = []
        with failpoints.before_steps_of_postgres(seen.append):
            assert retain(own).records == 5
        return seen

    few, many = statements(1), statements(60)
    assert few == many, "the same statements, each of so many rows at most"
    assert sum(step.startswith("DELETE FROM speed.journal ") for step in few) == 3


def test_what_a_swap_sends_once_more_is_kept_for_that_though_it_came_between_two_steps(
    own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is to go out is told by the journal alone."""
    settled(own, *DAYS)
    monkeypatch.setattr(upkeep, "_AT_ONCE", 2)
    for at, day in enumerate(DAYS[:5]):
        put(own, 0, at, [noon(day)])
    done = upkeep.retain(own, NOW, lambda _: execute(own, database.queries("rebuild", tables=REBUILT).send_all_again))
    assert done.segments == 2
    assert (kept(own), begins(own)) == ([(0, at, at + 1) for at in (2, 3, 4)], {0: 2})


class KilledError(BaseException):
    """The process is gone, and with it its connection."""


def test_killed_before_any_of_its_steps_it_leaves_a_journal_that_begins_where_it_says(
    own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(own, *DAYS)
    monkeypatch.setattr(upkeep, "_AT_ONCE", 2)
    parts = [(1, at, [noon(DAYS[at])]) for at in range(3)]
    killed, died = 0, True
    while died:
        execute(own, "TRUNCATE speed.journal, speed.journal_kept, speed.journal_expired")
        for part in parts:
            put(own, *part)
        taken = 0

        def reach(_: str, last: int = killed) -> None:
            nonlocal taken
            taken += 1
            if taken > last:
                raise KilledError

        died = False
        try:
            with failpoints.before_steps_of_postgres(reach):
                retain(own)
        except KilledError:
            died = True
        left, starts, gone = kept(own), begins(own), expired(own)
        assert left == [(p, at, at + 1) for p, at, _ in parts if at >= starts.get(p, 0)], f"before step {killed}"
        assert gone == DAYS[: max(starts.values(), default=0)]
        retain(own)
        assert (kept(own), begins(own), expired(own)) == ([], {1: 3}, DAYS[:3])
        killed += 1
    assert killed > 15


def test_segments_go_on_being_merged_where_the_beginning_has_gone(own: Settings) -> None:
    settled(own, *DAYS)
    connection, merging = sink.connect(own), Merging()
    try:
        for at in range(70):
            put(own, 0, at, [noon(DAY)], processed_at=LONG_AGO if at < 20 else NOW)
        assert retain(own).records == 20
        assert merging.run(connection) == 49
        assert kept(own) == [(0, 20, 70)]
    finally:
        connection.close()


def test_the_stream_s_role_learns_which_dates_need_the_journal_and_nothing_else_of_the_other_side(
    own: Settings,
) -> None:
    with local_postgres.connect_admin(own, own.postgres_database) as admin:
        rows = admin.execute(
            "SELECT table_schema, table_name FROM information_schema.role_table_grants"
            " WHERE grantee = %s AND table_schema IN ('reconciliation', 'batch')",
            [database.SPEED],
        ).fetchall()
    assert rows == [("reconciliation", "journal_needs")]
    with database.connect(own, database.READER) as reader:
        columns = reader.execute("SELECT * FROM reconciliation.journal_needs").description
    assert columns is not None
    assert [column.name for column in columns] == ["business_date", "why"]


def test_on_the_command_line_it_says_what_went_and_what_holds_the_rest(own: Settings) -> None:
    settled(own, DAYS[0])
    publish(own, DAYS[1])
    put(own, 0, 0, [noon(DAYS[0])] * 2)
    put(own, 0, 2, [noon(DAYS[1])])
    told = tandem(own, "stream", "retain", "--dry-run")
    assert told.returncode == 0, told.stderr
    assert "2 records of 1 date would be let go of" in told.stdout
    assert f"{DAYS[1]} still needs its journal, and holds what follows: it was never compared" in told.stdout
    done = json.loads(tandem(own, "stream", "retain", "--json").stdout)
    assert (done["records"], done["dates"]) == (2, [str(DAYS[0])])
    assert kept(own) == [(0, 2, 3)]


def order_record(number: int, moment: datetime) -> rig.Outgoing:
    customer = f"c{number % 7}"
    payload = orders.order(f"e{number}", moment, orders.line("p", 100 + number), customer=customer)
    return rig.Outgoing(orders.encode(payload), customer.encode(), number % 2)


def test_figures_do_not_change_and_a_copy_is_still_known_where_a_worker_s_journal_has_gone(
    topic_prefix: Settings,
) -> None:
    settings = topic_prefix.model_copy(update={"journal_retention": KEPT, "micro_batch_max_events": 50})
    first = datetime(2025, 6, 1, 8, tzinfo=UTC)
    moments = [first + timedelta(days=60 * (number // 200), minutes=number % 200) for number in range(600)]
    records = [order_record(number, moment) for number, moment in enumerate(moments)]
    for part in (records[:400], records[400:]):  # no segment is of both
        rig.produce(settings, part)
        rig.run_to_end(settings)
    dates = sorted({moment.date() for moment in moments})
    settled(settings, *dates)
    execute(settings, "UPDATE speed.journal SET processed_at = processed_at - interval '400 days'")
    books = rig.query(settings, f"SELECT {KPIS} FROM serving.speed_daily ORDER BY 1")
    assert retain(settings, datetime.now(UTC)).dates == tuple(dates[:2])
    with database.connect(settings, database.READER) as reader:
        rows = journal.read(reader, ORDER_EVENTS)
    assert sorted(rows["event_id"]) == sorted(f"e{number}" for number in range(400, 600))
    assert rig.query(settings, f"SELECT {KPIS} FROM serving.speed_daily ORDER BY 1") == books
    rig.produce(settings, records[550:])  # each once more
    rig.run_to_end(settings)
    again = rig.query(settings, "SELECT decision, sum(events)::int AS n FROM speed.outcomes GROUP BY 1 ORDER BY 1")
    assert again == [{"decision": "counted", "n": 600}, {"decision": "duplicate", "n": 50}]
    assert rig.query(settings, f"SELECT {KPIS} FROM serving.speed_daily ORDER BY 1") == books
