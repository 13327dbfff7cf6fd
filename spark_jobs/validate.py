"""The checks of ``tandem.checks`` over decoded events: which cannot count, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from tandem.checks import CHECKS, Severity, applies_when
from tandem.events import Decision, EventType

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def validate(events: DataFrame) -> DataFrame:
    """The events with ``reasons`` and ``decision``: ignored, quarantined, or NULL where the event may count.

    ``reasons`` are the codes of the failed checks, warnings too, sorted and joined by commas; '' where none failed.
    """
    critical = " OR ".join(condition for _, severity, condition in _FAILURES if severity is Severity.CRITICAL)
    known = ", ".join(f"'{event_type}'" for event_type in EventType)
    return events.select(
        "*",
        F.expr(f"concat_ws(',', {_reasons()})").alias("reasons"),
        F.expr(
            f"CASE WHEN event_type NOT IN ({known}) THEN '{Decision.IGNORED}'"
            f" WHEN {critical} THEN '{Decision.QUARANTINED}' END"
        ).alias("decision"),
    )


_FAILURES = tuple(
    (check.code, severity, f"coalesce(({applies}) AND ({check.fails_when}), false)")
    for check in CHECKS
    for severity in Severity
    if (applies := applies_when(check, severity))
)
"""Code, severity, and the SQL condition of each check that applies at all; never NULL."""


def _reasons() -> str:
    codes = sorted({code for code, _, _ in _FAILURES})
    failed = {code: " OR ".join(condition for c, _, condition in _FAILURES if c == code) for code in codes}
    return ", ".join(f"CASE WHEN {condition} THEN '{code}' END" for code, condition in failed.items())
