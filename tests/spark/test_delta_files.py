"""The files that delta-rs names, read by Spark as the table that they are."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Schema, write_deltalake
from deltalake.transaction import AddAction, create_table_with_add_actions

from spark_jobs import delta_files
from tandem.errors import TandemError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameWriter, SparkSession

pytestmark = pytest.mark.spark

D23, D24 = date(2017, 12, 23), date(2017, 12, 24)


@pytest.fixture
def table(tmp_path: Path) -> DeltaTable:
    """Two versions under a folder with a space: an order on each of two dates, then another one for the second."""
    uri = str(tmp_path / "of a shop")
    both = pa.table({"cents": [100, 200], "business_date": [D23, D24]})
    write_deltalake(uri, both, partition_by=["business_date"])
    again = pa.table({"cents": [300], "business_date": [D24], "region": ["north"]})
    write_deltalake(uri, again, mode="overwrite", predicate=f"business_date = '{D24}'", schema_mode="merge")
    return DeltaTable(uri)


def rows(spark: SparkSession, table: DeltaTable, *where: tuple[str, str, object]) -> set[tuple[object, ...]]:
    found = delta_files.read(spark, table, where).collect()
    return {tuple(row.asDict()[name] for name in sorted(row.asDict())) for row in found}


def test_what_a_version_holds_is_read_and_nothing_that_was_replaced(spark: SparkSession, table: DeltaTable) -> None:
    assert rows(spark, table) == {(D23, 100, None), (D24, 300, "north")}
    assert rows(spark, DeltaTable(table.table_uri, version=0)) == {(D23, 100), (D24, 200)}


def test_only_the_files_of_the_dates_that_are_asked_for_are_read(spark: SparkSession, table: DeltaTable) -> None:
    found = delta_files.read(spark, table, [("business_date", ">=", D24)])
    assert [file.rpartition("/")[0].rpartition("=")[2] for file in found.inputFiles()] == [str(D24)]
    assert rows(spark, table, ("business_date", "<=", D23)) == {(D23, 100, None)}


def test_no_file_is_no_row_of_the_same_columns(spark: SparkSession, table: DeltaTable) -> None:
    none = delta_files.read(spark, table, [("business_date", ">", D24)])
    assert none.collect() == []
    assert none.dtypes == delta_files.read(spark, table).dtypes


def test_a_file_that_is_gone_is_an_error_and_not_fewer_rows(spark: SparkSession, table: DeltaTable) -> None:
    (path,) = (uri for uri in table.file_uris() if str(D23) in uri)
    found = delta_files.read(spark, table)
    Path(path.replace("%20", " ")).unlink()
    with pytest.raises(Exception, match="FILE_NOT_EXIST"):
        found.collect()


def test_a_table_whose_files_are_not_all_that_it_says_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    """Deletion vectors take rows out beside their files: read as Parquet, they would still count."""
    uri = str(tmp_path / "t")
    write_deltalake(uri, pa.table({"cents": [1]}), configuration={"delta.enableDeletionVectors": "true"})
    with pytest.raises(TandemError, match=r"deletionVectors.* does not read"):
        delta_files.read(spark, DeltaTable(uri))


def test_a_file_outside_the_folder_of_its_date_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    """Delta says its date, and Spark would have none, so that the rows would be left out wherever one is asked for."""
    pq.write_table(pa.table({"cents": [1]}), tmp_path / "odd.parquet")
    size = (tmp_path / "odd.parquet").stat().st_size
    add = AddAction("odd.parquet", size, {"business_date": str(D23)}, 0, True, '{"numRecords": 1}')
    schema = Schema.from_arrow(pa.schema({"cents": pa.int64(), "business_date": pa.date32()}))
    create_table_with_add_actions(str(tmp_path), schema, [add], partition_by=["business_date"])
    assert DeltaTable(tmp_path).to_pyarrow_table().num_rows == 1
    with pytest.raises(TandemError, match=r"odd\.parquet is not in the folder of its date"):
        delta_files.read(spark, DeltaTable(tmp_path))


def put(spark: SparkSession, uri: str, mark: str, *orders: tuple[int, date], dates: list[date]) -> int:
    columns = pa.table({"cents": [cents for cents, _ in orders], "business_date": [day for _, day in orders]})
    frame = spark.createDataFrame(
        columns.cast(pa.schema({"cents": pa.int64(), "business_date": pa.date32()}))
    ).coalesce(1)
    return delta_files.replace(frame, uri, dates, mark, {"delta.logRetentionDuration": "interval 3650 days"})


def held(uri: str, version: int | None = None) -> set[tuple[int, date]]:
    """As another reader has it."""
    return set(pl.scan_delta(uri, version=version).select("cents", "business_date").collect().rows())


def test_dates_are_replaced_and_others_stay(spark: SparkSession, tmp_path: Path) -> None:
    uri = str(tmp_path / "t")
    assert put(spark, uri, "a", (1, D23), (2, D23), (3, D24), dates=[D23, D24]) == 0
    assert put(spark, uri, "b", (4, D24), dates=[D24]) == 1
    assert held(uri) == {(1, D23), (2, D23), (4, D24)}
    assert held(uri, 0) == {(1, D23), (2, D23), (3, D24)}
    assert put(spark, uri, "c", dates=[D23]) == 2
    assert held(uri) == {(4, D24)}
    assert rows(spark, DeltaTable(uri)) == {(D24, 4)}


def test_a_commit_leaves_nothing_but_the_files_that_it_names(spark: SparkSession, tmp_path: Path) -> None:
    uri = str(tmp_path / "t")
    put(spark, uri, "a", (1, D23), dates=[D23])
    put(spark, uri, "b", (2, D23), dates=[D23])
    put(spark, uri, "c", dates=[D24])
    named = {Path(path) for version in (0, 1) for path in DeltaTable(uri, version=version).file_uris()}
    there = {path for path in tmp_path.rglob("*.parquet") if "_delta_log" not in path.parts}
    assert there == named
    assert {path.name for path in Path(uri).iterdir()} == {"_delta_log", f"business_date={D23}"}


def test_the_list_of_files_says_how_many_rows_they_have_and_between_which_values(
    spark: SparkSession, tmp_path: Path
) -> None:
    uri = str(tmp_path / "t")
    put(spark, uri, "a", (7, D23), (-1, D23), (5, D24), dates=[D23, D24])
    files = pl.DataFrame(pa.table(DeltaTable(uri).get_add_actions(flatten=True)))
    said = files.select("partition.business_date", "num_records", "min.cents", "max.cents").sort("max.cents")
    assert said.rows() == [(D24, 1, 5, 5), (D23, 2, -1, 7)]
    size = {Path(path).stat().st_size for path in DeltaTable(uri).file_uris()}
    assert set(files["size_bytes"]) == size


@pytest.mark.parametrize("before", [0, 1], ids=["no table yet", "a table"])
def test_of_two_that_write_a_date_at_once_one_is_refused(spark: SparkSession, tmp_path: Path, before: int) -> None:
    """Each saw none of the date, so neither would take out what the other has put: its orders would count twice."""
    uri = str(tmp_path / "t")
    if before:
        put(spark, uri, "a", (1, D23), dates=[D23])

    class Meanwhile:
        """Rows that another one is quicker than."""

        def __init__(self, frame: DataFrame) -> None:
            self.schema, self.sparkSession = frame.schema, frame.sparkSession
            self._frame = frame

        @property
        def write(self) -> DataFrameWriter:
            put(spark, uri, "quick", (2, D24), dates=[D24])
            return self._frame.write

    slow = spark.createDataFrame(pa.table({"cents": [3], "business_date": [D24]}))
    with pytest.raises(TandemError, match="another job has written"):
        delta_files.replace(Meanwhile(slow), uri, [D24], "slow", {})  # type: ignore[arg-type]
    assert held(uri) == {(2, D24)} | ({(1, D23)} if before else set())


def test_two_that_write_different_dates_at_once_both_do(spark: SparkSession, tmp_path: Path) -> None:
    uri = str(tmp_path / "t")
    put(spark, uri, "first", (1, D23), dates=[D23])
    behind = DeltaTable(uri)
    put(spark, uri, "quick", (2, D24), dates=[D24])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delta_files, "_find", lambda _: behind)
        assert put(spark, uri, "slow", (3, D23), dates=[D23]) == 2
    assert held(uri) == {(3, D23), (2, D24)}


def test_a_column_of_another_type_is_refused_before_anything_is_written(spark: SparkSession, tmp_path: Path) -> None:
    uri = str(tmp_path / "t")
    put(spark, uri, "a", (1, D23), dates=[D23])
    text = spark.createDataFrame(pa.table({"cents": ["1"], "business_date": [D23]}))
    with pytest.raises(TandemError, match="the column cents is long in the table, and now string"):
        delta_files.replace(text, uri, [D23], "b", {})
    assert held(uri) == {(1, D23)}
