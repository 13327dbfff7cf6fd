"""A KPI is one declaration: a copy of the project with one file changed keeps, shows and rebuilds the new one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orders
import pytest
import speed_rig as rig

from tandem import database
from tandem.local import postgres as local_postgres
from tandem.local import process
from tandem.settings import PROJECT_ROOT, Settings

pytestmark = pytest.mark.integration

START = datetime(2017, 12, 21, 8, tzinfo=UTC)
PACKAGES = ("tandem", "stream", "spark_jobs", "reconciliation", "sql")
DISCOUNT = """
        Measure(
            "discount_cents", ORDERS, created, "items_cents - total_cents", Unit.CENTS, "what the lines cost more"
        ),
    )
    lines = tuple(
"""
KPI = """KPIS: tuple[Kpi, ...] = (
    Kpi("discount_cents", "discount given", Unit.CENTS, "discount_cents"),
"""
STATUS = 'STATUS_MINUTES = Cube("status_minutes", "events", "status", "status_minutes", "minute")\nROLLUPS'


@pytest.fixture
def own_database(topic_prefix: Settings, clean_database: Settings) -> Iterator[Settings]:
    """A migrated database of the test's own, so that its columns end with it."""
    own = topic_prefix.model_copy(update={"postgres_database": "declared"})
    local_postgres._ensure_databases(own)
    database.migrate(own)
    yield own
    with local_postgres.connect_admin(own) as admin:
        admin.execute("DROP DATABASE declared WITH (FORCE)")


def changed_copy(folder: Path, file: str, *changes: tuple[str, str]) -> Path:
    """The packages in ``folder``, one file of them changed."""
    for package in PACKAGES:
        shutil.copytree(PROJECT_ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / file).read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / file).write_text(text, encoding="utf-8")
    return folder


def run(folder: Path, own: Settings, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **process.environment(own), "PYTHONPATH": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def count_again(folder: Path, own: Settings) -> None:
    """Migrate with the changed copy, run its worker, and rebuild what it kept."""
    where = run(folder, own, "-c", "import tandem, stream; print(tandem.__file__, stream.__file__)")
    assert where.split() == [str(folder / package / "__init__.py") for package in ("tandem", "stream")]
    run(folder, own, "-c", "from tandem import database, settings; database.migrate(settings.settings())")
    run(folder, own, "-m", "stream", "--until-caught-up")
    again = run(folder, own, "-m", "tandem", "stream", "rebuild", "--from", "2017-12-21", "--json")
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
    old_end = "    )\n    lines = tuple(\n"
    changes = [(old_end, DISCOUNT.lstrip("\n")), ("KPIS: tuple[Kpi, ...] = (\n", KPI)]
    copy = changed_copy(tmp_path, "tandem/kpis.py", *changes)
    count_again(copy, own_database)
    given = sum(discount for _, discount, _ in sales(40))
    shown = run(copy, own_database, "-m", "tandem", "kpi", "--date", "2017-12-21", "--layer", "speed", "--json")
    assert json.loads(shown)["metrics"]["discount_cents"] == given
    for place in ("speed.order_minutes", "serving.speed_daily", "serving.daily_order_aggregates"):
        assert rig.query(own_database, f"SELECT sum(discount_cents)::bigint AS n FROM {place}") == [{"n": given}]


def test_a_new_roll_up_needs_its_declaration_and_nothing_else(own_database: Settings, tmp_path: Path) -> None:
    sell(own_database)
    copy = changed_copy(
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
