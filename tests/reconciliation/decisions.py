"""Journals and facts by hand: one record of a shop's log, and what each layer made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl

from reconciliation import compare
from reconciliation.evidence import FACTS, OTHER_RULES, Evidence
from tandem import journal, kpis
from tests.reconciliation.books import START, at

NINE = at(9, 5)


@dataclass(frozen=True)
class Record:
    """One event. ``speed`` and ``batch``: the layers' decisions, '' where a layer does not have it."""

    offset: int
    speed: str = "counted"
    batch: str = "counted"
    order_id: str = "o1"
    event_id: str = ""
    event_type: str = "order_created"
    customer: str = "alice"
    cents: int = 1_000
    previous_cents: int | None = None
    lines: tuple[tuple[str, str | None, int, int], ...] = (("milk", "dairy", 2, 1_000),)
    """product, category, quantity, cents"""
    when: datetime = NINE
    batch_when: datetime | None = None
    batch_cents: int | None = None
    watermark: datetime | None = None
    partition: int = 0
    reasons: str = ""

    def again(self, **changes: Any) -> Record:
        return replace(self, **changes)

    @property
    def units(self) -> int:
        return sum(quantity for _, _, quantity, _ in self.lines)

    def booked(self, layer: str) -> int:
        """The cents that a layer books if it counts it."""
        total = self.batch_cents if layer == "batch" and self.batch_cents is not None else self.cents
        return total - (self.previous_cents or 0) if self.event_type == "order_amended" else total

    def journal_row(self) -> tuple[Any, ...]:
        who = (self.event_id or f"e{self.partition}-{self.offset}", self.event_type, self.order_id, self.customer)
        sums = (self.booked("speed"), self.units)
        return (self.partition, self.offset, *who, self.when, *sums, self.speed, self.reasons, self.watermark)

    def facts_row(self) -> tuple[Any, ...]:
        total = self.cents if self.batch_cents is None else self.batch_cents
        items = [
            dict(zip(("product_id", "category", "quantity", "amount_cents"), line, strict=True)) for line in self.lines
        ]
        who = (self.event_id or f"e{self.partition}-{self.offset}", self.event_type, self.batch_when or self.when)
        sums = (self.order_id, self.customer, total, self.previous_cents, self.units, items)
        return (self.partition, self.offset, *who, *sums, self.batch, self.reasons)


def evidence(records: Sequence[Record], **changes: Any) -> Evidence:
    made = Evidence(
        journal=pl.DataFrame([r.journal_row() for r in records if r.speed], schema=journal.ROWS.schema, orient="row"),
        facts=pl.DataFrame([r.facts_row() for r in records if r.batch], schema=FACTS, orient="row"),
        other_rules=OTHER_RULES.to_frame(),
        begins={},
        released=frozenset(r.event_id for r in records if r.event_id and r.event_id.startswith("release:")),
    )
    return replace(made, **changes)


def cells(records: Sequence[Record], layer: str) -> pl.DataFrame:
    """The cells that a layer's decisions make, added up by plain loops."""
    sums: dict[tuple[str, datetime, str, str], int] = {}
    customers = set()

    def add(cube: str, hour: datetime, key: str, measure: str, amount: int) -> None:
        place = (cube, hour, key, measure)
        sums[place] = sums.get(place, 0) + amount

    for record in records:
        when = record.batch_when or record.when if layer == "batch" else record.when
        if (record.batch if layer == "batch" else record.speed) == "counted" and when.date() == START.date():
            _add_record(add, record, layer, when.replace(minute=0))
            if record.event_type == "order_created":
                customers.add(record.customer)
    add("distinct", START, "", "unique_customers", len(customers))
    for cube, hour, key in {place[:3] for place in sums if place[0] != "distinct"}:
        for measure in kpis.MEASURES:
            if measure.cube.name == cube:
                add(cube, hour, key, measure.name, 0)
    return pl.DataFrame([(*place, value) for place, value in sums.items()], schema=compare.CELLS, orient="row")


def _add_record(
    add: Callable[[str, datetime, str, str, int], None], record: Record, layer: str, hour: datetime
) -> None:
    kind = {"order_created": "", "order_cancelled": "cancelled_", "order_amended": "amended_"}[record.event_type]
    add("orders", hour, "", f"{kind}revenue_cents", record.booked(layer))
    if not kind:
        add("orders", hour, "", "order_count", 1)
        add("orders", hour, "", "units", record.units)
    for cube, place in (("products", 0), ("categories", 1)):
        for key in {line[place] or "uncategorised" for line in record.lines}:
            ours = [line for line in record.lines if (line[place] or "uncategorised") == key]
            add(cube, hour, key, f"{kind}revenue_cents", sum(line[3] for line in ours))
            add(cube, hour, key, f"{kind}units", sum(line[2] for line in ours))
            if not kind:
                add(cube, hour, key, "order_count", 1)
