"""Charts of the figures, as SVG or PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_OURS, _OTHERS, _LIMIT = "#1f6f8b", "#9aa5b1", "#d9dee3"


def draw(rates: Mapping[str, Mapping[str, Any]], file: Path) -> None:
    """Bars of events a second, one for each that was measured."""
    from matplotlib.figure import Figure

    names = sorted(rates, key=lambda name: rates[name]["events_per_second"])
    values = [rates[name]["events_per_second"] for name in names]
    colors = [_OURS if name == "tandem" else _LIMIT if name == "ceiling" else _OTHERS for name in names]
    figure = Figure(figsize=(7, 0.5 * len(names) + 1), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh([name.replace("_", " ") for name in names], values, color=colors)
    axes.bar_label(bars, labels=[f"{value:,}" for value in values], padding=4)
    axes.set_xlabel("events a second")
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file)


def draw_latency(points: Sequence[Mapping[str, float]], file: Path) -> None:
    """Latency over load: p50 and p99 in milliseconds, each load as its share of the highest rate."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    shares = [100 * point["share"] for point in points]
    for name, color in (("p50_ms", _OURS), ("p99_ms", _OTHERS)):
        axes.plot(shares, [point[name] for point in points], marker="o", color=color, label=name[:3])
    axes.axhline(1000, linestyle=":", color="black", linewidth=1)
    axes.set_xlabel("load, % of the highest rate")
    axes.set_ylabel("event produced → visible, ms")
    axes.set_yscale("log")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file)


def draw_jobs(jobs: Mapping[str, Mapping[str, float]], file: Path) -> None:
    """Bars of seconds by job, ours beside DuckDB's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.8 * len(jobs) + 1), layout="constrained")
    axes = figure.subplots()
    names = list(reversed(jobs))
    for shift, who, color in ((0.2, "tandem", _OURS), (-0.2, "duckdb", _OTHERS)):
        values = [jobs[name][f"{who}_seconds"] for name in names]
        bars = axes.barh([row + shift for row in range(len(names))], values, height=0.36, color=color, label=who)
        axes.bar_label(bars, labels=[f"{value:.1f}" for value in values], padding=4)
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.set_xlabel("seconds")
    axes.margins(x=0.12)
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file)
