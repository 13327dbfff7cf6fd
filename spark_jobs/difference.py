"""How what a run staged differs from what is published: what a run by hand shows in place of publishing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

from spark_jobs.publish import TABLES
from tandem import database
from tandem.amounts import show, show_change
from tandem.kpis import KPIS

if TYPE_CHECKING:
    import psycopg

    from spark_jobs.runs import Run
    from tandem.settings import Settings

_UNCOMPARED = ("run_id", "computed_at")


def difference(settings: Settings, run: Run, view: str) -> str:
    """A table for people: the KPIs of both, or how many rows only one of them has."""
    with database.connect(settings, database.BATCH) as connection:
        current = connection.execute(
            database.queries("batch").current_version, {"view": view, "business_date": run.business_date}
        ).fetchone()
        version, published = (f"version {current[0]}", current[1]) if current else ("nothing published", "")
        title = f"{view} of {run.business_date}: run {run.run_id} against {version}"
        if view == "daily_metrics":
            lines = _kpis(connection, settings, run.run_id, published)
        else:
            lines = [_rows(connection, table, run.run_id, published) for table in TABLES[view]]
    return "\n".join([title, *lines])


def _kpis(connection: psycopg.Connection[Any], settings: Settings, run_id: str, published: str) -> list[str]:
    staged, before = (_row(connection, of) for of in (run_id, published))
    lines = [f"  {'KPI':<24}{'published':>18}{'this run':>18}{'difference':>18}"]
    for kpi in KPIS:
        old, new = before.get(kpi.name), staged.get(kpi.name)
        change = None if old is None or new is None else new - old
        cells = [show(value, kpi.unit, settings.currency) for value in (old, new)]
        cells.append(show_change(change, kpi.unit, settings.currency))
        lines.append(f"  {kpi.name.removesuffix('_cents'):<24}" + "".join(f"{cell:>18}" for cell in cells))
    return lines


def _row(connection: psycopg.Connection[Any], run_id: str) -> dict[str, int | None]:
    names = [kpi.name for kpi in KPIS]
    query = sql.SQL("SELECT {} FROM batch.daily_metrics WHERE run_id = %s").format(
        sql.SQL(", ").join(map(sql.Identifier, names))
    )
    row = connection.execute(query, (run_id,)).fetchone()
    return {} if row is None else dict(zip(names, row, strict=True))


def _rows(connection: psycopg.Connection[Any], table: str, run_id: str, published: str) -> str:
    """Counts of rows that are the same in no way but one: which run they belong to."""
    compared = sql.SQL("(to_jsonb(t) - %(uncompared)s::text[])")
    one_side = sql.SQL(
        "SELECT count(*) FROM (SELECT {compared} FROM batch.{table} AS t WHERE run_id = %(one)s"
        " EXCEPT SELECT {compared} FROM batch.{table} AS t WHERE run_id = %(other)s) AS only_here"
    ).format(compared=compared, table=sql.Identifier(table))

    def only(one: str, other: str) -> int:
        values = {"uncompared": list(_UNCOMPARED), "one": one, "other": other}
        row = connection.execute(one_side, values).fetchone()
        return int(row[0]) if row else 0

    return (
        f"  {only(published, run_id)} rows only in what is published, {only(run_id, published)} rows only in this run"
    )
