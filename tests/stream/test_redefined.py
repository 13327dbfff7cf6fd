"""A measure that keeps its name and comes to mean something else is refused by both layers, before it is booked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import declared
import orders
import psycopg
import pytest
import speed_rig as rig
from declared import own_database

from tandem import database, definitions
from tandem.local import postgres as local_postgres
from tandem.settings import Settings

pytestmark = pytest.mark.integration

__all__ = ["own_database"]  # a fixture

DAY = "2017-12-21"
AMENDED = '            "total_cents - previous_total_cents",\n'
WAS, IS = (f"sum({value}) of events of order_amended by minute" for value in (AMENDED.strip(' ",\n'), "total_cents"))
SAID = (
    f"the books keep measure orders.amended_revenue_cents as {WAS}, and the declarations say {IS}:"
    " give it another name: what is booked under this one stays what it was"
)
MIGRATE = "from tandem import database, settings; database.migrate(settings.settings())"


def sell(own: Settings, event_id: str) -> None:
    payload = orders.order(event_id, datetime(2017, 12, 21, 9, tzinfo=UTC), orders.line("p", 500))
    rig.produce(own, [rig.Outgoing(orders.encode(payload), b"k", 0)])


def refused(copy: Path, own: Settings, *arguments: str) -> str:
    """The last line of what a command of the copy says that must not succeed."""
    done = declared.ended(copy, own, *arguments)
    assert done.returncode != 0, done.stdout
    return done.stderr.strip().splitlines()[-1]


def counted(own: Settings) -> int:
    [row] = rig.query(own, "SELECT sum(order_count)::bigint AS n FROM speed.order_minutes")
    return int(row["n"])


def test_neither_layer_nor_up_takes_another_definition_under_the_name(own_database: Settings, tmp_path: Path) -> None:
    own = own_database
    sell(own, "e1")
    rig.run_to_end(own)
    sell(own, "e2")
    copy = declared.changed_copy(tmp_path, "tandem/kpis.py", (AMENDED, '            "total_cents",\n'))
    assert refused(copy, own, "-m", "tandem", "stream", "--until-caught-up") == f"tandem: {SAID}"
    assert refused(copy, own, "-m", "tandem", "batch", "--date", DAY) == f"tandem: {SAID}"
    by_hand = refused(copy, own, "-m", "spark_jobs.daily_metrics", "--date", DAY)  # what spark-submit runs
    assert by_hand == f"daily_metrics: {SAID}"
    assert refused(copy, own, "-m", "tandem", "reconcile", "--date", DAY) == f"tandem: {SAID}"
    assert refused(copy, own, "-c", MIGRATE).endswith(f"{SAID}, or start in a new TANDEM_STATE_DIR")
    assert counted(own) == 1
    rig.run_to_end(own)  # as it was declared, it goes on
    assert counted(own) == 2


def test_the_same_in_other_writing_and_order_is_taken(own_database: Settings, tmp_path: Path) -> None:
    sell(own_database, "e1")
    written = '            "total_cents  -previous_total_cents -- what it was",\n'
    copy = declared.changed_copy(
        tmp_path,
        "tandem/kpis.py",
        (AMENDED, written),
        ('"what amendments changed"', '"said better"'),
        (
            '(("revenue_cents", 1), ("amended_revenue_cents", 1),',
            '(("amended_revenue_cents", 1), ("revenue_cents", 1),',
        ),
    )
    declared.migrate(copy, own_database)
    declared.work(copy, own_database)
    assert counted(own_database) == 1


def test_what_is_declared_no_more_is_still_refused_with_another_definition(
    own_database: Settings, tmp_path: Path
) -> None:
    """Rows of runs, of cuts and of old dates still hold what it meant."""
    with_discount = [(declared.END_OF_ORDERS, declared.DISCOUNT), (declared.KPIS, declared.KPI)]
    declared.migrate(declared.changed_copy(tmp_path / "first", "tandem/kpis.py", *with_discount), own_database)
    database.migrate(own_database)  # without it
    other = declared.DISCOUNT.replace("items_cents - total_cents", "items_cents")
    again = [(declared.END_OF_ORDERS, other), (declared.KPIS, declared.KPI)]
    copy = declared.changed_copy(tmp_path / "again", "tandem/kpis.py", *again)
    assert "the books keep measure orders.discount_cents as" in refused(copy, own_database, "-c", MIGRATE)


def test_an_upgrade_writes_what_is_declared_and_refuses_nobody(own_database: Settings) -> None:
    own = own_database
    sell(own, "e1")
    rig.run_to_end(own)
    with local_postgres.connect_admin(own, own.postgres_database) as admin:
        # As the release of 0033 left it.
        admin.execute("DROP TABLE public.definitions, speed.compacted")
        admin.execute("ALTER TABLE speed.partitions DROP COLUMN last_offset, DROP COLUMN last_time_ms")
        admin.execute("UPDATE public.alembic_version SET version_num = '0033'")
    sell(own, "e2")
    assert "run 'tandem up'" in refused(Path.cwd(), own, "-m", "tandem", "stream", "--until-caught-up")
    database.migrate(own)
    rig.run_to_end(own)
    assert counted(own) == 2
    with database.connect(own, database.READER, row_factory=psycopg.rows.tuple_row) as reader:
        found = dict(reader.execute("SELECT name, definition FROM public.definitions").fetchall())
    assert found == definitions.declared()
