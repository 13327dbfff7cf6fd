"""Sessions, totals, moving averages and high-value customers: the same whatever the order, the cuts, the restarts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import customer_books as books
import customer_views as views
import orders
import psycopg
import pytest
import speed_rig as rig
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from stream import held, memory, retention, session, sink, tables
from stream.process import process
from stream.types import Records, Rules
from tandem import database
from tandem.settings import Settings
from tandem.topics import HIGH_VALUE_CUSTOMERS, ORDER_EVENTS

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_module_database")]

START = datetime(2017, 12, 22, 20, tzinfo=UTC)
RULES = Rules(ZoneInfo("UTC"), "USD", timedelta(hours=1), timedelta(hours=24), high_value_cents=10_000)
PARTITION_OF = {"c1": 0, "c2": 1, "c3": 0}
WITHOUT_SHRINKING = [phase for phase in Phase if phase is not Phase.shrink]
"""Every attempt is dozens of transactions."""

IDS = st.uuids().map(str) | st.sampled_from("abc")
STEPS_MINUTES = st.sampled_from([0, 0, 1, 15, 29, 30, 30, 30, 31, 200])
BEHIND_MINUTES = st.sampled_from([0] * 12 + [1, 5, 15, 30, 30, 45, 60, 61])
MICROSECONDS = st.sampled_from([0] * 8 + [1, -1])
KINDS = ["order_created"] * 4 + ["any"]


@st.composite
def logs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Events that come about in the order of their time, some up to an hour late and a few later still."""
    now, log = START, []
    for _ in range(draw(st.integers(1, 40))):
        now += timedelta(minutes=draw(STEPS_MINUTES))
        moment = now - timedelta(minutes=draw(BEHIND_MINUTES)) + timedelta(microseconds=draw(MICROSECONDS))
        event = draw(orders.events_at(st.just(moment), IDS))
        if draw(st.sampled_from(KINDS)) == "order_created" and event["items"]:
            sold = {"event_type": "order_created", "total_amount": total_of(event["items"])}
            event = {name: event[name] for name in event if name != "previous_total_amount"} | sold
        log.append(event)
    return log


def total_of(lines: list[dict[str, Any]]) -> str:
    return orders.money(sum(round(float(line["amount"]) * 100) for line in lines))


class Desk:
    """A worker without Kafka: it takes partitions over, and commits what it is given."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings, self._name = settings, name
        self._connection = sink.connect(settings)
        self._reader = database.connect(settings, database.SPEED, autocommit=True, options="-c TimeZone=UTC")
        self._held: dict[int, session.HeldState] = {}

    def take_over(self, partitions: Iterator[int] | range) -> None:
        for partition in partitions:
            claim = sink.claim(self._connection, ORDER_EVENTS, partition, 0, self._name)
            kept = memory.restore(self._reader, ORDER_EVENTS, partition, claim.watermark, RULES)
            self._held[partition] = session.HeldState(claim.epoch, claim.next_offset, kept)

    def commit(self, records: Records) -> None:
        batch = process(records, {at: state.memory for at, state in self._held.items()}, RULES, self._reader)
        moves = []
        for segment in batch.segments:
            own = self._held[segment.partition]
            after = own.next_offset + segment.events
            at = (ORDER_EVENTS, segment.partition, own.epoch, own.next_offset, after)
            moves.append(sink.Move(*at, segment.watermark_after))
            own.next_offset = after
        rows = {tables.JOURNAL: session._journal_rows(moves, batch)}
        frames = {**batch.emitted.frames, tables.OUTBOX: batch.emitted.messages}
        expired = retention.expired(batch.segments, self._settings)
        sink.commit(self._connection, sink.Writes(moves, frames, rows, expired=expired))

    def close(self) -> None:
        self._connection.close()
        self._reader.close()


@pytest.fixture(scope="module")
def desks(postgres: Settings) -> Iterator[tuple[Desk, Desk]]:
    pair = Desk(postgres, "first"), Desk(postgres, "second")
    yield pair
    for desk in pair:
        desk.close()


def forget_everything(settings: Settings) -> None:
    with database.connect(settings, database.SPEED) as speed:
        for (table,) in speed.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'speed'").fetchall():
            speed.execute(psycopg.sql.SQL("DELETE FROM speed.{}").format(psycopg.sql.Identifier(table)))


@settings(
    max_examples=50,
    deadline=None,
    phases=WITHOUT_SHRINKING,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(payloads=logs(), seed=st.integers(0, 10_000), at_most=st.sampled_from([2, 4, 1 << 16]))
def test_the_views_are_those_kept_by_hand_whatever_the_cuts_restarts_and_moves(
    postgres: Settings, desks: tuple[Desk, Desk], payloads: list[dict[str, Any]], seed: int, at_most: int
) -> None:
    records = orders.records(
        [orders.encode(payload) for payload in payloads], [PARTITION_OF[payload["customer_id"]] for payload in payloads]
    )
    random, done, desk = Random(seed), {0: 0, 1: 0}, desks[0]
    forget_everything(postgres)
    desk.take_over(range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(held, "AT_MOST", at_most)
        while part := next_part(records, done, random):
            if random.random() < 0.3:
                desk = random.choice(desks)
                desk.take_over(range(2))
            desk.commit(part)
    wanted = books.kept(zip(records.partitions, records.values, strict=True), threshold=RULES.high_value_cents)
    views.assert_views_are_those_of(postgres, wanted)
    outbox = rig.query(postgres, "SELECT topic, key, value FROM speed.outbox")
    assert {row["topic"] for row in outbox} <= {HIGH_VALUE_CUSTOMERS}
    views.assert_announced(wanted, ((row["key"], row["value"]) for row in outbox))


def test_sessions_leave_once_the_watermark_is_so_far_past_them_and_no_earlier(
    postgres: Settings, desks: tuple[Desk, Desk]
) -> None:
    kept_three_hours = Desk(postgres.model_copy(update={"session_retention": timedelta(hours=3)}), "third")
    moments = [START + timedelta(minutes=minutes) for minutes in (0, 70, 130, 299, 300)]
    payloads = [orders.order(f"e{n}", moment, orders.line("p", 100)) for n, moment in enumerate(moments)]
    forget_everything(postgres)
    kept_three_hours.take_over(range(1))
    found = []
    for first, last in ((0, 3), (3, 4), (4, 5)):
        part = orders.records([orders.encode(payload) for payload in payloads[:last]])
        kept_three_hours.commit(
            Records(*(getattr(part, name)[first:last] for name in Records.__slots__)),
        )
        rows = rig.query(postgres, "SELECT session_end FROM serving.customer_sessions ORDER BY 1")
        found.append([(row["session_end"] - START) // timedelta(minutes=1) for row in rows])
    kept_three_hours.close()
    # At 00:59 the watermark is in the hour of midnight, so what ended before 21:00 has left; at 01:00, before 22:00.
    # The last two orders are one session.
    assert found == [[0, 70, 130], [70, 130, 299], [130, 300]]


def test_what_may_still_change_must_be_kept() -> None:
    with pytest.raises(ValueError, match="moving_average_retention must be two hours more than allowed_lateness"):
        Settings(moving_average_retention=timedelta(hours=2))


def next_part(records: Records, done: dict[int, int], random: Random) -> Records | None:
    """The next records of either partition, some of each."""
    upto = {partition: offset + random.randint(0, 9) for partition, offset in done.items()}
    rows = [
        row
        for row, (partition, offset) in enumerate(zip(records.partitions, records.offsets, strict=True))
        if done[partition] <= offset < upto[partition]
    ]
    left = any(offset >= done[partition] for partition, offset in zip(records.partitions, records.offsets, strict=True))
    if not rows:
        return next_part(records, done, random) if left else None
    for row in rows:
        done[records.partitions[row]] = records.offsets[row] + 1
    return Records(*([of[row] for row in rows] for of in (getattr(records, name) for name in Records.__slots__)))
