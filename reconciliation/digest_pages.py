"""The digest, rendered: HTML for a mail, HTML that stands alone, text."""

from __future__ import annotations

import base64
from typing import Any

from reconciliation import chart, render, summary, tables
from reconciliation.digest import Digest, Total
from reconciliation.report import Report
from reconciliation.tables import Tile
from tandem.amounts import show, show_change
from tandem.kpis import Unit


def pictures(digest: Digest) -> dict[str, bytes]:
    """The chart of the week by Content-ID, where there is something to show."""
    days = summary.trend(digest.summary)
    return {render.TREND_ID: chart.trend_png(days, render.limit_percent())} if days else {}


def html(digest: Digest, *, picture: str | None = None) -> str:
    """The digest as an HTML mail. ``picture``: where its chart is; without it, inside the mail."""
    shown = picture if picture is not None else f"cid:{render.TREND_ID}" if summary.trend(digest.summary) else ""
    return render.inlined(_template(digest, "html").render({**_context(digest), "chart": shown}))


def standalone(digest: Digest) -> str:
    """The digest as one HTML file that loads nothing."""
    inside = [base64.b64encode(png).decode("ascii") for png in pictures(digest).values()]
    return html(digest, picture=f"data:image/png;base64,{inside[0]}" if inside else "")


def text(digest: Digest) -> str:
    """The digest as plain text."""
    rendered: str = _template(digest, "txt").render(_context(digest))
    return rendered.strip() + "\n"


def _template(digest: Digest, form: str) -> Any:
    return render.template(f"digest.{form}.jinja", currency=digest.currency, timezone=digest.timezone)


def _context(digest: Digest) -> dict[str, Any]:
    lines, _ = summary.lines(digest.summary)
    return {
        "digest": digest,
        "tone": summary.tone(digest.summary),
        "tiles": _tiles(digest),
        "lines": lines,
        "line_rows": summary.line_rows(lines),
        "total_rows": _total_rows(digest),
        "cause_rows": tables.cause_rows(digest.causes, digest.events_total, digest.currency),
        "corrected": [(report.business_date, _corrected(report)) for report in digest.corrected],
        "trend_in_words": chart.trend_in_words(summary.trend(digest.summary)),
    }


def _corrected(report: Report) -> str:
    """What corrections did to the date's revenue and orders."""
    moved = []
    for name in ("revenue_cents", "order_count"):
        figure = report.figure(name)
        if figure.counted is not None and figure.speed_now is not None and figure.counted != figure.speed_now:
            change = show_change(figure.speed_now - figure.counted, figure.unit, report.currency)
            moved.append(f"{figure.label} {change}")
    return " ".join(filter(None, (tables.corrections_in_words(report), ", ".join(moved) + "." if moved else "")))


def _tiles(digest: Digest) -> tuple[Tile, ...]:
    totals = {total.name: total for total in digest.totals}
    largest = ("0", "every figure is equal")
    if (report := digest.summary.worst) and (figure := report.worst):
        value = report.worst_in_words() if figure.percent is None else tables.percent(figure.percent)
        largest = (value, f"{figure.label}, {report.business_date}")
    return (
        _tile("Revenue", totals.get("revenue_cents"), digest.currency),
        _tile("Orders", totals.get("order_count"), digest.currency),
        Tile("Largest difference", *largest),
    )


def _tile(label: str, total: Total | None, currency: str) -> Tile:
    if total is None or total.counted is None:
        return Tile(label, "–", "no date was compared")
    return Tile(
        label,
        show(total.batch, total.unit, currency),
        f"the stream counted {show(total.counted, total.unit, currency)}",
    )


def _total_rows(digest: Digest) -> list[list[str]]:
    def money(value: int | None, unit: Unit) -> str:
        return show(value, unit, digest.currency)

    rows = [
        [
            total.label,
            money(total.batch, total.unit),
            money(total.counted, total.unit),
            show_change(total.difference, total.unit, digest.currency),
            tables.percent(total.percent),
            show_change(total.difference_now, total.unit, digest.currency),
        ]
        for total in digest.totals
    ]
    return [["figure", "batch", "stream as counted", "difference", "%", "difference now"], *rows]
