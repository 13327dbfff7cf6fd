"""Products, customers and sessions in plain Python: one counted event at a time, or all orders of a customer sorted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import day_book
import payload_oracle as oracle

GAP = timedelta(minutes=30)
Row = dict[str, Any]


@dataclass(frozen=True)
class Order:
    moment: datetime
    cents: int
    categories: frozenset[str]


def sessions(orders: Iterable[Order]) -> list[list[Order]]:
    """One customer's orders, split wherever half an hour or more lies between two."""
    found: list[list[Order]] = []
    for order in sorted(orders, key=lambda order: order.moment):
        if found and order.moment - found[-1][-1].moment < GAP:
            found[-1].append(order)
        else:
            found.append([order])
    return found


@dataclass
class CustomerBooks:
    """Of all partitions together, as long as a customer stays in one."""

    orders: dict[str, list[Order]] = field(default_factory=lambda: defaultdict(list))
    customers: dict[str, Row] = field(default_factory=dict)
    products: dict[str, Row] = field(default_factory=dict)
    crossed: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    """Per customer above the threshold: the order that crossed, revenue and orders with it."""
    partitions: dict[str, int] = field(default_factory=dict)
    threshold: int = 10_000

    def book(self, partition: int, event: oracle.Event) -> None:
        """One counted event, in the order of its partition's log."""
        kind, moment, total = event.texts["event_type"], event.event_time, event.total_cents
        customer_id, order_id = event.texts["customer_id"], event.texts["order_id"]
        if kind not in ("order_created", "order_cancelled", "order_amended"):
            return
        assert moment
        assert customer_id
        assert order_id
        assert total is not None
        self.partitions[customer_id] = partition
        customer = self.customers.setdefault(
            customer_id, {"orders": 0, "revenue": 0, "net": 0, "first": None, "last": None}
        )
        if kind == "order_created":
            categories = frozenset(item.category or "uncategorised" for item in event.items)
            self.orders[customer_id].append(Order(moment, total, categories))
            customer["orders"] += 1
            customer["revenue"] += total
            customer["net"] += total
            customer["first"] = min(moment, customer["first"] or moment)
            customer["last"] = max(moment, customer["last"] or moment)
            if customer["revenue"] > self.threshold:
                self.crossed.setdefault(customer_id, (order_id, customer["revenue"], customer["orders"]))
        elif kind == "order_cancelled":
            customer["net"] -= total
        else:
            customer["net"] += total - (event.previous_total_cents or 0)
        self._book_lines(event, kind, moment)

    def _book_lines(self, event: oracle.Event, kind: str, moment: datetime) -> None:
        seen = set()
        for item in event.items:
            assert item.product_id
            product = self.products.setdefault(
                item.product_id, {"orders": 0, "units": 0, "revenue": 0, "net": 0, "last": None}
            )
            cents, units = item.amount_cents or 0, item.quantity or 0
            product["net"] += -cents if kind == "order_cancelled" else cents
            if kind == "order_created":
                product["orders"] += item.product_id not in seen
                product["units"] += units
                product["revenue"] += cents
                product["last"] = max(moment, product["last"] or moment)
            seen.add(item.product_id)

    def sessions(self) -> list[Row]:
        """As rows of the view, without the status."""
        return [
            {
                "customer_id": customer,
                "session_start": run[0].moment,
                "session_end": run[-1].moment,
                "order_count": len(run),
                "revenue_cents": sum(order.cents for order in run),
                "avg_order_value_cents": half_up(sum(order.cents for order in run), len(run)),
                "max_order_cents": max(order.cents for order in run),
                "categories": sorted(frozenset[str]().union(*(order.categories for order in run))),
            }
            for customer, orders in self.orders.items()
            for run in sessions(orders)
        ]

    def windows(self) -> dict[tuple[str, datetime], tuple[int, int]]:
        """Orders and cents per customer and start of a 5-minute window."""
        found: dict[tuple[str, datetime], tuple[int, int]] = defaultdict(lambda: (0, 0))
        for customer, orders in self.orders.items():
            for order in orders:
                for back in range(5):
                    start = order.moment.replace(second=0, microsecond=0) - timedelta(minutes=back)
                    count, cents = found[customer, start]
                    found[customer, start] = (count + 1, cents + order.cents)
        return found


def half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def kept(log: Iterable[tuple[int, bytes | None]], threshold: int) -> CustomerBooks:
    """The books of a log of sound events: partition and value, each partition in its order."""
    clerks: dict[int, day_book.Clerk] = defaultdict(day_book.Clerk)
    found = CustomerBooks(threshold=threshold)
    for partition, value in log:
        event = oracle.read(value)
        event_id = event.texts["event_id"]
        assert event_id
        assert event.event_time
        if clerks[partition].decide(event_id, event.event_time) == "counted":
            found.book(partition, event)
    return found
