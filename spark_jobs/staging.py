"""Stage rows in the batch schema under their run: nobody reads them there before the run is published."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import polars as pl
from psycopg import sql
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs import storage
from spark_jobs.publish import TABLES
from tandem import database
from tandem.errors import TandemError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from pyspark.sql import Column, DataFrame

    from spark_jobs.runs import Run
    from tandem.settings import Settings

_VIEW_OF = {table: view for view, tables in TABLES.items() for table in tables}
_CHUNK_ROWS = 100_000
_INSTANT = "%Y-%m-%d %H:%M:%S%.6f+00"
"""Of a timestamp that Spark wrote, which is UTC."""


def write(
    frame: DataFrame, table: str, settings: Settings, runs: Sequence[Run], versions: Mapping[date, int | None]
) -> None:
    """Write ``frame`` to ``batch.<table>`` in place of what these runs had there; safe to repeat.

    ``frame``: ``business_date`` and the table's other columns but ``run_id``, which is that of the date's run. Spark
    writes files beside order_facts, and COPY takes them from there, in one transaction: row by row costs more.
    ``versions``: of order_facts, that was read of each date.
    """
    begin(settings, table, runs)
    rows = frame.withColumn("run_id", run_of_date(runs)).filter(F.col("run_id").isNotNull())
    folder = f"{settings.staged_rows}/{table}.{_name(runs)}"
    rows.write.mode("overwrite").parquet(folder)
    try:
        _copy(folder, table, settings)
    finally:
        storage.delete(frame.sparkSession, folder)
    finish(settings, table, runs, versions)


def _name(runs: Sequence[Run]) -> str:
    """Of the runs, not of their dates: another run of a date must not put its rows in the place of these."""
    ids = hashlib.sha256(" ".join(run.run_id for run in runs).encode()).hexdigest()
    return f"{runs[0].business_date}.{runs[-1].business_date}.{ids[:16]}"


def _copy(folder: str, table: str, settings: Settings) -> None:
    """All rows of the folder's files, or none. Nothing is NULL that is an empty text: texts have quotes."""
    rows = pl.scan_parquet(f"{folder}/*.parquet")
    columns = rows.collect_schema().names()
    into = sql.SQL("COPY batch.{} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with database.connect(settings, database.BATCH) as connection, connection.cursor().copy(into) as copy:
        for part in rows.collect_batches(chunk_size=_CHUNK_ROWS):
            copy.write(part.write_csv(include_header=False, quote_style="non_numeric", datetime_format=_INSTANT))


def forget_views(settings: Settings, runs: Sequence[Run]) -> None:
    """Note that nothing staged under the runs is complete any more: the facts that it was made of are written anew."""
    with database.connect(settings, database.BATCH) as connection:
        connection.execute(database.queries("batch").forget_views, {"run_ids": [run.run_id for run in runs]})


def begin(settings: Settings, table: str, runs: Sequence[Run]) -> None:
    """Delete what the runs have in a table, and the note that it was complete.

    Raises TandemError where one of them was published meanwhile: readers have these rows.
    """
    queries, ids = database.queries("batch"), [run.run_id for run in runs]
    values = {"run_ids": ids, "table": table, "view": _VIEW_OF[table], "dates": [run.business_date for run in runs]}
    delete = sql.SQL("DELETE FROM batch.{} WHERE run_id = ANY(%s)").format(sql.Identifier(table))
    with database.connect(settings, database.BATCH) as connection:
        connection.execute(queries.hold_publication, values)
        if published := connection.execute(queries.any_published, values).fetchone():
            day = next(run.business_date for run in runs if run.run_id == published[0])
            raise TandemError(
                f"run {published[0]} was published and stays as it is",
                f"compute the date anew: tandem batch --date {day}",
            )
        connection.execute(queries.forget_staged, values)
        connection.execute(delete, (ids,))


def finish(
    settings: Settings, table: str, runs: Sequence[Run], versions: Mapping[date, int | None] | None = None
) -> None:
    """Note that the rows of the runs in a table are complete, be they none.

    ``versions``: of order_facts, of which they were made, by date; where it is not given, the one that the run has.
    """
    read = [(versions or {}).get(run.business_date) for run in runs]
    values = {"run_ids": [run.run_id for run in runs], "table": table, "versions": read}
    with database.connect(settings, database.BATCH) as connection:
        connection.execute(database.queries("batch").record_staged, values)


def run_of_date(runs: Sequence[Run]) -> Column:
    """The id of the run whose date is in the column ``business_date``, else NULL."""
    pairs = [part for run in runs for part in (F.lit(run.business_date), F.lit(run.run_id))]
    return F.create_map(*pairs)[F.col("business_date")]
