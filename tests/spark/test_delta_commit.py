"""What Spark wrote, committed by delta-rs: a date is replaced whole, once, and by one at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import TableNotFoundError
from deltalake.fs import DeltaStorageHandler

from spark_jobs import delta_commit, delta_files
from tandem.errors import TandemError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

D22, D23, D24 = date(2017, 12, 22), date(2017, 12, 23), date(2017, 12, 24)


class Beside:
    """Rows beside whose writing something else happens."""

    def __init__(self, frame: DataFrame, happens: Callable[[], object]) -> None:
        self.schema, self.sparkSession = frame.schema, frame.sparkSession
        self._frame, self._happens = frame, happens

    def observe(self, *what: object) -> DataFrame:
        self._happens()
        return self._frame.observe(*what)  # type: ignore[arg-type]


def orders(spark: SparkSession, *of: tuple[int, date]) -> DataFrame:
    columns = pa.table({"cents": [cents for cents, _ in of], "business_date": [day for _, day in of]})
    typed = columns.cast(pa.schema({"cents": pa.int64(), "business_date": pa.date32()}))
    return spark.createDataFrame(typed).coalesce(1)


def put(rows: DataFrame | Beside, uri: str, mark: str, *dates: date) -> int:
    return delta_commit.replace(rows, uri, dates, mark, {"delta.logRetentionDuration": "interval 3650 days"})  # type: ignore[arg-type]


def held(uri: str, version: int | None = None) -> list[tuple[int, date]]:
    """As another reader has it."""
    return sorted(pl.scan_delta(uri, version=version).select("cents", "business_date").collect().rows())


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return str(tmp_path / "t")


def test_dates_are_replaced_and_others_stay(spark: SparkSession, uri: str) -> None:
    assert put(orders(spark, (1, D23), (2, D23), (3, D24)), uri, "a", D23, D24) == 0
    assert put(orders(spark, (4, D24)), uri, "b", D24) == 1
    assert held(uri) == [(1, D23), (2, D23), (4, D24)]
    assert held(uri, 0) == [(1, D23), (2, D23), (3, D24)]
    assert put(orders(spark), uri, "c", D23) == 2
    assert held(uri) == [(4, D24)]
    assert [tuple(row) for row in delta_files.read(spark, DeltaTable(uri)).collect()] == [(4, D24)]


def test_a_commit_leaves_nothing_but_the_files_that_it_names(spark: SparkSession, uri: str) -> None:
    put(orders(spark, (1, D23)), uri, "a", D23)
    put(orders(spark, (2, D23)), uri, "b", D23)
    put(orders(spark), uri, "c", D24)
    named = {Path(path) for version in (0, 1) for path in DeltaTable(uri, version=version).file_uris()}
    assert {path for path in Path(uri).rglob("*.parquet") if "_delta_log" not in path.parts} == named
    assert {path.name for path in Path(uri).iterdir()} == {"_delta_log", f"business_date={D23}"}


def test_the_list_of_files_says_how_large_they_are_and_how_many_rows_they_have(spark: SparkSession, uri: str) -> None:
    put(orders(spark, (7, D23), (-1, D23), (5, D24)), uri, "a", D23, D24)
    said = pl.DataFrame(pa.table(DeltaTable(uri).get_add_actions(flatten=True)))
    assert set(said.select("partition.business_date", "num_records").rows()) == {(D23, 2), (D24, 1)}
    assert set(said["size_bytes"]) == {Path(path).stat().st_size for path in DeltaTable(uri).file_uris()}


def test_no_reader_leaves_a_file_out_by_what_is_said_of_it(spark: SparkSession, uri: str) -> None:
    """Where the list says least and greatest values of some columns only, pyarrow takes the others for empty."""
    rows = orders(spark, (7, D23)).selectExpr("cents", "CAST(NULL AS STRING) AS region", "business_date")
    put(rows, uri, "a", D23)
    found = DeltaTable(uri).to_pyarrow_dataset()
    assert found.to_table(filter=ds.field("region").is_null()).num_rows == 1
    assert found.to_table(filter=ds.field("cents") > 6).num_rows == 1


@pytest.mark.parametrize("there", [False, True], ids=["no table yet", "a table"])
def test_of_two_that_write_a_date_at_once_one_is_refused(spark: SparkSession, uri: str, there: bool) -> None:
    """Each saw none of the date, so neither would take out what the other has put: its orders would count twice."""
    if there:
        put(orders(spark, (1, D23)), uri, "a", D23)
    slow = Beside(orders(spark, (3, D24)), lambda: put(orders(spark, (2, D24)), uri, "quick", D24))
    with pytest.raises(TandemError, match=f"another program has written facts of {D24} to {D24} meanwhile"):
        put(slow, uri, "slow", D24)
    assert held(uri) == [*([(1, D23)] if there else []), (2, D24)]


@pytest.mark.parametrize("there", [False, True], ids=["no table yet", "a table"])
def test_of_two_that_write_different_dates_at_once_both_do(spark: SparkSession, uri: str, there: bool) -> None:
    if there:
        put(orders(spark, (1, D23), (1, D24)), uri, "a", D23, D24)
    slow = Beside(orders(spark, (3, D23)), lambda: put(orders(spark, (2, D24)), uri, "quick", D24))
    assert put(slow, uri, "slow", D23) == DeltaTable(uri).version()
    assert held(uri) == [(2, D24), (3, D23)]


def test_a_column_that_another_one_has_added_meanwhile_stays(spark: SparkSession, uri: str) -> None:
    put(orders(spark, (1, D23)), uri, "a", D23)
    wider = orders(spark, (2, D24)).selectExpr("cents", "'north' AS region", "business_date")
    put(Beside(orders(spark, (3, D23)), lambda: put(wider, uri, "quick", D24)), uri, "slow", D23)
    seen = pl.scan_delta(uri).select("cents", "region").collect()
    assert sorted(seen.rows()) == [(2, "north"), (3, None)]


def test_beside_a_program_that_merges_files_a_date_is_not_doubled_unseen(spark: SparkSession, uri: str) -> None:
    """To delta-rs that is no conflict, and both would stay. Done again, the date is right."""
    put(orders(spark, (1, D23)), uri, "a", D23)
    write_deltalake(uri, pa.table({"cents": [2], "business_date": [D23]}), mode="append")
    rows = orders(spark, (3, D23))
    with pytest.raises(TandemError, match="another program has written"):
        put(Beside(rows, DeltaTable(uri).optimize.compact), uri, "b", D23)
    put(rows, uri, "b", D23)
    assert held(uri) == [(3, D23)]


def test_a_date_is_not_emptied_where_what_was_written_is_not_there(
    spark: SparkSession, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when executors write to the disk of another machine than the driver's."""
    put(orders(spark, (1, D23)), uri, "a", D23)
    monkeypatch.setattr(delta_commit, "DeltaStorageHandler", lambda uri: DeltaStorageHandler(f"{uri}/_delta_log"))
    with pytest.raises(TandemError, match="Spark wrote 2 rows, of which 0 are at"):
        put(orders(spark, (2, D23), (3, D23)), uri, "b", D23)
    assert held(uri) == [(1, D23)]


def test_rows_of_another_date_are_refused(spark: SparkSession, uri: str) -> None:
    with pytest.raises(TandemError, match="which is of none of the dates"):
        put(orders(spark, (1, D22)), uri, "a", D23)
    with pytest.raises(TableNotFoundError):
        DeltaTable(uri)


def test_a_column_of_another_type_is_refused_before_anything_is_written(spark: SparkSession, uri: str) -> None:
    put(orders(spark, (1, D23)), uri, "a", D23)
    text = orders(spark, (1, D23)).selectExpr("CAST(cents AS STRING) AS cents", "business_date")
    with pytest.raises(TandemError, match="the column cents is long in the table, and now string"):
        put(text, uri, "b", D23)
    assert held(uri) == [(1, D23)]


def test_a_table_that_refuses_says_why(spark: SparkSession, uri: str) -> None:
    put(orders(spark, (1, D23)), uri, "a", D23)
    DeltaTable(uri).alter.set_table_properties({"delta.appendOnly": "true"})
    with pytest.raises(TandemError, match=r"t cannot be written \(.*append"):
        put(orders(spark, (2, D23)), uri, "b", D23)
    assert held(uri) == [(1, D23)]
