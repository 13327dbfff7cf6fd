"""Rows on their way from Spark to Postgres, while another run of the same date is on its way too."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from log import archived_in
from pyspark.sql import DataFrame, SparkSession

from spark_jobs import runs, staging
from tandem import database
from tandem.settings import Settings

pytestmark = [pytest.mark.spark, pytest.mark.integration]

DAY = date(2017, 12, 23)


def hour(spark: SparkSession, cents: int) -> DataFrame:
    row = {"business_date": DAY, "cell_start": datetime(2017, 12, 23, 9, tzinfo=UTC), "revenue_cents": cents}
    return spark.createDataFrame(pa.Table.from_pylist([row]))


def test_two_runs_that_stage_one_date_at_once_each_have_their_own_rows(
    clean_database: Settings, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run's rows became the second's, and the first one's table was complete without any."""
    own = archived_in(clean_database, tmp_path)
    first, second = (runs.open_run(own, name, DAY) for name in ("first", "second"))
    copy = staging._copy

    def second_writes_before_first_is_copied(folder: str, table: str, settings: Settings) -> None:
        def both(other: str, table: str, settings: Settings) -> None:
            copy(folder, table, settings)
            copy(other, table, settings)

        monkeypatch.setattr(staging, "_copy", both)
        staging.write(hour(spark, 200), table, settings, (second,), {})

    monkeypatch.setattr(staging, "_copy", second_writes_before_first_is_copied)
    staging.write(hour(spark, 100), "order_hours", own, (first,), {})
    with database.connect(own, database.READER) as reader:
        rows = reader.execute("SELECT run_id, revenue_cents FROM batch.order_hours ORDER BY run_id").fetchall()
    assert rows == [("first", 100), ("second", 200)]
    assert not list(Path(f"{own.order_facts}.staged").iterdir()), "files that were copied are deleted"
