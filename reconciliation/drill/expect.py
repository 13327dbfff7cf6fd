"""What reconciliation must find, worked out from the records of the log and their labels, one by one in plain Python.

Slow and simple on purpose: it shares no code with what it judges.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import msgspec

from tandem.clock import day_bounds
from tandem.sources.labels import Label
from tandem.sources.payloads import Item, cents_of

NOTHING = "no difference"
PRECEDENCE = (
    "released", "quarantined", "boundary", "version", "duplicate", "late", "missing_in_stream", "missing_in_batch",
    "aggregation", "unexplained", NOTHING,
)  # fmt: skip
"""The published order of causes (docs/semantics.md)."""

Place = tuple[int, int]
"""Partition and offset."""
Cell = tuple[date, str, datetime, str, str, str]
"""Business date, cube, start of the hour (UTC), key, measure, cause."""
Booked = tuple[date, str, datetime, str, str]
"""A cell without the cause."""

COUNTED = "counted"
_PREFIX = {"order_created": "", "order_cancelled": "cancelled_", "order_amended": "amended_"}


class Record(msgspec.Struct, frozen=True):
    """What the books take from a payload."""

    event_type: str
    event_time: datetime
    customer_id: str
    total_amount: str
    items: tuple[Item, ...]
    previous_total_amount: str | None = None

    @property
    def cents(self) -> int:
        """What it adds to its measure: the total, or an amendment's change of it."""
        before = cents_of(self.previous_total_amount) if self.previous_total_amount else 0
        return cents_of(self.total_amount) - before


DECODER = msgspec.json.Decoder(Record)


@dataclass(frozen=True, slots=True)
class Fate:
    """What each layer does with a record, and the cause to be found where that makes a difference.

    ``speed_zone``: another zone by which the stream finds its date. ``drops``: a product that the stream leaves out.
    """

    speed: str
    batch: str
    cause: str = NOTHING
    speed_zone: ZoneInfo | None = None
    drops: str | None = None

    @property
    def sign(self) -> int:
        """Of batch - speed."""
        return (self.batch == COUNTED) - (self.speed == COUNTED)


@dataclass(frozen=True, slots=True)
class Logged:
    """A record of the log. ``label``: what was planted with it, None for one of the source's own.

    ``fate``: where it is another than the label's, or an order's own.
    """

    place: Place
    value: bytes
    label: Label | None = None
    fate: Fate | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be found. ``cells``: batch - speed by cell and cause, zeros left out."""

    planted: Mapping[Place, Label] = field(default_factory=dict)
    cells: Mapping[Cell, int] = field(default_factory=dict)


def expect(log: Iterable[Logged], zone: ZoneInfo) -> Expected:
    """What follows from the labels and fates of a log, for every date."""
    planted: dict[Place, Label] = {}
    cells: Counter[Cell] = Counter()
    customers = CustomersState(zone)
    for logged in log:
        if logged.label is not None:
            planted[logged.place] = logged.label
        fate = logged.fate or _of_label(logged.label)
        if fate is not None and COUNTED not in {fate.speed, fate.batch}:
            continue  # it need not even be readable
        record = DECODER.decode(logged.value)
        fate = fate or _of_source(record)
        customers.add(record, fate)
        for place, amount in _differences(record, fate, zone):
            cells[*place, fate.cause] += amount
    cells.update(customers.cells())
    return Expected(planted, {cell: amount for cell, amount in cells.items() if amount})


def _differences(record: Record, fate: Fate, zone: ZoneInfo) -> Iterator[tuple[Booked, int]]:
    """What a record adds to batch - speed."""
    if fate.sign:
        yield from ((place, fate.sign * amount) for place, amount in booked(record, zone))
    if fate.speed_zone is not None:
        yield from booked(record, zone)
        yield from ((place, -amount) for place, amount in booked(record, fate.speed_zone))
    if fate.drops is not None:
        for place, amount in booked(record, zone):
            _, cube, _, key, _ = place
            if (cube, key) == ("products", fate.drops):
                yield place, amount


def _of_label(label: Label | None) -> Fate | None:
    return None if label is None else Fate(label.speed, label.batch, label.cause)


def _of_source(record: Record) -> Fate:
    """Both layers count an order of the source, unless it is free."""
    decision = COUNTED if record.cents > 0 else "quarantined"
    return Fate(decision, decision)


def booked(record: Record, zone: ZoneInfo) -> Iterator[tuple[Booked, int]]:
    """What a counted record adds to each cell."""
    local = record.event_time.astimezone(zone)
    day, hour = local.date(), local.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    prefix = _PREFIX[record.event_type]
    yield (day, "orders", hour, "", f"{prefix}revenue_cents"), record.cents
    if not prefix:
        yield (day, "orders", hour, "", "order_count"), 1
        yield (day, "orders", hour, "", "units"), sum(item.quantity for item in record.items)
    for cube, name in (("products", "product_id"), ("categories", "category")):
        of_key: dict[str, list[Item]] = defaultdict(list)
        for item in record.items:
            of_key[getattr(item, name) or "uncategorised"].append(item)
        for key, items in of_key.items():
            yield (day, cube, hour, key, f"{prefix}revenue_cents"), sum(cents_of(item.amount) for item in items)
            yield (day, cube, hour, key, f"{prefix}units"), sum(item.quantity for item in items)
            if not prefix:
                yield (day, cube, hour, key, "order_count"), 1


@dataclass(slots=True)
class CustomersState:
    """Which customers each layer counts on each date, and the causes of the orders on which the layers differ."""

    zone: ZoneInfo
    speed: dict[date, set[str]] = field(default_factory=lambda: defaultdict(set))
    batch: dict[date, set[str]] = field(default_factory=lambda: defaultdict(set))
    causes: dict[tuple[date, str], set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, record: Record, fate: Fate) -> None:
        """One more record."""
        if record.event_type != "order_created":
            return
        sides = ((self.speed, fate.speed, fate.speed_zone or self.zone), (self.batch, fate.batch, self.zone))
        for side, decision, zone in sides:
            day = record.event_time.astimezone(zone).date()
            if decision == COUNTED:
                side[day].add(record.customer_id)
            self.causes[day, record.customer_id].add(fate.cause)

    def cells(self) -> Counter[Cell]:
        """±1 for each customer whom one layer alone counts, under the first cause of the customer's orders."""
        found: Counter[Cell] = Counter()
        for day in self.speed.keys() | self.batch.keys():
            start, _ = day_bounds(day, self.zone)
            for alone, sign in ((self.batch[day] - self.speed[day], 1), (self.speed[day] - self.batch[day], -1)):
                for customer in alone:
                    cause = min(self.causes[day, customer], key=PRECEDENCE.index)
                    found[day, "distinct", start, "", "unique_customers", cause] += sign
        return found
