"""How amounts and numbers of things are printed for people."""

from __future__ import annotations

from tandem.kpis import Unit

_SIGNS = {"USD": "$", "EUR": "€", "GBP": "£"}


def count(number: int, one: str, many: str = "") -> str:
    """So many of something: ``1 row differs``, ``1,200 rows differ``. ``many``: ``one`` with an s if left out."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def show(value: int | None, unit: Unit, currency: str) -> str:
    """A KPI's value with thousands separators; ``–`` where there is none."""
    if value is None:
        return "–"
    if unit is not Unit.CENTS:
        return f"{value:,}"
    sign = "-" if value < 0 else ""
    return f"{sign}{_SIGNS.get(currency, currency + ' ')}{abs(value) // 100:,}.{abs(value) % 100:02d}"


def show_change(value: int | None, unit: Unit, currency: str) -> str:
    """A difference: as ``show``, with a plus where it is positive."""
    plus = "+" if value is not None and value > 0 else ""
    return plus + show(value, unit, currency)
