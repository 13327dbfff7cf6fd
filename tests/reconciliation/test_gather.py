"""What a report takes from the database where there is little to take."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from reconciliation import gather, reconcile, render
from reconciliation.agreement import Agreement, Subject
from reconciliation.compare import Status
from reconciliation.report import Certified, Report, State
from tandem import database
from tandem.settings import Settings
from tests.reconciliation.books import DAY, at, execute, insert
from tests.reconciliation.decisions import Record
from tests.reconciliation.scene import RUN, stage, write_run

pytestmark = pytest.mark.integration
ORDERS = [Record(n, order_id=f"o{n}") for n in range(3)]


def reported(shop: Settings) -> Report:
    reconcile.run(shop, DAY, apply_timeout=timedelta(0))
    with database.snapshot(shop) as connection:
        return gather.report(connection, shop, DAY)


def check(shop: Settings, run_id: str, expectation: str, minute: int, *, success: bool, rows: str = "[]") -> None:
    found = {"suite": "order_facts", "expectation": expectation, "level": "fail", "success": success}
    at = f"2017-12-24 02:{minute:02d}:00+00"
    insert(
        shop,
        "batch.gate_results",
        run_id=run_id,
        business_date=DAY,
        observed="2 rows",
        failing_rows=rows,
        checked_at=at,
        **found,
    )


def test_a_date_whose_run_failed_its_checks_names_them_and_the_first_rows(
    topic_prefix: Settings, clean_database: Settings
) -> None:
    shop = topic_prefix
    stage(shop, ORDERS, gates=False, publish=False)
    run = {"kind": "manual", "code_version": "test", "rule_version": "1"}
    insert(shop, "batch.runs", run_id="earlier", business_date=DAY, **run)
    check(shop, "earlier", "every order has a customer", 1, success=False)
    check(shop, RUN, "order ids are unique", 5, success=False, rows='[{"partition": 3, "offset": 1201}]')
    check(shop, RUN, "every order has a customer", 5, success=True)
    found = reported(shop)
    assert found.state is State.NOT_PUBLISHED
    assert [(gate.expectation, gate.observed) for gate in found.failed_gates] == [
        ("order ids are unique", "2 rows, first at partition:offset 3:1201")
    ]
    assert found.certificate is None
    assert found.gates_link.endswith(f"/gates/{RUN}"), "the checks that stopped the date are those that are linked"


def test_a_date_without_a_run_was_not_compared_rather_than_stopped_by_a_check(
    topic_prefix: Settings, clean_database: Settings
) -> None:
    stage(topic_prefix, ORDERS, gates=False, publish=False)
    found = reported(topic_prefix)
    assert (found.state, found.gates, found.gates_link) == (State.NOT_COMPARED, (), "")


def test_a_report_of_figures_that_were_published_anew_since_says_so(
    topic_prefix: Settings, clean_database: Settings
) -> None:
    """Beside figures that nobody has any more stands which version readers have: the two must not be taken for one."""
    shop = topic_prefix
    stage(shop, ORDERS)
    assert reported(shop).reason == ""
    write_run(shop, [*ORDERS, Record(3, order_id="more", cents=70_000)], "later")
    with database.snapshot(shop) as connection:
        found = gather.report(connection, shop, DAY)
    assert found.figure("revenue_cents").batch == 3_000
    assert found.serving.version == 2
    assert "version 2" in found.reason
    assert f"tandem reconcile --date {DAY}" in render.text(found)
    assert "Nothing has to be done" not in render.text(found)


def test_the_report_prints_the_newest_certificate(topic_prefix: Settings, clean_database: Settings) -> None:
    late = Record(20, speed="late", order_id="late", customer="bob", cents=700)
    stage(topic_prefix, [*ORDERS, late])
    printed = reported(topic_prefix).certificate
    ((found,),) = execute(topic_prefix, "SELECT certificate FROM reconciliation.certificates")
    after, since = found["after"], found["corrections"]["since"]
    assert printed == Certified(found["sha256"], after["speed_sha256"], after["batch_sha256"], len(since))
    assert since


def test_the_report_says_how_far_rankings_and_customers_agree(topic_prefix: Settings, clean_database: Settings) -> None:
    log = [Record(n, order_id=f"o{n}", customer=f"c{n}", cents=100 * n) for n in range(1, 4)]
    stage(topic_prefix, [*log, Record(20, speed="late", order_id="late", customer="bob", cents=700)])
    found = {(one.subject, one.measure, one.top): one for one in reported(topic_prefix).agreement}
    assert set(found) == {
        *((Subject.PRODUCTS, measure, top) for measure in ("revenue", "units", "orders") for top in (10, 100)),
        *((Subject.CUSTOMERS, measure, 0) for measure in ("revenue", "orders")),
    }
    customers = found[Subject.CUSTOMERS, "revenue", 0]
    assert (customers.compared, customers.alike, customers.status) == (4, 3, Status.MISMATCH)


def test_the_report_says_how_far_distinct_counts_agree_where_the_batch_layer_has_counted(
    topic_prefix: Settings, clean_database: Settings
) -> None:
    stage(topic_prefix, ORDERS)
    cells = {("dairy", at(9)): (40, 40), ("dairy", at(10)): (60, 57), ("bread", at(9)): (None, 1)}
    for (key, start), counts in cells.items():
        cell = {"run_id": RUN, "cell_start": start, "rollup": "category_minutes", "key": key, "counted": "customers"}
        for table, count in zip(("batch.hourly_distincts", "reconciliation.cut_hourly_distincts"), counts, strict=True):
            if count is not None:
                of_date = {"business_date": DAY} if table.startswith("batch") else {}
                insert(topic_prefix, table, **cell, **of_date, value=count)
    assert all(one.subject is not Subject.DISTINCTS for one in reported(topic_prefix).agreement)
    insert(topic_prefix, "batch.staged", run_id=RUN, table_name="hourly_distincts")
    (found,) = (one for one in reported(topic_prefix).agreement if one.subject is Subject.DISTINCTS)
    assert found == Agreement(
        Subject.DISTINCTS, "customers by category", 0, compared=3, alike=1, apart=0.04, status=Status.MISMATCH
    )


def test_a_report_is_of_one_instant_though_a_publication_comes_between_two_of_its_statements(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would name version 1 as what readers have, and say that version 2 was published since."""
    stage(shop, ORDERS)
    reconcile.run(shop, DAY, apply_timeout=timedelta(0))
    causes = gather._causes

    def published_meanwhile(*arguments: Any) -> Any:
        write_run(shop, [*ORDERS, Record(3, order_id="more", cents=70_000)], "later")
        return causes(*arguments)

    monkeypatch.setattr(gather, "_causes", published_meanwhile)
    with database.snapshot(shop) as connection:
        before = gather.report(connection, shop, DAY)
    assert (before.serving.version, before.reason) == (1, "")
    monkeypatch.setattr(gather, "_causes", causes)
    with database.snapshot(shop) as connection:
        after = gather.report(connection, shop, DAY)
    assert (after.serving.version, after.reason.startswith("version 2 of the batch figures was published")) == (2, True)


def test_a_report_is_not_read_without_a_snapshot(shop: Settings) -> None:
    with database.connect(shop, database.READER) as connection, pytest.raises(ValueError, match=r"database\.snapshot"):
        gather.report(connection, shop, DAY)


def test_a_snapshot_only_reads(shop: Settings) -> None:
    with (
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
        database.snapshot(shop, database.RECONCILIATION) as connection,
    ):
        connection.execute("DELETE FROM reconciliation.reports")
