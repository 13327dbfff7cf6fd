"""What makes a date due again: a gate that failed, and an order that came late for a date before.

Without Spark: the tables are written as it writes them, and gate, publication, mail and the list of due dates are real.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import gates
import polars as pl
import pytest
from aiosmtpd.controller import Controller
from deltalake import DeltaTable
from installations import free_ports
from log import Log, archived_in, order

from reconciliation import mail
from spark_jobs import gate, publish, restate, runs, staging
from spark_jobs.facts import COLUMNS
from spark_jobs.runs import Kind, Run, Why
from tandem.errors import TandemError
from tandem.settings import Settings

pytestmark = pytest.mark.integration

FIRST = date(2017, 6, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(12)]
LAST = DAYS[-1]
KINDS = {
    "run_id": pl.String, "partition": pl.Int32, "offset": pl.Int64, "kafka_time": pl.Datetime("us", "UTC"),
    "event_id": pl.String, "event_type": pl.String, "event_time": pl.Datetime("us", "UTC"), "order_id": pl.String,
    "customer_id": pl.String, "total_cents": pl.Int64, "previous_total_cents": pl.Int64, "units": pl.Int64,
    "items": pl.String, "decision": pl.String, "reasons": pl.String, "payment_method": pl.String,
    "region": pl.String, "business_date": pl.Date,
}  # fmt: skip


class Books:
    """An archive and the facts of its records, written for one date at a time, and their publication."""

    def __init__(self, own: Settings) -> None:
        self.own, self.log = own, Log(partitions=1)
        self.facts: dict[date, list[dict[str, Any]]] = {}

    def sell(self, day: date, order_id: str, decision: str = "counted", event_id: str | None = None) -> None:
        at = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=12)
        number = len(self.log.records)
        event = order(number, at, order_id=order_id, event_id=event_id or f"e{number}")
        record = self.log.add(event)
        fact = {
            **{name: event.get(name) for name in ("event_id", "event_type", "order_id", "customer_id")},
            "partition": record["partition"],
            "offset": record["offset"],
            "kafka_time": record["kafka_time"],
            "event_time": at,
            "total_cents": 1000,
            "units": 2,
            "decision": decision,
            "reasons": "",
            "business_date": day,
        }
        self.facts.setdefault(day, []).append(fact)

    def compute(self, day: date) -> Run:
        """A run that has written the facts of its date."""
        self.log.archive(self.own)
        run = runs.open_run(self.own, runs.new_run_id(day, datetime.now(UTC)), day, kind="scheduled")
        rows = pl.DataFrame(
            [{**dict.fromkeys(COLUMNS), **fact, "run_id": run.run_id} for fact in self.facts[day]], schema=KINDS
        )
        exists = Path(self.own.order_facts).exists()
        options: dict[str, Any] = (
            {"predicate": f"business_date = '{day}'"} if exists else {"partition_by": ["business_date"]}
        )
        rows.write_delta(self.own.order_facts, mode="overwrite", delta_write_options=options)
        version = DeltaTable(self.own.order_facts).version()
        held = restate.archive.look(self.own)
        counted = restate.archive.count_below(self.own, held.version, {day: self.log.ends})[day]
        runs.record_facts(
            self.own,
            run.run_id,
            archive_version=held.version,
            facts_version=version,
            cut=self.log.ends,
            archived=counted,
        )
        for table in (table for tables in publish.TABLES.values() for table in tables):
            staging.begin(self.own, table, (run,))
            staging.finish(self.own, table, (run,))
        return run

    def publish(self, day: date) -> None:
        run = self.compute(day)
        gates.passes(self.own, run.run_id)
        publish.publish(self.own, run.run_id, day, published_by="test")


@pytest.fixture
def books(clean_database: Settings, tmp_path: Path) -> Books:
    return Books(archived_in(clean_database, tmp_path))


def test_an_order_that_came_late_makes_the_dates_due_that_count_it_once_more(books: Books) -> None:
    """Seven dates back count, eight do not; and only where the date counts it."""
    for n, day in enumerate(DAYS):
        books.sell(day, f"own-{n}")
    for n in (2, 8, 9):
        books.sell(DAYS[n], f"again-{n}", event_id=f"again-{n}")
    books.sell(DAYS[5], "again-2", event_id="once-more", decision="duplicate")
    for day in DAYS:
        books.publish(day)
    assert restate.due(books.own, LAST) == {}

    for n in (2, 8, 9):
        books.sell(DAYS[1], f"again-{n}")
    books.log.archive(books.own)
    assert list(restate.due(books.own, LAST)) == [DAYS[1]], "nothing is known of the order before its date is done"
    books.publish(DAYS[1])
    why = Why(Kind.LATE_DATA, "1 order that it counts came late for 2017-06-02")
    assert restate.due(books.own, LAST) == {DAYS[2]: why, DAYS[8]: why}
    assert restate.due(books.own, DAYS[7]) == {DAYS[2]: why}

    for n in (2, 8):
        books.facts[DAYS[n]][-1]["decision"] = "duplicate"  # as the job decides on the newest facts
        books.publish(DAYS[n])
    assert restate.due(books.own, LAST) == {}


def test_the_gate_of_a_published_run_stays_passed_when_the_archive_has_let_go_of_its_records(books: Books) -> None:
    books.sell(DAYS[0], "fine")
    run = books.compute(DAYS[0])
    found = gate.check(books.own, run.run_id, DAYS[0])
    publish.publish(books.own, run.run_id, DAYS[0], published_by="test")
    DeltaTable(books.own.archive).delete("business_date = '2017-06-01'")
    again = gate.check(books.own, run.run_id, DAYS[0])  # as when its task is cleared
    assert {r.expectation: r for r in again} == {r.expectation: r for r in found}


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[str] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.mails.append(envelope.content.decode())
        return "250 OK"


def test_a_date_whose_gate_failed_is_mailed_not_published_and_due_until_its_cause_is_gone(books: Books) -> None:
    (port,) = free_ports(1)
    box = Mailbox()
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    own = books.own.model_copy(update={"smtp_port": port})
    try:
        books.sell(DAYS[0], "fine")
        books.publish(DAYS[0])
        books.sell(DAYS[1], "twice")
        books.sell(DAYS[1], "twice", event_id="again")  # a decision that no rule of ours makes
        run = books.compute(DAYS[1])
        with pytest.raises(gate.GateFailed, match="no order is created twice") as failed:
            gate.check(own, run.run_id, DAYS[1])
        with pytest.raises(TandemError, match="nothing is published for 2017-06-02"):
            publish.publish(own, run.run_id, DAYS[1], published_by="test")
        mail.send_failure(
            own, dag_id="nightly", task_id="gate", business_date=str(DAYS[1]), error=str(failed.value), link=""
        )
        (told,) = box.mails
        assert "2017-06-02" in told
        assert "no order is created twice" in told.replace("=\n", "").replace("\n", " ")
        assert runs.published(own, "daily_metrics", DAYS[1]) is None
        assert {day: why.kind for day, why in restate.due(own, DAYS[1]).items()} == {DAYS[1]: Kind.MISSED}

        books.facts[DAYS[1]][-1]["decision"] = "duplicate"
        again = books.compute(DAYS[1])
        gate.check(own, again.run_id, DAYS[1])
        assert set(publish.publish(own, again.run_id, DAYS[1], published_by="test").values()) == {1}
        assert restate.due(own, DAYS[1]) == {}
    finally:
        server.stop()
