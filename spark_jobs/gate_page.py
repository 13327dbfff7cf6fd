"""The page of a run's gate results: one file that loads nothing from outside, kept beside the other state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from tandem import database, pages
from tandem.errors import TandemError

if TYPE_CHECKING:
    from datetime import date, datetime

    from jinja2 import Environment

    from tandem.settings import Settings


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation as it was found. ``failing_rows``: the first that do not meet it, each a row of named values."""

    suite: str
    expectation: str
    level: str
    success: bool
    observed: str
    failing_rows: list[dict[str, Any]]
    checked_at: datetime

    @property
    def outcome(self) -> str:
        """In one word."""
        return "passed" if self.success else "failed" if self.level == "fail" else "warning"


@dataclass(frozen=True, slots=True)
class Page:
    """All checks of a run, those that did not pass first."""

    run_id: str
    business_date: date
    checks: tuple[Check, ...]

    @property
    def failed(self) -> int:
        """How many keep the date from being published."""
        return sum(check.outcome == "failed" for check in self.checks)


def read(settings: Settings, business_date: date, run_id: str | None = None) -> Page:
    """The checks of a run, by default of the date's last run that had any. Raises TandemError where there are none."""
    where = {"business_date": business_date, "run_id": run_id}
    with database.connect(settings, database.READER, row_factory=dict_row) as connection:
        rows = connection.execute(database.queries("batch").gate_page, where).fetchall()
    if not rows:
        raise TandemError(
            f"no run of {business_date} was checked", f"compute the date: tandem batch --date {business_date}"
        )
    found = [Check(**{name: row[name] for name in Check.__slots__}) for row in rows]
    order = ("failed", "warning", "passed")
    checks = sorted(found, key=lambda check: (order.index(check.outcome), check.suite, check.expectation))
    return Page(rows[0]["run_id"], business_date, tuple(checks))


def html(page: Page) -> str:
    """The page as a file."""
    return _templates().get_template("gates.html.jinja").render(page=page, columns=_columns)


def keep(settings: Settings, page: Page) -> Path:
    """Write the page where ``tandem.pages`` finds it; returns its path."""
    return pages.keep(settings, pages.Kind.GATES, page.run_id, html(page))


def _columns(check: Check) -> list[str]:
    """Names of the failing rows' values, in the order in which they first occur."""
    return list(dict.fromkeys(name for row in check.failing_rows for name in row))


@lru_cache(maxsize=1)
def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).with_name("templates")
    return Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
