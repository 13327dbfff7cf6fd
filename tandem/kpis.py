"""The KPIs as declarations (capability B9): one definition, two interpreters (the stream's fold, Spark's aggregate).

A cube is a family of cells: a time grain and at most one dimension. A measure is one additive number of a cube. A KPI
is what people read: a measure, a combination of measures, a ratio of two, or a distinct count. Expressions are SQL over
the typed columns of ``tandem.events``, in the small common part of polars', Spark's and Postgres's SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tandem.events import EventType


class Aggregate(StrEnum):
    """How rows become a cell, and cells of panes, partitions and hours one cell. SUM and EVENTS are added up."""

    SUM = "sum"
    EVENTS = "events"
    """Number of events with at least one matching row in the cell; an order with two lines of a product counts once."""
    MIN = "min"
    MAX = "max"


class Unit(StrEnum):
    """What a number counts."""

    CENTS = "cents"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Cube:
    """Cells of one dimension: ``speed.<pane_table>``, ``batch.<hour_table>``, ``reconciliation.cut_<hour_table>``.

    ``rows`` says which typed frame is folded: ``events`` or ``lines``. ``key`` is the dimension column, None for all.
    """

    name: str
    rows: str
    key: str | None
    pane_table: str
    pane: str
    """Truncation unit of the speed layer's panes: ``minute`` or ``hour``."""
    hour_table: str = ""
    """Empty where only the speed layer keeps the cube (tandem.rollups)."""
    has_finals: bool = False
    """Whether the speed layer makes its hours final, once (capability S6)."""


ORDERS = Cube("orders", "events", None, "order_minutes", "minute", "order_hours", has_finals=True)
PRODUCTS = Cube("products", "lines", "product_id", "product_hours", "hour", "product_hours")
CATEGORIES = Cube("categories", "lines", "category", "category_hours", "hour", "category_hours", has_finals=True)
CUBES: tuple[Cube, ...] = (ORDERS, PRODUCTS, CATEGORIES)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """When two values of a metric still agree: |batch - speed| <= max(absolute, relative × |batch|).

    A cell whose larger side is below ``minimum_base`` is compared and shown but decides nothing.
    """

    relative: float = 0.01
    absolute: int = 0
    minimum_base: int = 0


@dataclass(frozen=True, slots=True)
class Measure:
    """One additive column of a cube: ``aggregate`` of ``value`` over counted events of ``event_type``."""

    name: str
    cube: Cube
    event_type: EventType
    value: str
    unit: Unit
    meaning: str
    aggregate: Aggregate = Aggregate.SUM
    cell_tolerance: Tolerance = Tolerance(minimum_base=100_000)


def _measures() -> tuple[Measure, ...]:
    created, cancelled, amended = EventType.ORDER_CREATED, EventType.ORDER_CANCELLED, EventType.ORDER_AMENDED
    counts = Tolerance(minimum_base=100)
    orders = (
        Measure("revenue_cents", ORDERS, created, "total_cents", Unit.CENTS, "totals of the orders created"),
        Measure("order_count", ORDERS, created, "1", Unit.COUNT, "orders created", Aggregate.EVENTS, counts),
        Measure("units", ORDERS, created, "units", Unit.COUNT, "pieces ordered", cell_tolerance=counts),
        Measure(
            "cancelled_revenue_cents",
            ORDERS,
            cancelled,
            "total_cents",
            Unit.CENTS,
            "what cancellations took back",
        ),
        Measure(
            "amended_revenue_cents",
            ORDERS,
            amended,
            "total_cents - previous_total_cents",
            Unit.CENTS,
            "what amendments changed",
        ),
    )
    lines = tuple(
        measure
        for cube in (PRODUCTS, CATEGORIES)
        for measure in (
            Measure("revenue_cents", cube, created, "amount_cents", Unit.CENTS, "the lines' money"),
            Measure(
                "order_count",
                cube,
                created,
                "1",
                Unit.COUNT,
                "orders with such a line",
                Aggregate.EVENTS,
                counts,
            ),
            Measure("units", cube, created, "quantity", Unit.COUNT, "pieces ordered", cell_tolerance=counts),
            Measure("cancelled_revenue_cents", cube, cancelled, "amount_cents", Unit.CENTS, "lines taken back"),
            Measure(
                "cancelled_units",
                cube,
                cancelled,
                "quantity",
                Unit.COUNT,
                "pieces taken back",
                cell_tolerance=counts,
            ),
            Measure(
                "amended_revenue_cents",
                cube,
                amended,
                "amount_cents",
                Unit.CENTS,
                "lines changed by amendments",
            ),
            Measure(
                "amended_units",
                cube,
                amended,
                "quantity",
                Unit.COUNT,
                "pieces changed",
                cell_tolerance=counts,
            ),
        )
    )
    return orders + lines


MEASURES: tuple[Measure, ...] = _measures()


@dataclass(frozen=True, slots=True)
class Distinct:
    """A count of different values per business date: exact, from one row per value and date."""

    name: str
    column: str
    event_type: EventType


UNIQUE_CUSTOMERS = Distinct("unique_customers", "customer_id", EventType.ORDER_CREATED)


@dataclass(frozen=True, slots=True)
class Ratio:
    """``numerator / denominator`` rounded half up to a whole unit; NULL where the denominator is 0."""

    numerator: str
    denominator: str


@dataclass(frozen=True, slots=True)
class Kpi:
    """What people read for a business date.

    ``source``: the name of a measure of the orders cube, a linear combination as ``{measure: factor}``, a Ratio of two
    measures, or a Distinct. ``decides``: whether it takes part in the verdict of a date.
    """

    name: str
    meaning: str
    unit: Unit
    source: str | tuple[tuple[str, int], ...] | Ratio | Distinct
    owner: str = "finance"
    tolerance: Tolerance = Tolerance()
    decides: bool = True


KPIS: tuple[Kpi, ...] = (
    Kpi("order_count", "orders created on the date", Unit.COUNT, "order_count", owner="sales"),
    Kpi("revenue_cents", "what was sold", Unit.CENTS, "revenue_cents"),
    Kpi(
        "cancelled_revenue_cents",
        "what cancellations of the date took back",
        Unit.CENTS,
        "cancelled_revenue_cents",
        tolerance=Tolerance(minimum_base=100_000),
    ),
    Kpi(
        "amended_revenue_cents",
        "what amendments of the date changed",
        Unit.CENTS,
        "amended_revenue_cents",
        tolerance=Tolerance(minimum_base=100_000),
    ),
    Kpi(
        "net_revenue_cents",
        "revenue + amended - cancelled",
        Unit.CENTS,
        (("revenue_cents", 1), ("amended_revenue_cents", 1), ("cancelled_revenue_cents", -1)),
    ),
    Kpi(
        "avg_order_value_cents",
        "revenue / orders, to the nearest cent",
        Unit.CENTS,
        Ratio("revenue_cents", "order_count"),
    ),
    Kpi("unique_customers", "customers with an order created", Unit.COUNT, UNIQUE_CUSTOMERS, owner="sales"),
    Kpi("units", "pieces ordered", Unit.COUNT, "units", owner="sales"),
)


def measures_of(cube: Cube) -> tuple[Measure, ...]:
    """The measures of a cube, in declared order: the order of their columns."""
    return tuple(m for m in MEASURES if m.cube is cube)


def ratio_half_up(numerator: int, denominator: int) -> int | None:
    """``numerator / denominator`` rounded half up; None where there is nothing to divide by."""
    return (2 * numerator + denominator) // (2 * denominator) if denominator else None


def daily_kpis(measures: dict[str, int], distincts: dict[str, int]) -> dict[str, int | None]:
    """Every KPI of a date from the orders cube's totals and the distinct counts."""

    def value(kpi: Kpi) -> int | None:
        match kpi.source:
            case str(name):
                return measures[name]
            case Ratio(numerator, denominator):
                return ratio_half_up(measures[numerator], measures[denominator])
            case Distinct(name=name):
                return distincts[name]
            case terms:
                return sum(factor * measures[name] for name, factor in terms)

    return {kpi.name: value(kpi) for kpi in KPIS}
