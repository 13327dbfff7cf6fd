"""What a drill came to, for people on the terminal, as a page that needs nothing else, and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

from reconciliation import render
from reconciliation.drill import judge_layers
from reconciliation.drill.judge_layers import LayerOutcome
from reconciliation.drill.matrix import CAUSES, NOT_PLANTED, KindLine, Outcome
from tandem.amounts import count, show, show_change
from tandem.kpis import Unit

_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Result:
    """A drill's outcome in every form."""

    passed: bool
    document: dict[str, Any]
    terminal: Callable[[], None]
    page: Callable[[str], str] | None = None
    """Makes a page under a title."""


def of_data(outcome: Outcome, currency: str) -> Result:
    """Of faults in the data."""
    return Result(
        outcome.passed,
        document(outcome),
        partial(terminal, outcome, currency),
        partial(page, outcome, currency=currency),
    )


def of_layers(outcome: LayerOutcome, currency: str) -> Result:
    """Of faults in the layers, which have no page."""
    return Result(outcome.passed, judge_layers.document(outcome), partial(layers, outcome, currency))


def terminal(outcome: Outcome, currency: str) -> None:
    """Print it all."""
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 110)
    console.print(_matrix(outcome, currency))
    console.print(_kinds(outcome, currency))
    _problems(console, outcome.problems)
    console.print(headline(outcome), style="green" if outcome.passed else "bold red", highlight=False)


def layers(outcome: LayerOutcome, currency: str) -> None:
    """Print what was found of faults in the layers."""
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120)
    table = Table(title="Faults in the layers", title_justify="left")
    for name in ("fault", "dates", "must be found as", "found as: cells, revenue", "corrections"):
        table.add_column(name)
    for line in outcome.lines:
        seen = [
            cause.replace("_", " ") + (f": {cells}, {show_change(cents, Unit.CENTS, currency)}" if cells else "")
            for cause, (cells, cents) in line.found.items()
        ]
        style = "bold red" if line.problems else None
        dates = ", ".join(f"{day:%m-%d}" for day in line.fault.dates)
        must = f"{line.fault.cause.replace('_', ' ')}, corrections: {line.fault.corrections}"
        table.add_row(line.fault.name, dates, must, "\n".join(seen), line.corrections, style=style, end_section=True)
    console.print(table)
    problems = [*outcome.false_alarms, *(said for line in outcome.lines for said in line.problems)]
    _problems(console, problems)
    said = f"{outcome.found} of {len(outcome.lines)} faults in the layers found as what they are"
    verdict = f"{said}, {count(len(outcome.false_alarms), 'false alarm')} on {count(outcome.dates, 'date')}."
    console.print(f"{'Passed' if outcome.passed else 'FAILED'}: {verdict}", highlight=False)


def _problems(console: Console, problems: Sequence[str]) -> None:
    for problem in problems[:_PROBLEMS]:
        console.print(problem, style="red", highlight=False, markup=False)
    if (left := len(problems) - _PROBLEMS) > 0:
        console.print(f"{left} more", style="red")


def headline(outcome: Outcome) -> str:
    """The drill in one sentence."""
    alarms = count(outcome.false_alarms, "false alarm")
    said = [
        f"{outcome.found} of {outcome.planted} faults found with their cause and amount",
        f"{outcome.unexplained_cents} cents unexplained",
        f"{alarms} on {count(outcome.dates, 'date')}, {outcome.clean_dates} of them without a fault",
    ]
    wrong = {
        "with a wrong cause": outcome.wrong_cause,
        "with a wrong amount": outcome.wrong_amount,
        "decided otherwise than planted": outcome.wrong_decision,
        "cells of the ledger wrong": outcome.wrong_cells,
        "dates not compared": outcome.not_compared,
        "dates not exact after their corrections": outcome.not_converged,
    }
    said += [f"{count} {what}" for what, count in wrong.items() if count]
    return f"{'Passed' if outcome.passed else 'FAILED'}: {', '.join(said)}."


def rows_and_columns(outcome: Outcome) -> tuple[list[str], list[str]]:
    """The planted causes and the found ones that hold anything, each of both in both."""
    held = {cause for place in outcome.matrix for cause in place}
    causes = [cause for cause in CAUSES if cause in held]
    return [*causes, *([NOT_PLANTED] if NOT_PLANTED in held else [])], causes


def _matrix(outcome: Outcome, currency: str) -> Table:
    table = Table(title="Planted (rows) × found (columns): events, difference in revenue", title_justify="left")
    rows, columns = rows_and_columns(outcome)
    table.add_column("")
    for cause in columns:
        table.add_column(cause.replace("_", " "), justify="right")
    for planted in rows:
        cells = []
        for cause in columns:
            entry = outcome.matrix.get((planted, cause))
            text = "·" if entry is None else f"{entry.events}  {show_change(entry.found_cents, Unit.CENTS, currency)}"
            right = entry is None or (planted == cause and entry.planted_cents == entry.found_cents)
            cells.append(text if right else f"[bold red]{text}[/]")
        table.add_row(planted.replace("_", " "), *cells)
    return table


def _kinds(outcome: Outcome, currency: str) -> Table:
    table = Table(title="By kind of fault", title_justify="left")
    table.add_column("kind")
    table.add_column("cause to be found")
    for name in ("planted", "money", "found"):
        table.add_column(name, justify="right")
    for line in outcome.kinds:
        style = None if line.found == line.planted else "bold red"
        money = show(line.cents, Unit.CENTS, currency)
        table.add_row(line.kind, line.cause, str(line.planted), money, str(line.found), style=style)
    return table


def page(outcome: Outcome, title: str, currency: str) -> str:
    """One HTML page with the matrix as a heat map."""
    rows, columns = rows_and_columns(outcome)
    context = {
        "outcome": outcome,
        "title": title,
        "headline": headline(outcome),
        "rows": rows,
        "columns": columns,
        "most": max((entry.events for entry in outcome.matrix.values()), default=1),
        "problems": outcome.problems[:_PROBLEMS],
    }
    return render.inlined(render.template("drill.html.jinja", currency=currency).render(context))


def document(outcome: Outcome) -> dict[str, Any]:
    """As ``--json`` prints it."""
    names = (
        "planted", "found", "wrong_cause", "wrong_amount", "wrong_decision", "wrong_cells", "unexplained_cents",
        "unexplained_cells", "false_alarms", "not_compared", "not_converged", "dates", "clean_dates",
        "out_of_tolerance",
    )  # fmt: skip
    matrix: dict[str, dict[str, dict[str, int]]] = {}
    for (planted, found), entry in outcome.matrix.items():
        matrix.setdefault(planted, {})[found] = {
            "events": entry.events,
            "planted_cents": entry.planted_cents,
            "found_cents": entry.found_cents,
        }
    kinds = [{name: getattr(line, name) for name in KindLine.__slots__} for line in outcome.kinds]
    return {
        "passed": outcome.passed,
        **{name: getattr(outcome, name) for name in names},
        "matrix": matrix,
        "kinds": kinds,
        "problems": list(outcome.problems),
    }
