"""The files that delta-rs names, read by Spark as the table that they are."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Schema, write_deltalake
from deltalake.transaction import AddAction, create_table_with_add_actions

from spark_jobs import delta_files
from tandem.errors import TandemError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

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
