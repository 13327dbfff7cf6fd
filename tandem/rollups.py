"""Roll-ups as declarations (capability S13): cells of a minute by one dimension, which only the speed layer keeps.

A roll-up is a cube with measures that also merge by minimum and maximum, and with sketches of how many different values
it saw, by the hour. Only these the batch layer makes too. Tables, columns, merging and the functions of ``serving`` are
made from what is declared here.
"""

from __future__ import annotations

from dataclasses import dataclass

from tandem.events import EventType
from tandem.kpis import CUBES, MEASURES, ORDERS, PRODUCTS, Aggregate, Cube, Measure, Unit

UNKNOWN = "unknown"
"""The key of what names none."""

CATEGORY_MINUTES = Cube("category_minutes", "lines", "category", "category_minutes", "minute")
PAYMENT_METHOD_MINUTES = Cube("payment_method_minutes", "events", "payment_method", "payment_method_minutes", "minute")
REGION_MINUTES = Cube("region_minutes", "events", "region", "region_minutes", "minute")
ROLLUPS: tuple[Cube, ...] = (CATEGORY_MINUTES, PAYMENT_METHOD_MINUTES, REGION_MINUTES)
SPEED_CUBES: tuple[Cube, ...] = (*CUBES, *ROLLUPS)
"""Every cube the stream folds."""
TOTALS: dict[str, tuple[str, Cube]] = {
    "product_totals": ("product_id", PRODUCTS),
    "customer_totals": ("customer_id", ORDERS),
}
"""Running totals of all time, by table: their key, and the cube whose measures they have."""


def _measures(rollup: Cube) -> tuple[Measure, ...]:
    of_lines = rollup.rows == "lines"
    cents, what = ("amount_cents", "line") if of_lines else ("total_cents", "order")
    created = EventType.ORDER_CREATED
    return (
        Measure("order_count", rollup, created, "1", Unit.COUNT, "orders created", Aggregate.EVENTS),
        Measure("revenue_cents", rollup, created, cents, Unit.CENTS, f"money of the {what}s"),
        Measure("smallest_cents", rollup, created, cents, Unit.CENTS, f"the smallest {what}", Aggregate.MIN),
        Measure("largest_cents", rollup, created, cents, Unit.CENTS, f"the largest {what}", Aggregate.MAX),
    )


ROLLUP_MEASURES: tuple[Measure, ...] = tuple(measure for rollup in ROLLUPS for measure in _measures(rollup))


@dataclass(frozen=True, slots=True)
class Sketch:
    """How many different values of ``column`` every roll-up saw in an hour, of counted events of ``event_type``.

    ``rows``: the frame that has the column, ``events`` or ``lines``.
    """

    name: str
    column: str
    rows: str
    event_type: EventType = EventType.ORDER_CREATED


SKETCHES: tuple[Sketch, ...] = (
    Sketch("customers", "customer_id", "events"),
    Sketch("products", "product_id", "lines"),
)
SKETCH_LOG_SIZE = 12
"""Of every layer's, so that they can be compared. 4,096 hashes: beyond that the standard error is 1.6 %."""


PLURALS = {
    "product_id": "products",
    "category": "categories",
    "payment_method": "payment_methods",
    "region": "regions",
}
"""What the functions of ``serving`` call the keys of a dimension."""


def measures_of(cube: Cube) -> tuple[Measure, ...]:
    """The measures of any cube of the speed layer, in declared order: the order of their columns."""
    return tuple(measure for measure in (*MEASURES, *ROLLUP_MEASURES) if measure.cube is cube)


KEPT: frozenset[tuple[str, str]] = frozenset(
    (table, measure.name)
    for table, cube in (
        *((cube.pane_table, cube) for cube in SPEED_CUBES),
        *((table, cube) for table, (_, cube) in TOTALS.items()),
    )
    for measure in measures_of(cube)
)
"""Every table of the speed layer with measures, and each of them: the rows of ``speed.measures_since``."""
