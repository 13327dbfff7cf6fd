"""The pictures of a report: what leads from the stream's revenue to the batch layer's, and how the last days went."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from reconciliation.explain import Cause
from reconciliation.report import DayInTrend, Report
from tandem.amounts import show, show_change
from tandem.kpis import Unit

GREEN, RED, GREY, BLUE, AMBER = "#1a7f4b", "#b3261e", "#5f6b7a", "#30506e", "#c98a1b"
_LOST = (Cause.MISSING_IN_STREAM, Cause.MISSING_IN_BATCH, Cause.AGGREGATION, Cause.UNEXPLAINED)
_FAULTS = frozenset(cause.replace("_", " ") for cause in _LOST)
"""Steps that are drawn in red: one of the layers lost something."""
_WIDTH_IN, _DPI = 6.6, 144
_TREND_HEIGHT_IN, _ROW_IN = 2.3, 0.36
_TEXT_PT = 10.5
_LABELS = 8
"""So many dates fit below the bars, also where a phone shows the picture at half its size."""
_COLOURS = 48
"""So few are in it that a palette of these loses nothing and takes a third of the bytes."""


def _drawing(height_in: float) -> tuple[Any, Any]:
    """A figure and its axes, without frame."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_IN, height_in), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(axis="both", labelsize=_TEXT_PT, length=0, colors=GREY)
    axes.spines[:].set_visible(False)
    return figure, axes


def _png(figure: Any) -> bytes:
    from PIL import Image

    drawn, reduced = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(_COLOURS).save(reduced, format="png", optimize=True)
    return reduced.getvalue()


def trend_png(days: tuple[DayInTrend, ...], limit_percent: float) -> bytes:
    """A PNG of revenue differences in percent, one bar a date; a ring shows where corrections brought it."""
    figure, axes = _drawing(_TREND_HEIGHT_IN)
    counted = [day.counted_percent for day in days]
    axes.axhspan(-limit_percent, limit_percent, color=GREEN, alpha=0.12, linewidth=0)
    axes.axhline(0, color=GREY, linewidth=0.8)
    colours = [GREEN if abs(value) <= limit_percent else RED for value in counted]
    axes.bar(range(len(days)), counted, width=0.6, color=colours)
    corrected = [place for place, day in enumerate(days) if day.counted_percent != day.now_percent]
    axes.plot(corrected, [days[place].now_percent for place in corrected], "o", mfc="white", mec=GREY, ms=6, mew=1.6)
    step = -(-len(days) // _LABELS)
    labelled = range((len(days) - 1) % step, len(days), step)  # the last date always is
    axes.set_xticks(labelled, [f"{days[at].business_date.day} {days[at].business_date:%b}" for at in labelled])
    axes.set_xlim(-0.8, max(len(days), 7) - 0.2)
    reach = 1.25 * max([limit_percent * 1.5, *map(abs, counted)])
    axes.set_ylim(-reach, reach)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:+g} %" if round(value, 6) else "0")
    return _png(figure)


def trend_in_words(days: tuple[DayInTrend, ...]) -> str:
    """The same for who cannot see it."""
    said = [
        f"{day.business_date} {day.counted_percent:+.2f} %"
        + (f", corrected to {day.now_percent:+.2f} %" if day.counted_percent != day.now_percent else "")
        for day in days
    ]
    return "Difference of revenue in percent of batch: " + "; ".join(said)


def waterfall(report: Report) -> tuple[tuple[str, int], ...]:
    """From the stream's revenue as counted, cause by cause, to the batch layer's: labels and cents.

    The first and the last are totals, those between are what each cause adds. Empty where a side or a cause is missing.
    """
    revenue = report.figure("revenue_cents")
    causes = [(cause.cause.replace("_", " "), cause.amounts.get(revenue.name, 0)) for cause in report.causes]
    adding = sorted([line for line in causes if line[1]], key=lambda line: -line[1])
    if revenue.batch is None or revenue.counted is None or not adding:
        return ()
    return (("stream as counted", revenue.counted), *adding, ("batch", revenue.batch))


def waterfall_png(steps: tuple[tuple[str, int], ...], currency: str) -> bytes:
    """A PNG of ``waterfall``, one row a step, amounts in the currency. The axis does not begin at 0."""
    figure, axes = _drawing(_ROW_IN * len(steps) + 0.2)
    (_, start), *causes, (_, end) = steps
    levels = [start]
    for _, amount in causes:
        levels.append(levels[-1] + amount)
    span = max([*levels, end]) - min([*levels, end]) or 1
    left = min([*levels, end]) - span * 0.25
    axes.barh(0, start - left, left=left, height=0.62, color=GREY)
    for row, (before, (label, amount)) in enumerate(zip(levels, causes, strict=False), start=1):
        axes.barh(row, amount, left=before, height=0.62, color=RED if label in _FAULTS else AMBER)
        axes.plot([before, before], [row - 0.69, row - 0.31], color=GREY, linewidth=0.8)
    last = len(steps) - 1
    axes.plot([end, end], [last - 0.69, last - 0.31], color=GREY, linewidth=0.8)
    axes.barh(last, end - left, left=left, height=0.62, color=BLUE)
    rights = [start, *(max(before, before + amount) for before, (_, amount) in zip(levels, causes, strict=False)), end]
    for row, (right, (_, amount)) in enumerate(zip(rights, steps, strict=True)):
        said = show(amount, Unit.CENTS, currency) if row in {0, last} else show_change(amount, Unit.CENTS, currency)
        axes.text(right + span * 0.03, row, said.replace("$", r"\$"), va="center", fontsize=_TEXT_PT, color="#1d2733")
    axes.set_yticks(range(len(steps)), [label for label, _ in steps], color="#1d2733")
    axes.set_xticks([])
    axes.set_ylim(last + 0.5, -0.5)
    axes.set_xlim(left, max(rights) + span * 0.55)
    return _png(figure)


def waterfall_in_words(steps: tuple[tuple[str, int], ...], currency: str) -> str:
    """The same for who cannot see it."""
    if not steps:
        return ""
    (_, start), *causes, (_, end) = steps
    between = "".join(f", {label} {show_change(amount, Unit.CENTS, currency)}" for label, amount in causes)
    return f"Revenue: stream {show(start, Unit.CENTS, currency)}{between}, batch {show(end, Unit.CENTS, currency)}"
