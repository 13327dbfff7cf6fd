"""Whatever happens between two layers, in whatever order: corrections end in the batch layer's books, nothing twice."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from installations import empty_database

from reconciliation import cut as cuts
from reconciliation import reconcile
from reconciliation.compare import Verdict
from tandem.settings import Settings
from tests.reconciliation.books import DAY, at, execute
from tests.reconciliation.crashes import STEPS, CrashError, crash_after
from tests.reconciliation.decisions import Record, cells
from tests.reconciliation.scene import Applier, write_run, write_stream

pytestmark = pytest.mark.integration

PRODUCTS = (("milk", "dairy"), ("bread", None), ("tea", "drinks"))
KINDS = ("agreed", "late", "repeated", "cancelled late")
sales = st.tuples(
    st.just("sell"), st.sampled_from(KINDS), st.integers(0, 23), st.integers(0, 4), st.sampled_from(PRODUCTS)
)
events_between = st.one_of(
    sales,
    st.just(("version",)),
    st.tuples(st.just("reconcile"), st.sampled_from((None, *STEPS))),
    st.tuples(st.just("apply"), st.integers(0, 2**16)),
)


class History:
    """One date's life: orders come, batch runs are published, somebody reconciles, the stream hears of corrections."""

    def __init__(self, own: Settings) -> None:
        empty_database(own)
        self._own = own
        self._applier = Applier(own)
        self._applier.read()
        self._versions = 0
        self._on_its_way: list[dict[str, Any]] = []
        self.records = [Record(n, order_id=f"o{n}", customer=f"c{n}", when=at(9, n), partition=n % 3) for n in range(3)]
        self.version()

    def sell(self, kind: str, hour: int, customer: int, product: tuple[str, str | None]) -> None:
        offset = len(self.records)
        cents = 1_000 + offset
        record = Record(
            offset,
            order_id=f"o{offset}",
            customer=f"c{customer}",
            cents=cents,
            lines=((*product, 1 + offset % 3, cents),),
            when=at(hour, offset % 60),
            partition=offset % 3,
        )
        if kind == "late":
            record = record.again(speed="late", watermark=at(hour, 0) + timedelta(hours=3))
        elif kind == "cancelled late":
            late = {"speed": "late", "watermark": at(hour, 0) + timedelta(hours=3)}
            record = record.again(event_type="order_cancelled", order_id=f"o{offset % 3}", **late)
        elif kind == "repeated":
            first = self.records[offset % 3]
            record = first.again(offset=offset, partition=offset % 3, batch="duplicate", when=at(hour, offset % 60))
        self.records.append(record)

    def version(self) -> None:
        """The stream reads on, and a batch run over the same records is published."""
        self._versions += 1
        run_id = f"{DAY}.20171224T02{self._versions:04}Z.test00"
        tables = "SELECT 'speed.' || tablename FROM pg_tables WHERE schemaname = 'speed'"
        stay = {"speed.adjustments", "speed.measures_since"}
        counted = [name for (name,) in execute(self._own, tables) if name not in stay]
        execute(self._own, f"TRUNCATE {', '.join(counted)}")
        write_stream(self._own, self.records)
        for partition, end in cuts.end_offsets(self._own).items():  # of lives before this one, which say nothing of it
            read = "UPDATE speed.partitions SET next_offset = %s WHERE partition = %s AND topic = 'order-events'"
            execute(self._own, read, (end, partition))
        cuts.take(self._own, DAY, run_id, timeout=timedelta(0))
        write_run(self._own, self.records, run_id)

    def reconcile(self, dies_after: str | None = None) -> reconcile.Outcome | None:
        with pytest.MonkeyPatch.context() as patch, suppress(CrashError):
            if dies_after:
                crash_after(dies_after, patch)
            return reconcile.run(self._own, DAY, apply_timeout=timedelta(0))
        return None

    def apply(self, luck: int) -> None:
        """Some of the messages arrive, some twice, in any order; the rest and some of these are still to come."""
        self._on_its_way += self._applier.read()
        drawn = random.Random(luck)
        arrived = [message for message in self._on_its_way if drawn.random() < 0.5]
        repeated = drawn.choices(arrived, k=len(arrived) // 2)
        both = arrived + repeated
        drawn.shuffle(both)
        self._applier.apply(both)
        self._on_its_way = [one for one in self._on_its_way if one not in arrived] + repeated

    def apply_all(self) -> None:
        self._applier.apply(self._on_its_way + self._applier.read())

    def adjusted(self) -> dict[tuple[Any, ...], int]:
        sums = "SELECT cube, cell_start, key, measure, sum(delta) FROM speed.adjustments GROUP BY 1, 2, 3, 4"
        return {tuple(cell): int(delta) for *cell, delta in execute(self._own, sums) if delta}


def difference(records: Sequence[Record]) -> dict[tuple[Any, ...], int]:
    """batch - speed of every cell in which they differ, by the plain loops of ``cells``."""
    place = ["cube", "cell_start", "key", "measure"]
    both = pl.concat([cells(records, "batch"), cells(records, "speed").with_columns(-pl.col("value"))], how="vertical")
    sums = both.group_by(place).agg(pl.col("value").sum()).filter(pl.col("value") != 0)
    return {tuple(row[:4]): row[4] for row in sums.iter_rows()}


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(life=st.lists(events_between, max_size=10))
def test_corrections_converge_on_the_batch_layers_books_whatever_happens_in_between(
    topic_prefix: Settings, clean_database: Settings, life: list[tuple[Any, ...]]
) -> None:
    history = History(topic_prefix)
    for happening, *how in life:
        getattr(history, happening)(*how)
    # Far outside the tolerance, so that the date is corrected whatever came before.
    history.records.append(Record(900, speed="late", order_id="big", cents=99_999, watermark=at(23)))
    history.version()
    for _ in range(3):
        history.reconcile()
        history.apply_all()
    final = history.reconcile()
    assert final is not None
    assert (final.verdict, final.cells_differing) == (Verdict.MATCH, 0)
    assert history.adjusted() == difference(history.records)
