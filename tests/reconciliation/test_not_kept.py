"""What the stream did not keep of a date, or a batch run did not know, is no difference: the date is not comparable."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from reconciliation import breakdown, certificate, gather, reconcile
from reconciliation.compare import Verdict
from reconciliation.verify import verify
from tandem import database, kpis, serving
from tandem.errors import TandemError
from tandem.serving import Layer
from tandem.settings import Settings
from tests.reconciliation.books import DAY, execute
from tests.reconciliation.loop import AGREED, AT_ONCE, OUTSIDE, run, statuses
from tests.reconciliation.scene import stage

pytestmark = pytest.mark.integration


@pytest.fixture
def later(shop: Settings) -> Iterator[Settings]:
    """Units of all orders, and of products, were declared at noon of the date."""
    since(shop, f"{DAY + timedelta(days=1)}")
    yield shop
    since(shop, "-infinity")


def since(settings: Settings, first: str) -> None:
    execute(
        settings,
        "UPDATE speed.measures_since SET since = %s"
        " WHERE measure = 'units' AND table_name IN ('order_minutes', 'product_hours')",
        [first],
    )


def assert_not_compared(settings: Settings, reason: str, remedy: str) -> None:
    outcome = run(settings)
    assert (outcome.verdict, outcome.exit_status) == (Verdict.NOT_COMPARABLE, 2)
    assert (outcome.reason, outcome.remedy) == (reason, remedy)
    assert statuses(settings) == {}, "nothing is corrected"
    assert execute(settings, "SELECT count(*) FROM reconciliation.comparisons WHERE level = 'cell'") == [(0,)]
    with database.snapshot(settings) as connection:
        report = gather.report(connection, settings, DAY)
    assert report.figure("units").batch is not None
    assert {figure.counted for figure in report.figures} == {None}


AGAIN = f"run the date in Airflow, or: tandem batch --date {DAY}; then reconcile it"
REASON = "not kept by the stream then: units, declared later"
REMEDY = f"fill it: tandem stream rebuild --from {DAY} --swap; then {AGAIN}"


def test_a_date_whose_measure_the_stream_did_not_keep_is_not_compared(later: Settings) -> None:
    stage(later, OUTSIDE)
    for table, kept in (("order_hours", False), ("product_hours", False), ("category_hours", True)):
        are_kept = "units IS NOT NULL, revenue_cents IS NOT NULL"
        rows = execute(later, f"SELECT DISTINCT {are_kept} FROM reconciliation.cut_{table}")
        assert rows == [(kept, True)]
    assert_not_compared(later, REASON, REMEDY)


def test_a_cut_that_lacks_it_stays_not_comparable_whatever_was_filled_since(later: Settings) -> None:
    stage(later, OUTSIDE)
    since(later, "-infinity")
    assert_not_compared(later, REASON, REMEDY)


def test_a_date_that_is_kept_is_compared(later: Settings) -> None:
    since(later, f"{DAY}")
    stage(later, OUTSIDE)
    assert run(later).verdict is Verdict.MISMATCH


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (("UPDATE batch.category_hours SET amended_units = NULL",), "amended_units"),
        (("UPDATE batch.order_hours SET units = NULL", "UPDATE batch.daily_metrics SET units = NULL"), "units"),
        (("UPDATE batch.daily_metrics SET avg_order_value_cents = NULL",), "avg_order_value_cents"),
    ],
)
def test_a_run_that_did_not_know_it_is_not_compared(shop: Settings, changes: tuple[str, ...], named: str) -> None:
    stage(shop, OUTSIDE)
    for change in changes:
        execute(shop, change)
    outcome = run(shop)
    assert outcome.verdict is Verdict.NOT_COMPARABLE
    assert outcome.reason == f"the published run was computed without {named}, declared later"
    assert outcome.remedy == AGAIN
    if named in {kpi.name for kpi in kpis.KPIS}:
        told = serving.read(shop, DAY, Layer.SERVING)
        assert told.metrics[named] is None
        assert told.details["reason"] == f"the run was computed without {named}, which was declared later"
        assert serving.read(shop, DAY, Layer.BATCH).details["reason"] == told.details["reason"]


def test_a_metric_that_was_declared_after_the_comparison_is_not_told_to_agree(shop: Settings) -> None:
    stage(shop, AGREED)
    run(shop)
    execute(shop, "DELETE FROM reconciliation.comparisons WHERE metric = 'units'")
    with database.connect(shop, database.READER) as connection:
        assert breakdown.of_date(connection, shop, DAY, metric="revenue").cells == ()
        with pytest.raises(TandemError, match=f"'units' was declared after {DAY} was compared"):
            breakdown.of_date(connection, shop, DAY, metric="units")


def test_a_certificate_of_before_a_kpi_was_declared_still_holds(shop: Settings) -> None:
    stage(shop, AGREED)
    document = certificate.of(shop, reconcile.run(shop, DAY, apply_timeout=AT_ONCE).reconciliation_id)
    for figures in document["figures"].values():
        del figures["units"]
    document["sha256"] = certificate.signature(document)
    assert verify(shop, document).holds
