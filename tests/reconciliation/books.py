"""Writes small books by hand into the real tables of both layers, in the words of a shop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import psycopg
from confluent_kafka import Producer
from psycopg import sql

from reconciliation import cut as cuts
from tandem import database, kpis, topics
from tandem.local import postgres as local_postgres
from tandem.pending import ALL_PARTITIONS
from tandem.settings import Settings

DAY = date(2017, 12, 23)
START = datetime(2017, 12, 23, tzinfo=UTC)


def at(hour: int, minute: int = 0) -> datetime:
    return START + timedelta(hours=hour, minutes=minute)


@dataclass(frozen=True)
class Order:
    """One order of a single line."""

    order_id: str
    cents: int
    when: datetime
    customer: str = "alice"
    product: str = "milk"
    category: str = "dairy"
    units: int = 1
    partition: int = 0

    def again(self, **changes: Any) -> Order:
        return replace(self, **changes)


def execute(settings: Settings, statement: Any, parameters: Any = ()) -> list[Any]:
    """As the superuser: tests write the tables of every layer."""
    cursor = _admin(settings).execute(statement, parameters)
    return cursor.fetchall() if cursor.description else []


_CONNECTIONS: dict[int, psycopg.Connection[Any]] = {}


def _admin(settings: Settings) -> psycopg.Connection[Any]:
    """One connection a server, since tests write row by row."""
    known = _CONNECTIONS.get(settings.postgres_port)
    if known is None or known.closed:
        _CONNECTIONS[settings.postgres_port] = known = local_postgres.connect_admin(
            settings, settings.postgres_database
        )
    return known


def insert(settings: Settings, table: str, **row: Any) -> None:
    schema, name = table.split(".")
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(schema, name),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(sql.Placeholder() * len(row)),
    )
    execute(settings, statement, list(row.values()))


def _totals(orders: list[Order], cube: kpis.Cube, place: Any) -> dict[Any, dict[str, int]]:
    cells: dict[Any, dict[str, int]] = {}
    for order in orders:
        cell = cells.setdefault(place(order), {m.name: 0 for m in kpis.measures_of(cube)})
        cell["revenue_cents"] += order.cents
        cell["order_count"] += 1
        cell["units"] += order.units
    return cells


def _dimension(cube: kpis.Cube, order: Order) -> dict[str, str]:
    return {cube.key: {"product_id": order.product, "category": order.category}[cube.key]} if cube.key else {}


def write_speed(settings: Settings, orders: list[Order], offsets: dict[int, int] | None = None) -> None:
    """The speed layer's panes as it keeps them: orders per minute, lines per hour, each by partition."""
    for cube in kpis.CUBES:
        cut_off = timedelta(minutes=1) if cube.pane == "minute" else timedelta(hours=1)

        def place(order: Order, cube: kpis.Cube = cube, cut_off: timedelta = cut_off) -> tuple[Any, ...]:
            pane = order.when - (order.when - START) % cut_off
            return pane, order.partition, *_dimension(cube, order).items()

        for (pane, partition, *key), measures in _totals(orders, cube, place).items():
            row = {"business_date": pane.date(), "pane_start": pane, "partition": partition, **dict(key), **measures}
            insert(settings, f"speed.{cube.pane_table}", **row)
    for day, customer in {(order.when.date(), order.customer) for order in orders}:
        insert(settings, "speed.customer_days", business_date=day, customer_id=customer, partition=ALL_PARTITIONS)
    if offsets:
        fill_log(settings, offsets)
    for partition, next_offset in (offsets or {}).items():
        place = {"topic": topics.ORDER_EVENTS, "partition": partition}
        insert(settings, "speed.partitions", **place, next_offset=next_offset)


def fill_log(settings: Settings, offsets: Mapping[int, int]) -> None:
    """Records in Kafka at least up to these offsets, where a test only writes down that they were read."""
    ends = cuts.end_offsets(settings)
    producer = Producer({"bootstrap.servers": settings.brokers, "log_level": 0})
    for partition, offset in offsets.items():
        for _ in range(ends[partition], offset):
            producer.produce(settings.topic(topics.ORDER_EVENTS), b"{}", partition=partition)
    assert producer.flush(60) == 0


def write_batch(settings: Settings, orders: list[Order], run_id: str, *, day: date = DAY, publish: bool = True) -> None:
    """A batch run's rows as publication leaves them: cells, the day's figures, gates passed, the version."""
    insert(
        settings,
        "batch.runs",
        run_id=run_id,
        business_date=day,
        kind="manual",
        code_version="test",
        rule_version="1",
        archive_version=1,
        facts_version=0,
    )
    for cube in kpis.CUBES:

        def place(order: Order, cube: kpis.Cube = cube) -> tuple[Any, ...]:
            return order.when - (order.when - START) % timedelta(hours=1), *_dimension(cube, order).items()

        for (hour, *key), measures in _totals(orders, cube, place).items():
            row = {"run_id": run_id, "business_date": day, "cell_start": hour, **dict(key), **measures}
            insert(settings, f"batch.{cube.hour_table}", **row)
    revenue, count = sum(order.cents for order in orders), len(orders)
    figures = {
        "order_count": count,
        "revenue_cents": revenue,
        "cancelled_revenue_cents": 0,
        "amended_revenue_cents": 0,
        "net_revenue_cents": revenue,
        "avg_order_value_cents": int((Decimal(revenue) / count).quantize(0, ROUND_HALF_UP)) if count else None,
        "unique_customers": len({order.customer for order in orders}),
        "units": sum(order.units for order in orders),
    }
    insert(settings, "batch.daily_metrics", run_id=run_id, business_date=day, **figures)
    gate = {"suite": "order_facts", "expectation": "order ids are unique", "level": "fail", "success": True}
    insert(settings, "batch.gate_results", run_id=run_id, business_date=day, **gate)
    if publish:
        publish_run(settings, run_id, day=day)


def publish_run(settings: Settings, run_id: str, *, day: date = DAY) -> None:
    """Make a run's daily metrics the current version of its date."""
    where = {"run_id": run_id, "day": day}
    execute(
        settings,
        "UPDATE batch.versions SET superseded_at = now() WHERE business_date = %(day)s AND superseded_at IS NULL",
        where,
    )
    execute(
        settings,
        "INSERT INTO batch.versions (view, business_date, version, run_id) SELECT 'daily_metrics', %(day)s,"
        " count(*) + 1, %(run_id)s FROM batch.versions WHERE business_date = %(day)s",
        where,
    )


def reader(settings: Settings) -> Any:
    """A connection as the role of reports."""
    return database.connect(settings, database.READER)
