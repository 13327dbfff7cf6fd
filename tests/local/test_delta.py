"""Delta tables in folders of any name, read by polars against what was written; and what is said of those not there."""

import shutil
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from tandem import delta
from tandem.errors import TandemError

FOLDERS = ("plain", "a space", "Bücher", 'quoted "so"', "which?", "a+b", "mine & yours")


@pytest.fixture(params=FOLDERS)
def table(request: pytest.FixtureRequest, tmp_path: Path) -> DeltaTable:
    """Two versions: two dates with one row each, then one more row of the second."""
    uri = str(tmp_path / request.param / "facts")
    for days, cents in (([22, 23], [1, 2]), ([23], [3])):
        dates = pa.array([date(2017, 12, day) for day in days])
        rows = pa.table({"business_date": dates, "cents": cents})
        write_deltalake(uri, rows, partition_by=["business_date"], mode="append")
    return DeltaTable(uri)


def test_all_rows_are_read_whatever_the_folder_is_called(table: DeltaTable) -> None:
    found = delta.scan(table).sort("cents").collect()
    assert found["cents"].to_list() == [1, 2, 3]
    assert found["business_date"].to_list() == [date(2017, 12, 22), date(2017, 12, 23), date(2017, 12, 23)]


def test_rows_are_found_by_partition_and_by_value(table: DeltaTable) -> None:
    of_date = delta.scan(table).filter(pl.col("business_date") == date(2017, 12, 23))
    assert sorted(of_date.collect()["cents"]) == [2, 3]
    assert of_date.filter(pl.col("cents") > 2).collect()["cents"].to_list() == [3]
    assert of_date.select(pl.len()).collect(engine="streaming").item() == 2


def test_the_version_of_the_handle_counts(table: DeltaTable) -> None:
    before = DeltaTable(_folder(table), version=0)
    assert sorted(delta.scan(before).collect()["cents"]) == [1, 2]


def test_a_file_that_is_gone_is_an_error(table: DeltaTable) -> None:
    shutil.rmtree(_folder(table) / "business_date=2017-12-22")
    with pytest.raises(FileNotFoundError):
        delta.scan(table).collect()


def test_a_version_that_is_not_there_is_said_in_one_line(table: DeltaTable) -> None:
    with pytest.raises(TandemError, match=r"^version 7 of .*/facts cannot be read \([^\n]+\): compute the date again$"):
        delta.at(str(_folder(table)), 7, "compute the date again")


def test_a_table_that_is_not_there_is_none_and_one_that_is_broken_an_error(table: DeltaTable) -> None:
    assert delta.find(str(_folder(table).with_name("others"))) is None
    found = delta.find(str(_folder(table)))
    assert found is not None
    assert found.version() == 1
    (_folder(table) / "_delta_log" / "00000000000000000001.json").write_text("{")
    with pytest.raises(TandemError, match=r"/facts cannot be read \([^\n]+\): check the storage$"):
        delta.find(str(_folder(table)))


def _folder(table: DeltaTable) -> Path:
    return Path(delta.plain(table.table_uri).removeprefix("file://"))
