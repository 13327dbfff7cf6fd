"""One report value, rendered: HTML for a mail, HTML that stands alone, text, JSON. Everything is escaped."""

from __future__ import annotations

import base64
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reconciliation import chart, tables, wording
from reconciliation.report import Report, State
from tandem.amounts import show, show_change
from tandem.kpis import KPIS, Unit

_TEMPLATES = Path(__file__).parent / "templates"
CHART_ID = "trend@tandem"
"""Content-ID of the chart in a mail."""

_TONES = {
    State.AGREES: "good",
    State.CORRECTED: "warn",
    State.WAITS: "bad",
    State.DIFFERS: "bad",
    State.NOT_COMPARED: "none",
}


def html(report: Report, *, chart_source: str = f"cid:{CHART_ID}") -> str:
    """The report as an HTML mail whose chart is at ``chart_source``; '' leaves the chart out."""
    context = {**_context(report), "chart": chart_source if report.trend else ""}
    return inlined(_of(report, "html").render(context))


def standalone(report: Report) -> str:
    """The report as one HTML file that loads nothing."""
    data = base64.b64encode(chart.trend_png(report.trend, limit_percent())).decode("ascii") if report.trend else ""
    return html(report, chart_source=f"data:image/png;base64,{data}")


def text(report: Report) -> str:
    """The report as plain text."""
    rendered: str = _of(report, "txt").render(_context(report))
    return rendered.strip() + "\n"


def document(report: Report) -> dict[str, Any]:
    """The report as plain values for JSON, with what is derived from it."""
    derived = {"state": report.state.value, "subject": report.subject, "headline": report.headline}
    steps = [{"text": step.text, "command": step.command} for step in wording.steps(report)]
    plain: dict[str, Any] = msgspec.to_builtins(report)
    return {**derived, "use": wording.which_figure(report), "next_steps": steps, **plain}


def limit_percent(metric: str = "revenue_cents") -> float:
    """The declared relative tolerance of a KPI in percent."""
    return 100 * next(kpi.tolerance.relative for kpi in KPIS if kpi.name == metric)


@cache
def environment(currency: str, timezone: str, *, escape: bool) -> Environment:
    """Templates with the filters that print amounts and times."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=escape,  # noqa: S701 - plain text is not escaped; whatever ends in .html.jinja is
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    zone = ZoneInfo(timezone)
    made.filters |= {
        "amount": lambda value, unit: show(value, Unit(unit), currency),
        "change": lambda value, unit: show_change(value, Unit(unit), currency),
        "limit": lambda figure: tables.limit(figure, currency),
        "percent": tables.percent,
        "spaced": lambda value: str(value).replace("_", " "),
        "moment": lambda instant, day: _moment(instant, zone, day),
        "long_date": long_date,
        "total": tables.total,
    }
    made.globals |= {"words": wording.CAUSES, "columns": tables.columns}
    made.globals["style"] = Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8"))  # noqa: S704 - our own file
    return made


def template(name: str, *, currency: str = "USD", timezone: str = "UTC") -> Any:
    """A template by its name; what ends in .html.jinja escapes."""
    return environment(currency, timezone, escape=name.endswith(".html.jinja")).get_template(name)


def _of(report: Report, form: str) -> Any:
    return template(f"report.{form}.jinja", currency=report.currency, timezone=report.timezone)


def inlined(page: str) -> str:
    """A page with its styles on the elements, as mail programs need them; rules for narrow screens stay on top."""
    import css_inline

    inliner = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
    return str(inliner.inline(page))


def long_date(day: date) -> str:
    """A date as people write it."""
    return f"{day:%A} {day.day} {day:%B %Y}"


def _moment(instant: datetime | None, zone: ZoneInfo, day: date) -> str:
    """A time in the business time zone, with its date where that is not ``day``."""
    if instant is None:
        return "no time"
    local = instant.astimezone(zone)
    return f"{local:%H:%M:%S}" if local.date() == day else f"{local:%Y-%m-%d %H:%M:%S}"


def _context(report: Report) -> dict[str, Any]:
    return {
        "report": report,
        "tone": _TONES[report.state],
        "tiles": tables.tiles(report),
        "which_figure": wording.which_figure(report),
        "steps": wording.steps(report),
        "corrected_before": any(figure.counted != figure.speed for figure in report.figures),
        "corrections_in_words": tables.corrections_in_words(report),
        "gates_in_words": tables.gates_in_words(report),
        "chart_in_words": chart.trend_in_words(report.trend),
        "footer": tables.footer(report),
        "figure_rows": tables.figure_rows(report),
        "cause_rows": tables.cause_rows(report),
        "correction_rows": tables.correction_rows(report),
        "trend_rows": tables.trend_rows(report),
    }
