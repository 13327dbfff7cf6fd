"""Retention of the journal at work: its steps, killed between any two, beside others, and on the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import failpoints
import orders
import pytest
import speed_rig as rig
from done_dates import publish, settled
from installations import tandem
from journal_rig import DAY, DAYS, KEPT, LONG_AGO, NOW, TODAY, begins, expired, kept, noon, own, put, retain

from stream import journal_upkeep as upkeep
from stream import sink
from stream.rebuild_tables import REBUILT
from stream.segments import Merging
from tandem import database, journal
from tandem.local import postgres as local_postgres
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS
from tests.reconciliation.books import execute

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

__all__ = ["own"]  # a fixture

KPIS = "business_date, order_count, revenue_cents, unique_customers, units"


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
