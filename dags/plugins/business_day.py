"""The timetable of the nightly run: one business day, from midnight to midnight, due at 02:00 of the next.

Airflow's own timetables name a run after the moment it starts, or after an interval that runs from 02:00 to 02:00; a
backfill "from 21 to 23 December" then misses a day or takes one too many, depending on where the browser is. Here a
run's logical date is the midnight that begins its business date, and a range means the dates that were entered.
"""

from __future__ import annotations

import os
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.plugins_manager import AirflowPlugin
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from pendulum import DateTime, instance, now

from tandem import business_date, clock


class BusinessDayTimetable(Timetable):
    """Daily at 02:00 in the business time zone, for the day before. Missed runs are not caught up."""

    description = "At 02:00 in the business time zone, for the business date before"

    def __init__(self, zone: str | None = None) -> None:
        # The setting's own variable: reading all settings would cost every parse of the DAGs half a second.
        self._zone = ZoneInfo(zone or os.environ.get("TANDEM_BUSINESS_TIMEZONE", "UTC"))

    @property
    def summary(self) -> str:
        """What the list of DAGs shows as schedule."""
        return f"02:00 {self._zone.key}"

    def serialize(self) -> dict[str, Any]:
        """What the scheduler needs to make the timetable anew."""
        return {"zone": self._zone.key}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> BusinessDayTimetable:
        """The timetable from what ``serialize`` gave."""
        return cls(data["zone"])

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """The business date before ``run_after``: what a run started by hand is for unless a date was entered."""
        return self._interval(clock.business_date(run_after, self._zone) - timedelta(days=1))

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The next run after the last one; without catch-up, none older than the newest that is due."""
        candidates = []
        if last_automated_data_interval is not None:
            last = clock.business_date(last_automated_data_interval.start, self._zone)
            candidates.append(last + timedelta(days=1))
        elif restriction.earliest is not None:
            candidates.append(business_date.first_meant(restriction.earliest, self._zone))
        if not restriction.catchup or not candidates:
            candidates.append(business_date.newest_due(now("UTC"), self._zone))
        day = max(candidates)
        if restriction.latest is not None and day > business_date.last_meant(restriction.latest, self._zone):
            return None
        return DagRunInfo(run_after=instance(business_date.due_at(day, self._zone)), data_interval=self._interval(day))

    def _interval(self, day: date) -> DataInterval:
        start, end = clock.day_bounds(day, self._zone)
        return DataInterval(instance(start), instance(end))


class TandemPlugin(AirflowPlugin):
    """Makes the timetable known to the scheduler and the API server."""

    name = "tandem"
    timetables = [BusinessDayTimetable]  # noqa: RUF012 - the base class declares it so
