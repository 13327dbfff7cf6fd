"""What must hold of a date's order facts before anything is published, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from spark_jobs.facts import COLUMNS
from tandem.events import Decision


class Level(StrEnum):
    """What a failed expectation does."""

    FAIL = "fail"
    """Nothing is published."""
    WARN = "warn"
    """The views are published, and the report says so."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """``name``: what people read; ``kind``: class in ``great_expectations.expectations``; ``arguments``: its own.

    ``where``: only rows for which this pandas query holds.
    """

    name: str
    kind: str
    arguments: dict[str, Any]
    level: Level = Level.FAIL
    where: str | None = None

    @property
    def of_rows(self) -> bool:
        """Whether it says something of rows, and so nothing where there are none."""
        return "column_set" not in self.arguments


@dataclass(frozen=True, slots=True)
class Suite:
    """Expectations of one frame, which ``gate`` makes."""

    name: str
    expectations: tuple[Expectation, ...] = field(default=())


_COUNTED = f'decision == "{Decision.COUNTED}"'
_CREATED = f'{_COUNTED} and event_type == "order_created"'


def _not_null(column: str) -> Expectation:
    return Expectation(
        f"every counted event has its {column}", "ExpectColumnValuesToNotBeNull", {"column": column}, where=_COUNTED
    )


def _holds(name: str, column: str) -> Expectation:
    return Expectation(name, "ExpectColumnValuesToBeInSet", {"column": column, "value_set": [True]})


FACTS = Suite(
    "order_facts",
    (
        Expectation(
            "the columns are those agreed",
            "ExpectTableColumnsToMatchSet",
            {"column_set": list(COLUMNS), "exact_match": False},
        ),
        Expectation(
            "a record stands once",
            "ExpectCompoundColumnsToBeUnique",
            {"column_list": ["partition", "offset"]},
        ),
        Expectation(
            "every row has a decision",
            "ExpectColumnValuesToBeInSet",
            {"column": "decision", "value_set": [str(d) for d in Decision if d is not Decision.LATE]},
        ),
        *map(_not_null, ("event_id", "event_time", "order_id", "customer_id")),
        Expectation(
            "no event is counted twice", "ExpectColumnValuesToBeUnique", {"column": "event_id"}, where=_COUNTED
        ),
        Expectation(
            "no order is created twice", "ExpectColumnValuesToBeUnique", {"column": "order_id"}, where=_CREATED
        ),
        Expectation(
            "every order created has a total above 0",
            "ExpectColumnValuesToBeBetween",
            {"column": "total_cents", "min_value": 1},
            where=_CREATED,
        ),
        _holds("every row is below the cut", "below_cut"),
        _holds("every row comes from the archive", "archived"),
        Expectation(
            "at most 5 % of the events are in quarantine",
            "ExpectColumnMeanToBeBetween",
            {"column": "quarantined", "max_value": 0.05},
            level=Level.WARN,
        ),
    ),
)

ARCHIVE = Suite("archive", (_holds("every archived record of the date has its row", "in_facts"),))
