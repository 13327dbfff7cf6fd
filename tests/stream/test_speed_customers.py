"""Workers on real Kafka and Postgres, killed and taken over from: customers, sessions and announcements stay exact."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from subprocess import Popen

import customer_books as books
import customer_views as views
import orders
import pytest
import speed_rig as rig

from tandem.settings import Settings
from tandem.topics import HIGH_VALUE_CUSTOMERS

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

START = datetime(2017, 12, 22, 7, tzinfo=UTC)
KINDS = ("order_created",) * 8 + ("order_cancelled", "payment_failed")
KILLS = 4


def day_of_orders(count: int) -> Iterator[rig.Outgoing]:
    """Twelve hours of three hundred customers; one event in five is up to an hour late, and some come twice."""
    random = Random(7)
    sent: list[rig.Outgoing] = []
    for number in range(count):
        late = random.choice((0, 0, 0, 0, random.randrange(3_600)))
        moment = START + timedelta(seconds=number * 43_200 // count - late)
        customer = f"c{random.randrange(300)}"
        lines = [
            orders.line(f"p{random.randrange(60)}", random.randint(1, 9_000), category=f"k{random.randrange(6)}")
            for _ in range(random.randint(1, 4))
        ]
        payload = orders.order(f"e{number}", moment, *lines, kind=random.choice(KINDS), customer=customer)
        sent.append(rig.Outgoing(orders.encode(payload), customer.encode()))
        yield sent[-1]
        if number % 20 == 0:
            yield random.choice(sent[-200:])


def reached(settings: Settings) -> int:
    return sum(rig.positions(settings).values())


def test_views_and_announcements_are_exact_after_kills_and_take_overs(topic_prefix: Settings) -> None:
    own = topic_prefix.model_copy(update={"micro_batch_max_events": 150})
    count = rig.produce(own, day_of_orders(9_000))
    workers: list[Popen[str]] = []
    try:
        for kill in range(KILLS):
            workers = [rig.start_worker(own), rig.start_worker(own)]
            goal = count * (kill + 1) // (KILLS + 1)
            rig.wait_for(lambda goal=goal: reached(own) > goal, f"{goal} records to be read")
            for worker in workers:
                worker.kill()
                worker.communicate()
    finally:
        for worker in workers:
            worker.kill()
    rig.run_to_end(own)
    log = rig.visible(own)
    wanted = books.kept(((record.partition, record.value) for record in log), threshold=own.high_value_cents)
    assert len(wanted.crossed) > 100
    assert len(wanted.sessions()) > 1_000
    views.assert_views_are_those_of(own, wanted)
    messages = {record.headers["message_id"]: record for record in rig.visible(own, HIGH_VALUE_CUSTOMERS)}
    views.assert_announced(wanted, ((record.key or b"", record.value or b"") for record in messages.values()))
