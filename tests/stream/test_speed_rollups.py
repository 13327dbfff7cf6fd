"""What can be asked of the roll-ups in SQL, against lists sorted by hand."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import datasketches
import orders
import psycopg
import pytest
import speed_rig as rig

from stream import sink
from stream.compact import MANY, compact, compact_all
from stream.sketches import estimate
from tandem import database
from tandem.local import postgres as server
from tandem.rollups import SKETCH_LOG_SIZE
from tandem.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

START = datetime(2017, 12, 22, 9, tzinfo=UTC)
RANDOM = Random(13)
SALES = [
    (
        START + timedelta(seconds=30 * number),
        RANDOM.choice(["card", "cash", None]),
        f"c{RANDOM.randrange(40)}",
        [(f"p{RANDOM.randrange(30)}", f"k{RANDOM.randrange(14):02d}", RANDOM.randrange(1, 900)) for _ in range(3)],
    )
    for number in range(360)
]
"""Time, payment method, customer, and product, category and cents of three lines: three hours."""


@pytest.fixture
def sold(topic_prefix: Settings) -> Settings:
    records = []
    for number, (moment, method, customer, lines) in enumerate(SALES):
        items = [orders.line(product, cents, category=category) for product, category, cents in lines]
        more = {"payment_method": method} if method else {}
        payload = orders.order(f"e{number}", moment, *items, customer=customer, **more)
        records.append(rig.Outgoing(orders.encode(payload), None, number % 3))
    rig.produce(topic_prefix, records)
    rig.run_to_end(topic_prefix.model_copy(update={"micro_batch_max_events": 50}))
    return topic_prefix


def test_the_top_categories_of_every_hour_by_revenue_with_their_average_and_distinct_counts(sold: Settings) -> None:
    money: dict[tuple[datetime, str], list[tuple[int, int]]] = defaultdict(list)
    customers, products = defaultdict(set), defaultdict(set)
    for number, (moment, _, customer, lines) in enumerate(SALES):
        for product, category, cents in lines:
            cell = (moment.replace(minute=0, second=0), category)
            money[cell].append((number, cents))
            customers[cell].add(customer)
            products[cell].add(product)
    wanted = []
    for hour in sorted({hour for hour, _ in money}):
        sums = {category: sum(c for _, c in rows) for (at, category), rows in money.items() if at == hour}
        for rank, category in enumerate(sorted(sums, key=lambda k: (-sums[k], k))[:10], 1):
            cents = [c for _, c in money[hour, category]]
            count = len({number for number, _ in money[hour, category]})
            wanted.append(
                {
                    "cell_start": hour,
                    "rank": rank,
                    "category": category,
                    "order_count": count,
                    "revenue_cents": sum(cents),
                    "smallest_cents": min(cents),
                    "largest_cents": max(cents),
                    "avg_order_value_cents": (2 * sum(cents) + count) // (2 * count),
                    "customers": len(customers[hour, category]),
                    "products": len(products[hour, category]),
                }
            )
    ask = "SELECT * FROM serving.top_categories(%(since)s, %(until)s)"
    assert rig.query(sold, ask, since=START, until=START + timedelta(days=1)) == wanted


def test_hours_are_whole_wherever_what_is_asked_for_begins_or_ends(sold: Settings) -> None:
    ask = "SELECT * FROM serving.top_categories(%(since)s, %(until)s)"
    every = rig.query(sold, ask, since=START, until=START + timedelta(days=1))
    since, until = START + timedelta(minutes=30), START + timedelta(hours=2, minutes=30)
    begin_within = [row for row in every if since <= row["cell_start"] < until]
    assert begin_within
    assert rig.query(sold, ask, since=since, until=until) == begin_within


def test_the_top_products_and_payment_methods_can_be_asked_for_by_number(sold: Settings) -> None:
    ask = "SELECT * FROM serving.top_products(%(since)s, %(until)s, 2)"
    found = rig.query(sold, ask, since=START, until=START + timedelta(hours=1))
    sums: dict[str, int] = defaultdict(int)
    for moment, _, _, lines in SALES:
        for product, _, cents in lines:
            sums[product] += cents if moment < START + timedelta(hours=1) else 0
    best = sorted(sums, key=lambda product: (-sums[product], product))[:2]
    assert [(row["product_id"], row["revenue_cents"]) for row in found] == [(name, sums[name]) for name in best]
    ask = "SELECT DISTINCT payment_method FROM serving.top_payment_methods(%(since)s, %(until)s)"
    methods = rig.query(sold, ask, since=START, until=START + timedelta(days=1))
    assert {row["payment_method"] for row in methods} == {"card", "cash", "unknown"}


def test_a_series_has_five_minutes_a_row_and_the_last_24_hours(sold: Settings) -> None:
    wanted: dict[datetime, list[int]] = defaultdict(list)
    for moment, method, _, lines in SALES:
        if method == "card":
            wanted[moment - (moment - START) % timedelta(minutes=5)].append(sum(cents for _, _, cents in lines))
    found = rig.query(sold, "SELECT * FROM serving.payment_method_series('card')")
    assert {r["window_start"]: (r["order_count"], r["revenue_cents"], r["smallest_cents"]) for r in found} == {
        start: (len(cents), sum(cents), min(cents)) for start, cents in wanted.items()
    }
    later = rig.query(sold, "SELECT * FROM serving.region_series(NULL, %(until)s)", until=START + timedelta(hours=26))
    assert min(row["window_start"] for row in later) == START + timedelta(hours=2)
    assert {row["region"] for row in later} == {"unknown"}


def test_merging_the_rows_of_a_cell_changes_no_answer(sold: Settings) -> None:
    ask = "SELECT * FROM serving.top_categories('-infinity', 'infinity', 99)"
    before = rig.query(sold, ask)
    cell = "(partition, cell_start, rollup, key, counted)"
    count = f"SELECT count(*) AS rows, count(DISTINCT {cell}) AS cells FROM speed.sketches"
    assert rig.query(sold, count)[0]["rows"] > rig.query(sold, count)[0]["cells"]
    with sink.connect(sold) as connection:
        for partition in range(3):
            compact(connection, partition, None, START + timedelta(hours=9))
    [after] = rig.query(sold, count)
    assert after["rows"] == after["cells"]
    assert rig.query(sold, ask) == before


def put_sketches(settings: Settings, first: int, end: int, value: str = "v") -> None:
    """A sketch of one value at each of these offsets, all of one cell."""
    with database.connect(settings, database.SPEED) as speed:
        for offset in range(first, end):
            sketch = datasketches.update_theta_sketch(SKETCH_LOG_SIZE)
            sketch.update(f"{value}{offset % 50}")
            speed.execute(
                "INSERT INTO speed.sketches VALUES (0, %s, 'category_minutes', 'k', 'customers', %s, %s)",
                [START, offset, sketch.compact().serialize()],
            )


def estimates(settings: Settings) -> list[tuple[int, float]]:
    """Offset, and how many values the sketch there stands for."""
    rows = rig.query(settings, "SELECT first_offset, sketch FROM speed.sketches ORDER BY 1")
    return [(row["first_offset"], estimate(row["sketch"])) for row in rows]


def test_an_hour_that_is_still_open_keeps_few_sketches_however_many_micro_batches_there_were(
    postgres: Settings, clean_database: Settings
) -> None:
    with sink.connect(postgres) as connection:
        sink.claim(connection, "order-events", 0, 0, "w")
        connection.execute("UPDATE speed.partitions SET watermark = %s", [START + timedelta(minutes=10)])
        put_sketches(postgres, 0, MANY)
        compact_all(connection, timedelta(hours=1))
        assert len(estimates(postgres)) == MANY, "so many are left alone"
        put_sketches(postgres, MANY, MANY + 1)
        compact_all(connection, timedelta(hours=1))
        assert estimates(postgres) == [(0, 50)]
        connection.execute("UPDATE speed.partitions SET watermark = %s", [START + timedelta(hours=3)])
        put_sketches(postgres, MANY + 1, MANY + 3, "other")
        compact_all(connection, timedelta(hours=1))
        assert estimates(postgres) == [(0, 52)], "of an hour that is over, one is left"


def test_a_sketch_that_comes_while_others_of_its_cell_are_merged_is_not_lost(
    postgres: Settings, clean_database: Settings
) -> None:
    put_sketches(postgres, 0, 3)
    with sink.connect(postgres) as connection, connection.transaction():
        assert compact(connection, 0, None) == 1
        put_sketches(postgres, 3, 4)
    assert estimates(postgres) == [(0, 3), (3, 1)]


def put_cells(connection: psycopg.Connection[Any], *, alone: int, in_two: int) -> None:
    """A cell an hour from START on: first those of one sketch, then those of two."""
    sketch = datasketches.update_theta_sketch(SKETCH_LOG_SIZE)
    sketch.update("v")
    connection.execute(
        "INSERT INTO speed.sketches"
        " SELECT 0, %(start)s + cell * interval '1 hour', 'category_minutes', 'k', 'customers', part, %(sketch)s"
        " FROM generate_series(1, %(alone)s + %(in_two)s) AS cell, generate_series(1, 2) AS part"
        " WHERE part = 1 OR cell > %(alone)s",
        {"start": START, "alone": alone, "in_two": in_two, "sketch": sketch.compact().serialize()},
    )


def sketches_read(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """How many entries of the key of sketches were read since the server began, and how many rows without it."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    row = connection.execute(
        "SELECT idx_tup_read, seq_tup_read FROM pg_stat_user_tables JOIN pg_stat_user_indexes USING (relid)"
        " WHERE indexrelname = 'sketches_pkey'"
    ).fetchone()
    assert row is not None
    return row


def test_a_backlog_of_many_hours_is_read_once_however_many_cells_are_merged(
    postgres: Settings, clean_database: Settings
) -> None:
    alone, in_two = 4_000, 3_000
    with sink.connect(postgres) as connection:
        put_cells(connection, alone=alone, in_two=in_two)
        with server.connect_admin(postgres, postgres.postgres_database) as owner:
            owner.execute("ANALYZE speed.sketches")
        before, _ = sketches_read(connection)
        assert compact(connection, 0, None) == in_two
        after, _ = sketches_read(connection)
        assert after - before <= 2 * (alone + 2 * in_two), "once to find, and at most once to take them"
    assert len(estimates(postgres)) == alone + in_two


def test_a_worker_that_starts_does_not_look_through_the_hours_that_another_has_merged(
    postgres: Settings, clean_database: Settings
) -> None:
    hours = 4_000
    with sink.connect(postgres) as connection:
        sink.claim(connection, "order-events", 0, 0, "w")
        put_cells(connection, alone=hours, in_two=0)
        for later in (0, 2):
            moved = [START + timedelta(hours=hours + 2 + later)]
            connection.execute("UPDATE speed.partitions SET watermark = %s", moved)
            before = sum(sketches_read(connection))
            compact_all(connection, timedelta(hours=1))
            looked_at = sum(sketches_read(connection)) - before
            assert looked_at >= hours if later == 0 else looked_at < 100


@pytest.mark.parametrize(("shared", "apart"), [(0, 300), (3_000, 2_000), (20_000, 5_000)])
def test_sql_estimates_sketches_together_as_near_as_the_library(postgres: Settings, shared: int, apart: int) -> None:
    parts = []
    for part in range(3):
        sketch = datasketches.update_theta_sketch(SKETCH_LOG_SIZE)
        for number in range(shared):
            sketch.update(f"shared{number}")
        for number in range(apart):
            sketch.update(f"{part}:{number}")
        parts.append(sketch.compact().serialize())
    with database.connect(postgres, database.READER) as reader:
        row = reader.execute("SELECT serving.sketches_estimate(%s)", [[*parts, None]]).fetchone()
    assert row is not None
    true = shared + 3 * apart
    assert row[0] == true if true <= 4_096 else abs(row[0] - true) < 0.06 * true
