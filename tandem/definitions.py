"""What each declared name means: measures, KPIs, sketches, patterns. The first ``tandem up`` that has it notes it.

Under one name old rows would mean what it meant, and new ones what it means: every sum over both, and every comparison
of the layers, would be of unlike things, and no figure would show it. So another meaning takes another name. What is
only shown, or decides about two figures (meanings for people, tolerances, owners, topics), may change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from tandem.errors import TandemError
from tandem.kpis import KPIS, MEASURES, Distinct, Kpi, Measure, Ratio
from tandem.patterns import PATTERNS, Pattern
from tandem.rollups import ROLLUP_MEASURES, SKETCHES, Sketch

_TOKEN = re.compile(
    r"(?P<nothing>--[^\n]*|/\*.*?\*/|\s+)"
    r"|(?P<quoted>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")"
    r"|(?P<plain>[\w.]+|<=|>=|<>|!=|\|\||::|.)",
    re.DOTALL,
)
"""Of the small common part of SQL that declarations are written in."""


def declared() -> dict[str, str]:
    """Name → what it means, of all that is declared; the same text however that is spaced, commented and ordered."""
    return {
        **{f"measure {each.cube.name}.{each.name}": _measure(each) for each in (*MEASURES, *ROLLUP_MEASURES)},
        **{f"KPI {each.name}": _kpi(each) for each in KPIS},
        **{f"sketch {each.name}": _sketch(each) for each in SKETCHES},
        **{f"pattern {each.name}": _pattern(each) for each in PATTERNS},
    }


def require_same(kept: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raises TandemError where a name means something else in the books, or is not in them yet.

    ``kept``, ``now``: as of ``declared``. What only the books have does no harm: it was declared once, or by others.
    """
    for name in sorted(now.keys() & kept.keys()):
        if kept[name] != now[name]:
            raise TandemError(
                f"the books keep {name} as {kept[name]}, and the declarations say {now[name]}",
                "give it another name: what is booked under this one stays what it was",
            )
    if new := sorted(now.keys() - kept.keys()):
        raise TandemError(f"the books do not have {new[0]} yet, which is declared", "run 'tandem up'")


def plain(expression: str) -> str:
    """An SQL expression without what says nothing: comments, line breaks and spaces, upper and lower case of words."""
    found = (token for token in _TOKEN.finditer(expression) if token.lastgroup != "nothing")
    return " ".join(token[0] if token.lastgroup == "quoted" else token[0].lower() for token in found)


def _measure(of: Measure) -> str:
    cells = " and ".join(filter(None, [of.cube.key, of.cube.pane]))
    return f"{of.aggregate}({plain(of.value)}) of {of.cube.rows} of {of.event_type} by {cells}"


def _kpi(of: Kpi) -> str:
    match of.source:
        case str(measure):
            return measure
        case Ratio(numerator, denominator):
            return f"{numerator} / {denominator}"
        case Distinct(column=column, event_type=event_type):
            return f"distinct({column}) of {event_type}"
        case terms:
            return " ".join(f"{factor:+d} × {measure}" for measure, factor in sorted(terms))


def _sketch(of: Sketch) -> str:
    return f"distinct({of.column}) of {of.rows} of {of.event_type}"


def _pattern(of: Pattern) -> str:
    events = ", ".join(sorted(of.of))
    seconds = of.window / timedelta(seconds=1)
    rows = f"{of.rows} rows of {events} by {of.key}, within {seconds:g} s"
    return f"{of.fires} {plain(of.condition)}, of {rows}"
