"""Stage rows in the batch schema under their run: nobody reads them there before the run is published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from tandem import database

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column, DataFrame

    from spark_jobs.runs import Run
    from tandem.settings import Settings

_BATCH_ROWS = 5_000


def write(frame: DataFrame, table: str, settings: Settings, runs: Sequence[Run]) -> None:
    """Write ``frame`` to ``batch.<table>`` in place of what these runs had there; safe to repeat.

    ``frame``: ``business_date`` and the table's other columns but ``run_id``, which is that of the date's run.
    """
    begin(settings, table, runs)
    rows = frame.withColumn("run_id", run_of_date(runs)).filter(F.col("run_id").isNotNull())
    where = settings.conninfo(database.BATCH)
    (
        rows.write.mode("append")
        .format("jdbc")
        .options(
            url=f"jdbc:postgresql://{where['host']}:{where['port']}/{where['dbname']}",
            driver="org.postgresql.Driver",
            dbtable=f"batch.{table}",
            user=where["user"],
            password=where["password"],
            batchsize=_BATCH_ROWS,
            reWriteBatchedInserts="true",
            ApplicationName="tandem_batch spark",
        )
        .save()
    )
    finish(settings, table, runs)


def begin(settings: Settings, table: str, runs: Sequence[Run]) -> None:
    """Delete what the runs have in a table, and the note that it was complete."""
    ids = [run.run_id for run in runs]
    delete = sql.SQL("DELETE FROM batch.{} WHERE run_id = ANY(%s)").format(sql.Identifier(table))
    with database.connect(settings, database.BATCH) as connection:
        connection.execute(database.queries("batch").forget_staged, {"run_ids": ids, "table": table})
        connection.execute(delete, (ids,))


def finish(settings: Settings, table: str, runs: Sequence[Run]) -> None:
    """Note that the rows of the runs in a table are complete, be they none."""
    values = {"run_ids": [run.run_id for run in runs], "table": table}
    with database.connect(settings, database.BATCH) as connection:
        connection.execute(database.queries("batch").record_staged, values)


def run_of_date(runs: Sequence[Run]) -> Column:
    """The id of the run whose date is in the column ``business_date``, else NULL."""
    pairs = [part for run in runs for part in (F.lit(run.business_date), F.lit(run.run_id))]
    return F.create_map(*pairs)[F.col("business_date")]
