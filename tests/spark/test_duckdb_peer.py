"""The benchmark's DuckDB peer makes the same tables as the batch jobs: without that, their ratio would say nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from log import Log, archived_in, grocer_log, order
from pyspark.sql import SparkSession

from benchmarks.peers import duckdb_batch
from spark_jobs import batch, job, runs
from tandem.local import postgres
from tandem.settings import Settings

pytestmark = [pytest.mark.spark, pytest.mark.integration]

BEFORE, DAY = date(2017, 12, 22), date(2017, 12, 23)


def awkward(log: Log) -> None:
    """What real baskets have none of: copies, repetitions, cancellations, amendments, and what cannot count."""
    at = f"{DAY}T09:30:00Z"
    twice = [{"product_id": "milk", "category": "dairy", "quantity": n, "amount": f"{n}.00"} for n in (2, 3)]
    log.add(order(1, f"{BEFORE}T12:00:00Z"))
    log.add(order(2, at, total_amount="5.00", items=twice))
    log.add(order(2, at, total_amount="5.00", items=twice), 1)
    log.add(order(3, at, order_id="o1"), 2)
    log.add(order(4, at, event_type="order_cancelled", total_amount="5.00", items=twice))
    log.add(order(5, at, event_type="order_amended", previous_total_amount="12.00", items=[
        {"product_id": "salt", "quantity": -1, "unit_price": "2.00"},
    ]))  # fmt: skip
    log.add(order(6, at, total_amount="99.00"))
    log.add(order(7, at, currency="EUR"))
    log.add(order(8, at, event_type="order_admired"))
    log.add(b'{"event_id": "broken', dated=False)


@pytest.fixture(scope="module")
def both(
    spark: SparkSession, clean_module_database: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    folder = tmp_path_factory.mktemp("peer")
    own = archived_in(clean_module_database, folder)
    log = grocer_log(BEFORE, DAY)
    awkward(log)
    log.archive(own)
    run = runs.open_run(own, "2017-12-23.peer", DAY)
    batch.compute(job.Job("batch", spark, own, (run,)))
    duckdb_batch.make_tables(own)
    before = duckdb_batch.begin(folder, BEFORE).facts(duckdb_batch.records(own, BEFORE), [])
    peer = duckdb_batch.begin(folder, DAY)
    facts = [str(before), str(peer.facts(duckdb_batch.records(own, DAY), [str(before)]))]
    peer.daily_metrics(facts[1:])
    peer.rfm(facts)
    peer.product_rankings(facts)
    with postgres.connect_admin(own, own.postgres_database) as admin:
        for script in duckdb_batch.TABLES:
            peer.store(script, admin)
    yield own
    with postgres.connect_admin(own, own.postgres_database) as admin:  # others look at what schemas there are
        duckdb_batch.drop_tables(admin)


@pytest.mark.parametrize("table", [name for tables in duckdb_batch.TABLES.values() for name in tables])
def test_the_duckdb_peer_has_every_row_that_the_batch_jobs_have(both: Settings, table: str) -> None:
    assert duckdb_batch.differing(both, "2017-12-23.peer")[table] == 0
