"""Alerts as workers keep and tell them: each occurrence once, across micro-batches, restarts and take-overs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from random import Random
from zoneinfo import ZoneInfo

import desk_rig
import msgspec
import orders
import pattern_oracle as oracle
import pytest
import speed_rig as rig
from desk_rig import Desk
from pattern_oracle import Happened
from pattern_shop import LATENESS, PARTITIONS, shop

from stream import held
from stream.types import Rules
from tandem.messages import Alert
from tandem.patterns import PATTERNS
from tandem.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_module_database")]

RULES = Rules(ZoneInfo("UTC"), "USD", LATENESS, timedelta(hours=24))


@pytest.fixture(scope="module")
def desks(postgres: Settings) -> Iterator[tuple[Desk, Desk]]:
    pair = Desk(postgres, "first", RULES), Desk(postgres, "second", RULES)
    yield pair
    for desk in pair:
        desk.close()


def payload(event: Happened) -> bytes:
    lines = [orders.line("p", event.cents)] if event.cents else []
    total = event.cents or 0
    return orders.encode(
        orders.order(f"e{event.offset}", event.at, *lines, kind=event.kind, customer=event.customer, total=total)
    )


@pytest.mark.parametrize("seed", range(25))
def test_alerts_are_those_of_the_log_whatever_the_cuts_restarts_and_moves(
    postgres: Settings, desks: tuple[Desk, Desk], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = shop(seed)
    records = orders.records([payload(event) for event in log], [event.partition for event in log])
    random, done, desk = Random(seed), dict.fromkeys(range(PARTITIONS), 0), desks[0]
    monkeypatch.setattr(held, "AT_MOST", random.choice([2, 1 << 16]))
    desk_rig.forget_everything(postgres)
    desk.take_over(range(PARTITIONS))
    while part := desk_rig.next_part(records, done, random):
        if random.random() < 0.3:
            desk = random.choice(desks)
            desk.take_over(range(PARTITIONS))
        desk.commit(part)
    placed = {(event.partition, event.offset): at for event, at in zip(log, addresses(log), strict=True)}
    wanted = {(name, *placed[partition, offset]) for name, partition, offset in oracle.alerts(log)}
    kept = rig.query(postgres, 'SELECT alert_id, pattern, partition, "offset" FROM speed.alerts')
    assert {(row["pattern"], row["partition"], row["offset"]) for row in kept} == wanted
    assert len(kept) == len(wanted)
    assert_told(postgres, {row["alert_id"] for row in kept})


def addresses(log: list[Happened]) -> list[tuple[int, int]]:
    """Where each event stands in Kafka: the drawn numbers have gaps."""
    reached = dict.fromkeys(range(PARTITIONS), -1)
    found = []
    for event in log:
        reached[event.partition] += 1
        found.append((event.partition, reached[event.partition]))
    return found


def assert_told(settings: Settings, alert_ids: set[str]) -> None:
    topics = {pattern.name: pattern.topic for pattern in PATTERNS}
    told = rig.query(settings, "SELECT dedupe_id, topic, key, value FROM speed.outbox WHERE topic LIKE '%%-alerts'")
    assert {row["dedupe_id"] for row in told} == alert_ids
    for row in told:
        alert = msgspec.json.decode(row["value"], type=Alert)
        assert (alert.alert_id, topics[alert.pattern]) == (row["dedupe_id"], row["topic"])
        assert alert.customer_id.encode() == row["key"]
        assert json.loads(row["value"])["facts"]
