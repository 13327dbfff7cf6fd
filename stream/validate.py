"""validate: typed events → which of them count at all, and why not. The checks are those of ``tandem.checks``."""

from __future__ import annotations

from functools import cache

import polars as pl

from tandem.checks import CHECKS, Severity, applies_when
from tandem.events import Decision, EventType


def validate(events: pl.DataFrame) -> pl.DataFrame:
    """The events with ``reasons`` and ``decision``: ignored, quarantined, or NULL where the event may count.

    ``reasons`` are the codes of the failed checks, warnings too, sorted and joined by commas; '' where none failed.
    """
    failed = events.select(_failures())
    known = pl.col("event_type").is_null() | pl.col("event_type").is_in(list(EventType))
    critical = pl.any_horizontal(name for name in failed.columns if name.startswith(Severity.CRITICAL))
    return events.with_columns(
        _reasons(failed),
        failed.select(critical.alias("critical")).to_series(),
    ).select(
        pl.exclude("critical"),
        pl.when(~known)
        .then(pl.lit(str(Decision.IGNORED)))
        .when(pl.col("critical"))
        .then(pl.lit(str(Decision.QUARANTINED)))
        .alias("decision"),
    )


@cache
def _failures() -> list[pl.Expr]:
    """One boolean column per check and severity, named ``severity code``; never NULL."""
    return [
        pl.sql_expr(f"({applies}) AND ({check.fails_when})").fill_null(value=False).alias(f"{severity} {check.code}")
        for check in CHECKS
        for severity in Severity
        if (applies := applies_when(check, severity))
    ]


def _reasons(failed: pl.DataFrame) -> pl.Series:
    """The codes per event. Texts are only made for the few events with any."""
    rows = failed.with_row_index("row").filter(pl.any_horizontal(failed.columns))
    codes = sorted({name.split(" ")[1] for name in failed.columns})
    code_or_null = [
        pl.when(pl.any_horizontal(name for name in failed.columns if name.endswith(f" {code}"))).then(pl.lit(code))
        for code in codes
    ]
    named = rows.select("row", pl.concat_str(code_or_null, separator=",", ignore_nulls=True).alias("reasons"))
    every = failed.select(pl.int_range(pl.len(), dtype=pl.get_index_type()).alias("row"))
    joined = every.join(named, on="row", how="left", maintain_order="left")
    return joined["reasons"].fill_null("")
