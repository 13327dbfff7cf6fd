"""Sessions, totals, moving averages and high-value customers: the same whatever the order, the cuts, the restarts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import customer_books as books
import customer_views as views
import desk_rig
import orders
import pytest
import speed_rig as rig
from desk_rig import Desk
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from installations import keeping_books_under

from stream import held
from stream.types import Records, Rules
from tandem.settings import Settings
from tandem.topics import HIGH_VALUE_CUSTOMERS

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


@pytest.fixture(scope="module")
def desks(postgres: Settings) -> Iterator[tuple[Desk, Desk]]:
    pair = Desk(postgres, "first", RULES), Desk(postgres, "second", RULES)
    yield pair
    for desk in pair:
        desk.close()


@settings(
    max_examples=25,
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
    desk_rig.forget_everything(postgres)
    desk.take_over(range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(held, "AT_MOST", at_most)
        while part := desk_rig.next_part(records, done, random):
            if random.random() < 0.3:
                desk = random.choice(desks)
                desk.take_over(range(2))
            desk.commit(part)
    wanted = books.kept(zip(records.partitions, records.values, strict=True), threshold=RULES.high_value_cents)
    views.assert_views_are_those_of(postgres, wanted)
    outbox = rig.query(
        postgres, "SELECT key, value FROM speed.outbox WHERE topic = %(topic)s", topic=HIGH_VALUE_CUSTOMERS
    )
    views.assert_announced(wanted, ((row["key"], row["value"]) for row in outbox))


def test_sessions_leave_once_the_watermark_is_so_far_past_them_and_no_earlier(
    postgres: Settings, desks: tuple[Desk, Desk]
) -> None:
    short = postgres.model_copy(update={"session_retention": timedelta(hours=3)})
    with keeping_books_under(short):
        kept_three_hours = Desk(short, "third", RULES)
    moments = [START + timedelta(minutes=minutes) for minutes in (0, 70, 130, 299, 300)]
    payloads = [orders.order(f"e{n}", moment, orders.line("p", 100)) for n, moment in enumerate(moments)]
    desk_rig.forget_everything(postgres)
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
    with pytest.raises(
        ValueError, match="TANDEM_MOVING_AVERAGE_RETENTION must be two hours more than TANDEM_ALLOWED_LATENESS"
    ):
        Settings(moving_average_retention=timedelta(hours=2))
