"""Customers who do everything that there is a pattern for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

from pattern_oracle import Happened

START = datetime(2017, 12, 23, 12, tzinfo=UTC)
LATENESS = timedelta(hours=1)
PARTITIONS = 2
KINDS = ["order_created"] * 12 + ["payment_failed"] * 5 + ["payment_succeeded", "order_cancelled"]


def shop(seed: int) -> list[Happened]:
    """What two customers on two partitions do, and what of it the lateness rule lets count.

    The shop's clock mostly creeps and now and then leaps; events mostly carry its time, now and then an older one.
    Amounts are alike for most orders, out of all proportion for some, and rise by half for others.
    """
    random = Random(seed)
    log: list[Happened] = []
    now, watermark = START, dict.fromkeys(range(PARTITIONS), START - timedelta(days=1))
    cents = dict.fromkeys(["ann", "bob"], 1_000)
    pace = random.choice([20, 60, 150])
    for offset in range(random.randint(1, 150)):
        now += timedelta(seconds=random.choice([*[random.randint(0, pace)] * 20, random.randint(0, 5_000)]))
        at = now - timedelta(seconds=random.choice([*[0] * 6, random.randint(0, 300), random.randint(0, 4_000)]))
        partition, customer = int(random.random() < 0.2), random.choice(["ann", "ann", "bob"])
        kind = random.choice(KINDS)
        if at < watermark[partition] - LATENESS:
            continue
        watermark[partition] = max(watermark[partition], at)
        if kind == "order_created":
            rise = min(cents[customer] * random.choice([150, 151, 155, 180]) // 100, 10**13 - 1)
            usual, first = random.randint(900, 1_100), random.choice([100_000, 100_001, 120_000])
            weights = [4, 8, 1, 0.5, 0.2] if cents[customer] < 100_000 else [1, 30, 1, 0, 0]
            cents[customer] = random.choices([usual, rise, first, 3_000, 10**13 - 1], weights)[0]
        log.append(Happened(partition, offset, customer, kind, at, None if "payment" in kind else cents[customer]))
    return log
