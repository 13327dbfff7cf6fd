"""A date that is sifted, most of it only added up, has the differences and causes of one that is kept by event."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta

import pytest

from reconciliation import cut as cuts
from reconciliation import sides, sift
from reconciliation.books import Books
from reconciliation.discrepancies import discrepancies
from reconciliation.evidence import Evidence
from reconciliation.explain import Cause, explain
from reconciliation.ledger import ledger
from tandem import database
from tandem.settings import Settings
from tests.reconciliation.books import DAY, START, at, execute, insert
from tests.reconciliation.decisions import Record, cells, evidence
from tests.reconciliation.scene import RUN, write_run, write_stream

pytestmark = pytest.mark.integration

SPEED = ("counted", "counted", "counted", "counted", "late", "duplicate", "quarantined", "ignored", "")
BATCH = ("counted", "counted", "counted", "counted", "duplicate", "quarantined", "ignored", "")
TYPES = ("order_created", "order_created", "order_cancelled", "order_amended", "payment_failed", "unheard_of")


def record(chance: random.Random, offset: int) -> Record:
    kind = chance.choice(TYPES)
    alike = chance.random() < 0.5
    decision = chance.choice(SPEED[:-1])
    if kind not in {"order_created", "order_cancelled", "order_amended"}:
        alike, decision = True, "ignored"
    return Record(
        offset,
        speed=decision if alike else chance.choice(SPEED),
        batch=decision if alike and decision != "late" else chance.choice(BATCH),
        order_id=f"o{chance.randrange(70)}",
        event_type=kind,
        customer=f"c{chance.randrange(80)}",
        cents=chance.randrange(1, 5_000),
        previous_cents=chance.randrange(1, 5_000) if kind == "order_amended" else None,
        lines=tuple(
            (f"p{chance.randrange(6)}", chance.choice(["dairy", "tea", None]), chance.randrange(1, 4), 100)
            for _ in range(chance.randrange(4))
        ),
        when=at(chance.randrange(24)),
        batch_when=None if alike else at(chance.randrange(-2, 26)),
        batch_cents=None if alike else chance.choice([None, 77]),
        watermark=at(12),
        partition=offset % 3,
    )


def dates(record: Record) -> set[date]:
    """On which each layer has it."""
    batch = record.batch_when or record.when
    return {when.date() for layer, when in ((record.speed, record.when), (record.batch, batch)) if layer}


def cut_and_sifted(shop: Settings, log: Sequence[Record]) -> Evidence:
    """Cut what the stream has now, publish the batch layer's run over the log, and sift both."""
    cuts.take(shop, DAY, RUN, timeout=timedelta(0))
    write_run(shop, log)
    with database.connect(shop, database.RECONCILIATION) as connection:
        run, taken = sides.published_run(connection, DAY), cuts.read(connection, RUN)
        assert run is not None
        assert taken is not None
        return sift.read(connection, shop, taken, run)


@pytest.mark.parametrize(("seed", "forgotten"), [(0, 0), (1, 30)])
def test_what_is_sifted_has_the_causes_of_what_is_kept_by_event(
    seed: int, forgotten: int, topic_prefix: Settings, clean_database: Settings
) -> None:
    shop, chance = topic_prefix, random.Random(seed)
    log = [record(chance, offset) for offset in range(200)]
    log = [each for each in log if each.speed or each.batch]
    # What the journal held before has left by retention; the stream's sums still have it.
    held = [r if r.offset >= forgotten else r.again(speed="") for r in log]
    write_stream(shop, held)
    execute(shop, "UPDATE speed.journal SET first_offset = %s", [forgotten])
    sifted = cut_and_sifted(shop, log)
    ours = [r for r in held if DAY in dates(r)]
    whole = evidence(ours, begins=sifted.begins)
    assert sifted.journal.height < whole.journal.height
    both = [explain(each, DAY, "UTC") for each in (sifted, whole)]
    assert discrepancies(both[0]).rows() == discrepancies(both[1]).rows()
    batch, counted = (Books.of(cells(log, layer)) for layer in ("batch", "speed"))
    lines = ledger(both[0], batch, counted, START, sifted.alike)
    assert lines.rows() == ledger(both[1], batch, counted, START).rows()


def test_a_partition_whose_journal_is_gone_altogether_makes_no_difference(
    topic_prefix: Settings, clean_database: Settings
) -> None:
    shop = topic_prefix
    log = [Record(n, order_id=f"o{n}", customer=f"c{n}", when=at(n), partition=n % 2) for n in range(12)]
    write_stream(shop, log)
    execute(shop, "DELETE FROM speed.journal WHERE partition = 1")
    sifted = cut_and_sifted(shop, log)
    explained = explain(sifted, DAY, "UTC")
    assert discrepancies(explained).is_empty()
    batch, counted = (Books.of(cells(log, layer)) for layer in ("batch", "speed"))
    assert ledger(explained, batch, counted, START, sifted.alike).is_empty()


def test_only_an_id_that_a_review_gave_is_taken_for_a_release(topic_prefix: Settings, clean_database: Settings) -> None:
    shop = topic_prefix
    ids = ["release:order-events:0:7", "release:order-events:0:8", "release:2026-11"]
    log = [Record(n, order_id=f"o{n}", event_id=name, speed="late") for n, name in enumerate(ids)]
    write_stream(shop, log)
    review = {"decided_by": "ann", "reasons": ["NO_CUSTOMER"], "topic": "order-events", "partition": 0}
    insert(shop, "speed.reviews", **review, offset=7, decision="approved", value=b"{}", released_value=b"{}")
    insert(shop, "speed.reviews", **review, offset=8, decision="rejected")
    sifted = cut_and_sifted(shop, log)
    assert sifted.released == {"release:order-events:0:7"}
    causes = discrepancies(explain(sifted, DAY, "UTC"))["cause"].to_list()
    assert causes == [Cause.RELEASED, Cause.LATE, Cause.LATE]
