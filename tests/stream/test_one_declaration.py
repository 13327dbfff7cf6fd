"""A KPI is one declaration: a copy of the project with one file changed keeps, shows and rebuilds the new one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import declared
import orders
import pytest
import speed_rig as rig
from declared import own_database

from tandem.settings import Settings

pytestmark = pytest.mark.integration

__all__ = ["own_database"]  # a fixture

START = datetime(2017, 12, 21, 8, tzinfo=UTC)
STATUS = 'STATUS_MINUTES = Cube("status_minutes", "events", "status", "status_minutes", "minute")\nROLLUPS'


def count_again(folder: Path, own: Settings) -> None:
    """Migrate with the changed copy, run its worker, and rebuild what it kept."""
    declared.migrate(folder, own)
    declared.work(folder, own)
    again = declared.run(folder, own, "-m", "tandem", "stream", "rebuild", "--from", "2017-12-21", "--json")
    assert json.loads(again)["equal"] is True


def sales(count: int) -> list[tuple[int, int, str]]:
    """Cents of the lines, discount, status."""
    return [(500 + number, number % 4, ("open", "paid")[number % 2]) for number in range(count)]


def sell(own: Settings) -> None:
    records = []
    for number, (cents, discount, status) in enumerate(sales(40)):
        moment, lines = START + timedelta(minutes=number), [orders.line("p", cents)]
        payload = orders.order(f"e{number}", moment, *lines, total=cents - discount, status=status)
        records.append(rig.Outgoing(orders.encode(payload), None, number % 3))
    rig.produce(own, records)


def test_a_new_kpi_needs_its_declaration_and_nothing_else(own_database: Settings, tmp_path: Path) -> None:
    rig.run_to_end(own_database)  # the tables are in use before the KPI exists
    sell(own_database)
    changes = [(declared.END_OF_ORDERS, declared.DISCOUNT), (declared.KPIS, declared.KPI)]
    copy = declared.changed_copy(tmp_path, "tandem/kpis.py", *changes)
    count_again(copy, own_database)
    given = sum(discount for _, discount, _ in sales(40))
    asked = ("-m", "tandem", "kpi", "--date", "2017-12-21", "--layer", "speed", "--json")
    shown = declared.run(copy, own_database, *asked)
    assert json.loads(shown)["metrics"]["discount_cents"] == given
    for place in ("speed.order_minutes", "serving.speed_daily", "serving.daily_order_aggregates"):
        assert rig.query(own_database, f"SELECT sum(discount_cents)::bigint AS n FROM {place}") == [{"n": given}]


def test_a_new_roll_up_needs_its_declaration_and_nothing_else(own_database: Settings, tmp_path: Path) -> None:
    sell(own_database)
    copy = declared.changed_copy(
        tmp_path,
        "tandem/rollups.py",
        ("ROLLUPS: tuple[Cube, ...] = (", STATUS + ": tuple[Cube, ...] = (STATUS_MINUTES, "),
        ('    "region": "regions",\n', '    "region": "regions",\n    "status": "statuses",\n'),
    )
    count_again(copy, own_database)
    found = rig.query(own_database, "SELECT * FROM serving.top_statuses('-infinity', 'infinity')")
    wanted = {status: sum(c - d for c, d, s in sales(40) if s == status) for status in ("open", "paid")}
    assert {row["status"]: row["revenue_cents"] for row in found} == wanted
    assert {(row["customers"], row["products"]) for row in found} == {(1, 1)}
