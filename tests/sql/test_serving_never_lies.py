"""``serving.daily`` after any sequence of orders, late orders, corrections, runs, failures, crashes and publications.

Rows of runs, gates and versions are written by the code that writes them at night; what must be shown is worked out
here by remembering what happened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from spark_jobs import gate, publish, runs, staging
from spark_jobs.gate_suites import Level
from spark_jobs.runs import Kind
from tandem import database, kpis
from tandem.errors import TandemError
from tandem.local import postgres as local_postgres
from tandem.settings import Settings

pytestmark = pytest.mark.integration

TODAY = datetime.now(UTC).date()
DATES = [TODAY - timedelta(days=back) for back in (5, 4, 3)]
"""Long past: what is not published is overdue."""
FAILS = "revenue is near the usual"

SELLS = st.tuples(st.just("sell"), st.sampled_from(DATES), st.integers(1, 500), st.booleans())
CORRECTS = st.tuples(st.just("correct"), st.sampled_from(DATES), st.integers(-50, 50))
ENDS = st.sampled_from(["killed before its gate", "gate failed", "killed before it is published", "published"])
KINDS = st.sampled_from([Kind.SCHEDULED, Kind.BACKFILL, Kind.LATE_DATA, Kind.MISSED, Kind.RECOMPUTE, Kind.TRIAL])
RUNS = st.tuples(st.just("run"), st.sampled_from(DATES), KINDS, ENDS)
OLD = st.tuples(st.just("publish an old run"), st.sampled_from(DATES), st.integers(0, 2))
CHECKS = st.tuples(st.just("check an old run"), st.sampled_from(DATES), st.integers(0, 2), st.booleans())
HISTORIES = st.lists(SELLS | CORRECTS | RUNS | RUNS | OLD | CHECKS, min_size=1, max_size=14)


@dataclass
class PastRun:
    """A run as it was made: what it computed, and whether its gate passed; None where it did not come so far."""

    run_id: str
    kind: Kind
    order_count: int
    revenue_cents: int
    passed: bool | None = None


@dataclass
class Day:
    """What is known of a date by who watched."""

    archived: list[int] = field(default_factory=list)
    streamed: list[int] = field(default_factory=list)
    corrected_cents: int = 0
    corrections: int = 0
    runs: list[PastRun] = field(default_factory=list)
    shown: PastRun | None = None
    version: int = 0

    def begins_after(self, run: PastRun) -> list[PastRun]:
        return self.runs[self.runs.index(run) + 1 :]


class World:
    """Does what happens, and remembers it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.days = {day: Day() for day in DATES}

    def sell(self, day: date, cents: int, late: bool) -> None:
        known = self.days[day]
        known.archived.append(cents)
        if late:
            return
        known.streamed.append(cents)
        number = len(known.streamed)
        moment = datetime.combine(day, time(12), UTC) + timedelta(minutes=number)
        with database.connect(self.settings, database.SPEED) as speed:
            speed.execute(
                "INSERT INTO speed.order_minutes (business_date, pane_start, partition, order_count, revenue_cents)"
                " VALUES (%s, %s, 0, 1, %s)",
                (day, moment, cents),
            )
            speed.execute(
                "INSERT INTO speed.customer_days (business_date, customer_id, partition) VALUES (%s, %s, -1)",
                (day, f"c{number}"),
            )

    def correct(self, day: date, delta: int) -> None:
        known = self.days[day]
        known.corrected_cents += delta
        known.corrections += 1
        with database.connect(self.settings, database.SPEED) as speed:
            speed.execute(
                "INSERT INTO speed.adjustments (correction_id, business_date, cube, cell_start, key, measure, delta,"
                ' stream_value, batch_value, run_id, partition, "offset")'
                " VALUES (%s, %s, 'orders', %s, '', 'revenue_cents', %s, 0, 0, 'r', 0, 0)",
                (f"{day}-{known.corrections}", day, datetime.combine(day, time(12), UTC), delta),
            )

    def run(self, day: date, kind: Kind, end: str) -> None:
        known = self.days[day]
        run = PastRun(runs.new_run_id(day, datetime.now(UTC)), kind, len(known.archived), sum(known.archived))
        known.runs.append(run)
        opened = runs.open_run(self.settings, run.run_id, day, kind=kind)
        self._stage(opened, run)
        if end == "killed before its gate":
            return
        self._check(day, run, passes=end != "gate failed")
        if kind is not Kind.TRIAL and end in {"gate failed", "published"}:
            self._publish(day, run)

    def publish_an_old_run(self, day: date, which: int) -> None:
        """Somebody clears the publication of a run, whatever became of it."""
        known = self.days[day]
        if which < len(known.runs) and known.runs[which].kind is not Kind.TRIAL:
            self._publish(day, known.runs[which])

    def check_an_old_run(self, day: date, which: int, passes: bool) -> None:
        """Somebody clears the gate of a run."""
        known = self.days[day]
        if which < len(known.runs):
            self._check(day, known.runs[which], passes=passes)

    def _stage(self, opened: runs.Run, run: PastRun) -> None:
        for table in (table for tables in publish.TABLES.values() for table in tables):
            staging.begin(self.settings, table, (opened,))
            if table == "daily_metrics":
                with database.connect(self.settings, database.BATCH) as batch:
                    batch.execute(
                        "INSERT INTO batch.daily_metrics (run_id, business_date, order_count, revenue_cents,"
                        " cancelled_revenue_cents, amended_revenue_cents, net_revenue_cents, unique_customers, units)"
                        " VALUES (%s, %s, %s, %s, 0, 0, 0, 0, 0)",
                        (run.run_id, opened.business_date, run.order_count, run.revenue_cents),
                    )
            staging.finish(self.settings, table, (opened,))

    def _check(self, day: date, run: PastRun, *, passes: bool) -> None:
        run.passed = passes
        result = gate.Result("order_facts", FAILS, Level.FAIL, passes, "", ())
        gate.store(self.settings, run.run_id, day, [result], None)

    def _publish(self, day: date, run: PastRun) -> None:
        known = self.days[day]
        older = known.shown is not None and known.shown in known.begins_after(run)
        refused = not run.passed or older
        try:
            publish.publish(self.settings, run.run_id, day, published_by="test")
        except TandemError:
            assert refused, "a run that may be published is published"
            return
        assert not refused, "what no gate passed, or is older than what readers have, is not published"
        if known.shown is not run:
            known.shown, known.version = run, known.version + 1

    def read(self) -> dict[date, dict[str, Any]]:
        with database.connect(self.settings, database.READER, row_factory=dict_row) as reader:
            rows = reader.execute("SELECT * FROM serving.daily").fetchall()
        return {row["business_date"]: row for row in rows}


def judged(known: Day) -> PastRun | None:
    """The last begun run of those that came as far as a gate and were made to be published."""
    return next((run for run in reversed(known.runs) if run.passed is not None and run.kind is not Kind.TRIAL), None)


def assert_honest(row: dict[str, Any], known: Day) -> None:
    values = {kpi.name: row[kpi.name] for kpi in kpis.KPIS}
    last = judged(known)
    if known.shown is not None:
        assert (row["status"], row["layer"], row["version"]) == ("certified", "batch", known.version)
        assert row["complete"]
        assert (values["order_count"], values["revenue_cents"]) == (known.shown.order_count, known.shown.revenue_cents)
        fails_since = last is not None and last.passed is False
        fails_since = fails_since and (last is known.shown or last in known.begins_after(known.shown))
        assert row["reason"] == (f"a later run failed its gates: {FAILS}" if fails_since else "")
        assert row["as_of"] is not None
        return
    assert not row["complete"]
    assert row["version"] is None
    assert row["reason"]
    if last is not None and last.passed is False:
        assert (row["status"], row["layer"]) == ("failed", None)
        assert row["reason"] == f"the gates failed: {FAILS}"
        assert set(values.values()) == {None}
        assert row["as_of"] is not None
    elif known.streamed or known.corrections:
        assert (row["status"], row["layer"]) == ("overdue", "speed")
        assert values["order_count"] == len(known.streamed)
        assert values["revenue_cents"] == sum(known.streamed) + known.corrected_cents
        assert values["unique_customers"] == len(known.streamed)
    else:
        assert (row["status"], row["layer"], row["as_of"]) == ("missing", None, None)
        assert set(values.values()) == {None}


def empty(settings: Settings) -> None:
    with local_postgres.connect_admin(settings, settings.postgres_database) as admin:
        admin.execute(
            "TRUNCATE speed.order_minutes, speed.customer_days, speed.adjustments, speed.partitions, batch.runs,"
            " batch.versions, batch.staged, batch.gate_results, batch.daily_metrics CASCADE"
        )


# A run that was killed before it was published, one that began later and failed, and then the first is published.
OLDER_IS_PUBLISHED = [
    ("run", DATES[0], Kind.SCHEDULED, "killed before it is published"),
    ("run", DATES[0], Kind.LATE_DATA, "gate failed"),
    ("publish an old run", DATES[0], 0),
]


@hypothesis_settings(max_examples=25, deadline=None)
@given(history=HISTORIES)
@example(history=OLDER_IS_PUBLISHED)
def test_every_date_is_shown_for_what_it_is_after_any_history(
    history: list[Any], clean_module_database: Settings
) -> None:
    empty(clean_module_database)
    world = World(clean_module_database)
    for what, *arguments in history:
        act: Callable[..., None] = getattr(world, what.replace(" ", "_"))
        act(*arguments)
        shown = world.read()
        touched = [day for day, known in world.days.items() if known.streamed or known.corrections or known.runs]
        for day, known in world.days.items():
            if day in shown:
                assert_honest(shown[day], known)
            else:
                assert not touched or not min(touched) <= day <= max(touched), "a hole is a row, and never left out"


def test_since_the_installation_no_ended_date_is_silently_absent(clean_module_database: Settings) -> None:
    own = clean_module_database
    empty(own)
    with local_postgres.connect_admin(own, own.postgres_database) as admin:
        admin.execute("UPDATE public.installation SET installed_at = now() - interval '3 days'")
        try:
            rows = World(own).read()
        finally:
            admin.execute("UPDATE public.installation SET installed_at = now()")
    assert sorted(rows) == [TODAY - timedelta(days=back) for back in (3, 2, 1)]
    assert {row["status"] for row in rows.values()} == {"missing"}
    assert {row["reason"] for row in rows.values()} == {"neither layer has this date"}
