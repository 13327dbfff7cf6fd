"""A date's KPIs as one of the layers, or the serving view, has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from psycopg.rows import dict_row

from tandem import clock, database, documents, kpis
from tandem.settings import Settings


class Layer(StrEnum):
    """Whose figures."""

    SPEED = "speed"
    BATCH = "batch"
    SERVING = "serving"


_ABSENT = {
    Layer.SPEED: "the speed layer has counted nothing for this date",
    Layer.BATCH: "no batch run of this date is published",
    Layer.SERVING: "neither layer has this date",
}


@dataclass(frozen=True, slots=True)
class DailyKpis:
    """Every KPI of a date, None where the layer has no value. Money is integer cents.

    ``complete``: nothing is still to come for the date as far as this layer can tell.
    """

    business_date: date
    layer: Layer
    as_of: datetime | None
    complete: bool
    metrics: dict[str, int | None]
    details: dict[str, str | int] = field(default_factory=dict)
    """``reason``, and where known ``status``, ``version``, ``run_id``."""

    def document(self) -> dict[str, Any]:
        """As ``tandem kpi --json`` prints it."""
        return {
            "business_date": self.business_date.isoformat(),
            "layer": self.layer.value,
            "as_of": documents.instant(self.as_of) if self.as_of else None,
            "complete": self.complete,
            "metrics": self.metrics,
            **self.details,
        }


def read(settings: Settings, business_date: date, layer: Layer) -> DailyKpis:
    """A date's KPIs, read as the role that may only read. Raises TandemError where Postgres cannot be reached."""
    query = getattr(database.queries("serving"), layer)
    with database.connect(settings, database.READER, row_factory=dict_row) as connection:
        row = connection.execute(query, {"business_date": business_date}).fetchone()
    if row is None:
        absent = dict.fromkeys(kpi.name for kpi in kpis.KPIS)
        return DailyKpis(business_date, layer, None, False, absent, _absence(layer))
    metrics: dict[str, int | None] = {kpi.name: row[kpi.name] for kpi in kpis.KPIS}
    complete, details = _judge(settings, business_date, layer, row)
    return DailyKpis(business_date, layer, row["as_of"], complete, metrics, details)


def _absence(layer: Layer) -> dict[str, str | int]:
    status: dict[str, str | int] = {"status": "missing"} if layer is Layer.SERVING else {}
    return {**status, "reason": _ABSENT[layer]}


def _judge(
    settings: Settings, business_date: date, layer: Layer, row: dict[str, Any]
) -> tuple[bool, dict[str, str | int]]:
    if layer is Layer.BATCH:
        return True, {"version": row["version"], "run_id": row["run_id"], "reason": row["reason"]}
    if layer is Layer.SERVING:
        details = {name: row[name] for name in ("status", "version", "reason") if row[name] is not None}
        return row["complete"], details
    _, end = clock.day_bounds(business_date, settings.zone)
    # How far the partition is that is furthest behind: the others may be far ahead of it.
    passed = row["up_to"] is not None and row["up_to"] >= end + settings.allowed_lateness
    begun = row["watermark"] is not None and row["watermark"] >= end
    early = "orders of the date still count until every partition is past its end and the allowed lateness"
    said = ["" if passed else early if begun else "no event after the end of the date has come yet", row["reason"]]
    return passed, {"reason": "; ".join(filter(None, said))}
