"""One report value, rendered: HTML for a mail, HTML that stands alone, text, JSON. Everything is escaped."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reconciliation import bias, chart, lateness, tables, wording
from reconciliation.headline import headline
from reconciliation.report import Report, State
from tandem import documents
from tandem.amounts import count, show, show_change
from tandem.kpis import KPIS, Unit

_TEMPLATES = Path(__file__).parent / "templates"
TREND_ID, WATERFALL_ID = "trend@tandem", "causes@tandem"
"""Content-IDs of the pictures in a mail."""

_TONES = {
    State.AGREES: "good",
    State.CORRECTED: "warn",
    State.WAITS: "bad",
    State.DIFFERS: "bad",
    State.NOT_COMPARED: "none",
    State.NOT_PUBLISHED: "bad",
}


def pictures(report: Report) -> dict[str, bytes]:
    """The PNGs of a report by Content-ID; one that would show nothing is not there."""
    steps = chart.waterfall(report)
    drawn = {WATERFALL_ID: chart.waterfall_png(steps, report.currency)} if steps else {}
    return drawn | ({TREND_ID: chart.trend_png(report.trend, limit_percent())} if report.trend else {})


def html(report: Report, *, sources: Mapping[str, str] | None = None) -> str:
    """The report as an HTML mail. ``sources``: where the pictures are, by Content-ID; without it, inside the mail."""
    if sources is None:
        sources = {name: f"cid:{name}" for name in (TREND_ID, WATERFALL_ID)}
    shown = {
        "trend_picture": sources.get(TREND_ID, "") if report.trend else "",
        "waterfall_picture": sources.get(WATERFALL_ID, "") if chart.waterfall(report) else "",
    }
    return inlined(_of(report, "html").render({**_context(report), **shown}))


def standalone(report: Report) -> str:
    """The report as one HTML file that loads nothing."""
    data = {name: base64.b64encode(png).decode("ascii") for name, png in pictures(report).items()}
    return html(report, sources={name: f"data:image/png;base64,{inside}" for name, inside in data.items()})


def text(report: Report) -> str:
    """The report as plain text."""
    rendered: str = _of(report, "txt").render(_context(report))
    return rendered.strip() + "\n"


def summary(report: Report) -> dict[str, Any]:
    """What a report comes to, as plain values for JSON. ``document`` has all of it."""
    return {
        "business_date": str(report.business_date),
        "reconciliation_id": report.reconciliation_id,
        "verdict": report.verdict.value,
        "state": report.state.value,
        "headline": headline(report),
        "cells_compared": report.cells_compared,
        "cells_differing": report.cells_differing,
        "events_differing": report.events_total,
        "corrections": documents.plain(report.corrections),
    }


def document(report: Report) -> dict[str, Any]:
    """The report as plain values for JSON, with what is derived from it."""
    derived = {"state": report.state.value, "subject": report.subject, "headline": headline(report)}
    steps = [{"text": step.text, "command": step.command} for step in wording.steps(report)]
    plain: dict[str, Any] = documents.plain(report)
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
        "so_many": count,
        "spaced": lambda value: str(value).replace("_", " "),
        "moment": lambda instant, day: _moment(instant, zone, day),
        "long_date": long_date,
        "total": tables.total,
        "headline": headline,
        "in_words": bias.in_words,
        "odds": bias.odds,
        "advice": lateness.in_words,
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


def _moment(instant: datetime | None, zone: ZoneInfo, day: date | None) -> str:
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
        "trend_in_words": chart.trend_in_words(report.trend),
        "waterfall_in_words": chart.waterfall_in_words(chart.waterfall(report), report.currency),
        "footer": tables.footer(report),
        "figure_rows": tables.figure_rows(report),
        "cause_rows": tables.cause_rows(report.causes, report.events_total, report.currency),
        "correction_rows": tables.correction_rows(report),
        "agreement_in_words": tables.agreement_in_words(report),
        "agreement_rows": tables.agreement_rows(report),
        "agreement_caption": tables.AGREEMENT_CAPTION,
        "trend_rows": tables.trend_rows(report),
    }
