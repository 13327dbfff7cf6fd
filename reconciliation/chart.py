"""The chart of the last days: by how much the stream was off, against the band that is allowed."""

from __future__ import annotations

from io import BytesIO

from reconciliation.report import DayInTrend

GREEN, RED, GREY = "#1a7f4b", "#b3261e", "#5f6b7a"
_WIDTH_IN, _HEIGHT_IN, _DPI = 6.6, 2.3, 144
_COLOURS = 48
"""So few are in it that a palette of these loses nothing and takes a third of the bytes."""


def trend_png(days: tuple[DayInTrend, ...], limit_percent: float) -> bytes:
    """A PNG of revenue differences in percent, one bar a date; a ring shows where corrections brought it."""
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(_WIDTH_IN, _HEIGHT_IN), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    places = range(len(days))
    counted = [day.counted_percent for day in days]
    axes.axhspan(-limit_percent, limit_percent, color=GREEN, alpha=0.12, linewidth=0)
    axes.axhline(0, color=GREY, linewidth=0.8)
    colours = [GREEN if abs(value) <= limit_percent else RED for value in counted]
    axes.bar(places, counted, width=0.5, color=colours)
    corrected = [place for place, day in enumerate(days) if day.counted_percent != day.now_percent]
    axes.plot(corrected, [days[place].now_percent for place in corrected], "o", mfc="white", mec=GREY, ms=6, mew=1.6)
    axes.set_xticks(places, [f"{day.business_date.day} {day.business_date:%b}" for day in days], fontsize=9)
    axes.set_xlim(-0.8, max(len(days), 7) - 0.2)
    reach = 1.25 * max([limit_percent * 1.5, *map(abs, counted)])
    axes.set_ylim(-reach, reach)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:+g} %" if round(value, 6) else "0")
    axes.tick_params(axis="both", labelsize=9, length=0, colors=GREY)
    axes.spines[:].set_visible(False)
    drawn, reduced = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(_COLOURS).save(reduced, format="png", optimize=True)
    return reduced.getvalue()


def trend_in_words(days: tuple[DayInTrend, ...]) -> str:
    """The same for who cannot see it."""
    said = [
        f"{day.business_date} {day.counted_percent:+.2f} %"
        + (f", corrected to {day.now_percent:+.2f} %" if day.counted_percent != day.now_percent else "")
        for day in days
    ]
    return "Difference of revenue in percent of batch: " + "; ".join(said)
