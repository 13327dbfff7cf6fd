"""The KPIs of a business date, and the hourly cells that they are sums of: in all, per product, per category.

Usage: spark-submit spark_jobs/daily_metrics.py --date 2017-12-23

A date without any event has a row of zeros, with the average empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs import facts, job, staging
from spark_jobs.cells import cells, counted, distincts, hourly_distincts
from tandem import database
from tandem.kpis import CUBES, KPIS, ORDERS, Distinct, daily_kpis, measures_of

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import DataFrame

_TABLE = "daily_metrics"
_MEASURES = tuple(measure.name for measure in measures_of(ORDERS))
_DISTINCTS = tuple(kpi.source for kpi in KPIS if isinstance(kpi.source, Distinct))


def compute(asked: job.Job) -> None:
    """Stage ``batch.daily_metrics`` and the cells of every cube for the dates of the job."""
    zone = asked.settings.business_timezone
    version = asked.facts_version()
    versions: dict[date, int | None] = dict.fromkeys(asked.dates, version)
    of_dates = facts.read(asked.spark, asked.settings, asked.dates[0], asked.dates[-1], version=version)
    events = counted(of_dates.filter(F.col("business_date").isin(list(asked.dates)))).persist()
    for cube in CUBES:
        staging.write(cells(events, cube, zone), cube.hour_table, asked.settings, asked.runs, versions)
        asked.say(f"batch.{cube.hour_table} staged")
    staging.write(hourly_distincts(events, zone), "hourly_distincts", asked.settings, asked.runs, versions)
    asked.say("batch.hourly_distincts staged")
    _stage(asked, metrics(events, asked.dates, zone), versions)
    asked.say(f"batch.{_TABLE} staged")
    events.unpersist()


def metrics(events: DataFrame, dates: tuple[date, ...], zone: str) -> dict[date, dict[str, int | None]]:
    """Every KPI of each of ``dates``, from their counted events."""
    hours = cells(events, ORDERS, zone)
    totals = _by_date(hours.groupBy("business_date").agg(*(F.sum(name).alias(name) for name in _MEASURES)))
    counts = [_by_date(distincts(events, declared)) for declared in _DISTINCTS]
    no_totals, no_counts = dict.fromkeys(_MEASURES, 0), dict.fromkeys((d.name for d in _DISTINCTS), 0)
    return {
        day: daily_kpis(
            {**no_totals, **totals.get(day, {})},
            no_counts | {name: value for found in counts for name, value in found.get(day, {}).items()},
        )
        for day in dates
    }


def _by_date(frame: DataFrame) -> dict[date, dict[str, int]]:
    rows = [row.asDict() for row in frame.collect()]
    return {row.pop("business_date"): row for row in rows}


def _stage(asked: job.Job, values: dict[date, dict[str, int | None]], versions: dict[date, int | None]) -> None:
    names = ["run_id", "business_date", *(kpi.name for kpi in KPIS)]
    insert = sql.SQL("INSERT INTO batch.{} ({}) VALUES ({})").format(
        sql.Identifier(_TABLE),
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.SQL(", ").join(map(sql.Placeholder, names)),
    )
    staging.begin(asked.settings, _TABLE, asked.runs)
    with database.connect(asked.settings, database.BATCH) as connection:
        rows = [
            {"run_id": run.run_id, "business_date": run.business_date, **values[run.business_date]}
            for run in asked.runs
        ]
        connection.cursor().executemany(insert, rows)
    staging.finish(asked.settings, _TABLE, asked.runs, versions)


if __name__ == "__main__":
    job.main("daily_metrics", compute, views=("daily_metrics",))
