"""What the labels promise of the speed layer is what the real one decides, record by record."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from threading import Event

import pytest
from reader import Seen, visible

from stream.worker import Worker
from tandem import database, journal
from tandem.settings import PROJECT_ROOT, Settings
from tandem.sources.completejourney import completejourney
from tandem.sources.faults import load_faults
from tandem.sources.payloads import OutgoingEvent
from tandem.sources.planning import ReplayPlan, plan_replay
from tandem.sources.producer import ReplayProducer, produce
from tandem.topics import ORDER_EVENTS

DAYS = (date(2017, 12, 21), date(2017, 12, 23))


def in_the_log(plan: ReplayPlan, seen: list[Seen]) -> list[tuple[OutgoingEvent, Seen]]:
    """Each planned record with the one that was read: those of a key lie in the order of the plan."""
    of_key: dict[bytes | None, list[Seen]] = defaultdict(list)
    for record in seen:
        of_key[record.key].append(record)
    found = [(record, of_key[record.key].pop(0)) for record in plan if record.key]
    without_key = {record.value: record for record in plan if not record.key}
    return found + [(without_key[record.value], record) for record in of_key[None]]


@pytest.mark.integration
@pytest.mark.usefixtures("clean_database")
def test_the_speed_layer_decides_on_every_planted_fault_as_its_label_says(topic_prefix: Settings) -> None:
    faults = load_faults(PROJECT_ROOT / "examples" / "faults-demo.toml")
    plan = plan_replay(completejourney(*DAYS, topic_prefix), topic_prefix, faults)
    produce(plan, ReplayProducer(topic_prefix, "completejourney"))
    Worker(topic_prefix, Event()).run(until_caught_up=True)
    with database.connect(topic_prefix, database.READER) as connection:
        rows = journal.read(connection, ORDER_EVENTS).iter_rows(named=True)
        decided = {(row["partition"], row["offset"]): row for row in rows}
    labels = {id(fault.record): fault.label for faults in plan.planted.values() for fault in faults}
    pairs = in_the_log(plan, visible(topic_prefix))
    assert len(pairs) == plan.size == len(decided)
    for record, seen in pairs:
        row, label = decided[seen.partition, seen.offset], labels.get(id(record))
        assert record.value == seen.value
        if label is None:
            assert row["decision"] == ("counted" if record.cents > 0 else "quarantined")
            continue
        assert (row["decision"], row["reasons"]) == (label.speed, label.check or ""), label
        if label.partition is not None:
            assert seen.partition == label.partition
