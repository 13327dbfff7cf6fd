"""Orders on which the layers differ, one turn of the loop over them, and what it left."""

from __future__ import annotations

from datetime import timedelta

from reconciliation import corrections, reconcile
from reconciliation.reconcile import Outcome
from tandem import database
from tandem.settings import Settings
from tests.reconciliation.books import DAY, at, execute
from tests.reconciliation.decisions import Record

AT_ONCE = timedelta(0)

AGREED = [
    Record(n, order_id=f"o{n}", customer=f"c{n}", cents=1_000, when=at(8 + n), partition=n % 2) for n in range(10)
]
LATE = Record(20, speed="late", order_id="late", customer="bob", cents=700, when=at(9, 30), watermark=at(12))
REPEATED = Record(21, batch="duplicate", order_id="o3", customer="c3", cents=1_000, when=at(11, 40))
OUTSIDE = [*AGREED, LATE, LATE.again(offset=22, order_id="later", cents=900, when=at(10, 5)), REPEATED]
INSIDE = [AGREED[0].again(batch_cents=1_050), *AGREED[1:]]
LOST = [*OUTSIDE, Record(30, batch="", order_id="lost", customer="c1", cents=5_000)]


def run(settings: Settings, **options: bool) -> Outcome:
    return reconcile.run(settings, DAY, apply_timeout=AT_ONCE, **options)


def adjusted(settings: Settings) -> dict[tuple, int]:
    rows = execute(
        settings, "SELECT cube, cell_start, key, measure, sum(delta) FROM speed.adjustments GROUP BY 1, 2, 3, 4"
    )
    return {tuple(cell): int(delta) for *cell, delta in rows}


def statuses(settings: Settings) -> dict[str, int]:
    return dict(execute(settings, "SELECT status, count(*) FROM reconciliation.corrections GROUP BY 1"))


def all_corrections(settings: Settings) -> list[corrections.Correction]:
    with database.connect(settings, database.RECONCILIATION) as connection:
        return corrections.find(connection)
