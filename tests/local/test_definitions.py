"""A definition is what a declaration means, and not how it is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tandem import definitions
from tandem.errors import TandemError
from tandem.events import EventType
from tandem.kpis import KPIS, MEASURES, PRODUCTS, Aggregate, Distinct, Ratio, Tolerance
from tandem.patterns import PATTERNS, Fires, Urgency

AMENDED = next(each for each in MEASURES if each.name == "amended_revenue_cents")
NET, AVERAGE, CUSTOMERS = (
    next(each for each in KPIS if each.name == name)
    for name in ("net_revenue_cents", "avg_order_value_cents", "unique_customers")
)
BURST, FAILURES = PATTERNS[0], PATTERNS[2]


def test_every_declaration_has_a_name_of_its_own() -> None:
    found = definitions.declared()
    assert {"measure orders.units", "measure region_minutes.smallest_cents", "KPI units", "sketch customers"} <= set(
        found
    )
    assert len([name for name in found if name.startswith("pattern ")]) == len(PATTERNS)


@pytest.mark.parametrize(
    "written",
    [
        "total_cents-previous_total_cents",
        "  TOTAL_CENTS\n - previous_total_cents",
        "total_cents -- as it is now\n - /* as it\n was */ previous_total_cents",
    ],
)
def test_the_same_in_other_writing_is_the_same(written: str) -> None:
    assert definitions.plain(written) == definitions.plain("total_cents - previous_total_cents")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a - b", "b - a"),
        ("status = 'Paid'", "status = 'paid'"),
        ("status = 'a  b'", "status = 'a b'"),
        ("note = '-- x'", "note = ''"),
        ("a <= b", "a < b"),
        ("(a + b) * c", "a + b * c"),
        ("1 0", "10"),
    ],
)
def test_what_means_something_else_differs(one: str, other: str) -> None:
    assert definitions.plain(one) != definitions.plain(other)


def said(monkeypatch: pytest.MonkeyPatch, name: str, old: object, new: object) -> bool:
    """Whether another definition is noticed, by a copy of what is declared with one in the place of another."""
    before = definitions.declared()
    changed = tuple(new if each is old else each for each in getattr(definitions, name))
    assert changed != getattr(definitions, name)
    monkeypatch.setattr(definitions, name, changed)
    return definitions.declared() != before


@pytest.mark.parametrize(
    ("name", "old", "change"),
    [
        ("MEASURES", AMENDED, {"value": "total_cents"}),
        ("MEASURES", AMENDED, {"event_type": EventType.ORDER_CREATED}),
        ("MEASURES", AMENDED, {"aggregate": Aggregate.EVENTS}),
        ("MEASURES", AMENDED, {"cube": replace(AMENDED.cube, rows="lines")}),
        ("MEASURES", AMENDED, {"cube": replace(AMENDED.cube, pane="hour")}),
        ("MEASURES", AMENDED, {"cube": replace(PRODUCTS, name="orders")}),
        ("KPIS", NET, {"source": (("revenue_cents", 1), ("amended_revenue_cents", 1))}),
        ("KPIS", NET, {"source": "revenue_cents"}),
        ("KPIS", AVERAGE, {"source": Ratio("revenue_cents", "units")}),
        ("KPIS", CUSTOMERS, {"source": Distinct("unique_customers", "region", EventType.ORDER_CREATED)}),
        ("PATTERNS", BURST, {"condition": "earlier_count >= 5"}),
        ("PATTERNS", BURST, {"window": timedelta(minutes=6)}),
        ("PATTERNS", BURST, {"fires": Fires.EACH}),
        ("PATTERNS", FAILURES, {"of": (EventType.PAYMENT_FAILED,)}),
    ],
)
def test_another_meaning_is_another_definition(
    monkeypatch: pytest.MonkeyPatch, name: str, old: Any, change: dict[str, object]
) -> None:
    assert said(monkeypatch, name, old, replace(old, **change))


@pytest.mark.parametrize(
    ("name", "old", "change"),
    [
        ("MEASURES", AMENDED, {"meaning": "said better", "cell_tolerance": Tolerance(0.5)}),
        ("KPIS", NET, {"meaning": "said better", "owner": "sales", "decides": False}),
        ("KPIS", NET, {"source": tuple(reversed(NET.source))}),  # type: ignore[arg-type]
        ("PATTERNS", BURST, {"meaning": "said better", "severity": Urgency.CRITICAL}),
        ("PATTERNS", FAILURES, {"of": tuple(reversed(FAILURES.of))}),
    ],
)
def test_what_is_shown_only_and_the_order_are_none(
    monkeypatch: pytest.MonkeyPatch, name: str, old: Any, change: dict[str, object]
) -> None:
    assert not said(monkeypatch, name, old, replace(old, **change))


def test_what_is_declared_no_more_does_no_harm_and_what_is_new_waits_for_up() -> None:
    definitions.require_same({"KPI a": "x", "KPI b": "y"}, {"KPI a": "x"})
    with pytest.raises(TandemError, match="the books do not have KPI b yet, which is declared: run 'tandem up'"):
        definitions.require_same({"KPI a": "x"}, {"KPI a": "x", "KPI b": "y"})
