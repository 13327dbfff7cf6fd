from __future__ import annotations

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.errors import TandemError
from tandem.sources.mapping import FileFormat
from tandem.sources.read_csv import BROKEN, LAST_LINE, LINE, Row, rows, stage_csv


def read(text: str) -> list[Row]:
    return list(rows(io.StringIO(text, newline=""), FileFormat(), None))


def test_a_row_knows_its_lines_also_where_a_cell_has_line_breaks() -> None:
    assert read('a,b\n1,"x\ny"\n2,z\n') == [
        (1, 1, ["a", "b"], None),
        (2, 3, ["1", "x\ny"], None),
        (4, 4, ["2", "z"], None),
    ]


def test_blank_lines_are_no_rows_but_count_as_lines() -> None:
    assert read("a,b\n\n1,2\n") == [(1, 1, ["a", "b"], None), (3, 3, ["1", "2"], None)]


@pytest.mark.parametrize(("line", "width"), [("1", 1), ("1,2,3", 3)])
def test_a_row_of_another_width_is_broken(line: str, width: int) -> None:
    broken = read(f"a,b\n{line}\n5,6\n")[1]
    assert broken.broken == f"{width} columns instead of 2"
    assert broken.cells == line.split(",")


def test_a_quote_that_is_never_closed_costs_its_own_line_only() -> None:
    found = read('a,b\n1,"oops\n2,x\n3,y\n')
    assert [(row.line, row.broken is None) for row in found] == [(1, True), (2, False), (3, True), (4, True)]
    assert [row.cells for row in found if row.broken is None] == [["a", "b"], ["2", "x"], ["3", "y"]]


def test_a_stray_quote_that_meets_the_next_one_does_not_merge_rows() -> None:
    found = read('a,b\n1,"oops\n2,"fine"\n3,y\n')
    assert [row.cells for row in found if row.broken is None] == [["a", "b"], ["2", "fine"], ["3", "y"]]
    assert [row.line for row in found if row.broken] == [2]


def test_text_after_a_closing_quote_is_broken_rather_than_guessed() -> None:
    assert "not CSV" in (read('a,b\n1,"x"y\n')[1].broken or "")


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8), min_size=2, max_size=2)
    )
)
def test_what_was_written_as_csv_is_read_back(table: list[list[str]]) -> None:
    import csv

    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *table])
    assert [row.cells for row in read(text.getvalue())] == [["a", "b"], *table]


@settings(deadline=None)
@given(st.text('ab,"\n\r;', max_size=60))
def test_every_line_is_in_exactly_one_row_unless_it_is_blank(text: str) -> None:
    content = "a,b\n" + text
    covered = [line for row in read(content) for line in range(row.line, row.last_line + 1)]
    lines = content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    blank = {number for number, line in enumerate(lines, 1) if not line}
    assert sorted(covered) == covered
    assert len(set(covered)) == len(covered)
    assert set(range(1, len(lines) + 1)) - blank <= set(covered)


@pytest.mark.parametrize(
    ("encoding", "bad"), [("utf-8", b"caf\xe9"), ("cp1252", b"caf\x81"), ("ascii", "café".encode())]
)
def test_bytes_that_are_not_in_the_encoding_break_their_row_only(tmp_path: Path, encoding: str, bad: bytes) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes(b"id,name\n1,ok\n2," + bad + b"\n3,fine\n")
    names = stage_csv(path, FileFormat(encoding=encoding), tmp_path / "rows.parquet")
    staged = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert names == ["id", "name"]
    assert [(row[LINE], row[BROKEN]) for row in staged] == [
        (2, None),
        (3, f"bytes that are not {encoding} text"),
        (4, None),
    ]
    assert staged[1]["id"] == "2"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "iso8859-15", "cp932"])
def test_text_is_read_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    word = "ワイン" if encoding == "cp932" else "Müller €"
    path = tmp_path / "shop.csv"
    path.write_text(f"id,name\r\n1,{word}\r\n", encoding=encoding, newline="")
    names = stage_csv(path, FileFormat(encoding=encoding), tmp_path / "rows.parquet")
    assert names == ["id", "name"]
    assert pq.read_table(tmp_path / "rows.parquet").to_pylist() == [
        {LINE: 2, LAST_LINE: 2, BROKEN: None, "id": "1", "name": word}
    ]


def test_a_nul_character_breaks_its_row(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes(b"id,name\n1,a\0b\n")
    stage_csv(path, FileFormat(), tmp_path / "rows.parquet")
    assert pq.read_table(tmp_path / "rows.parquet")[BROKEN].to_pylist() == ["a NUL character"]


def test_an_empty_file_and_a_column_named_twice_are_errors_that_say_so(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes(b"")
    with pytest.raises(TandemError, match="is empty"):
        stage_csv(path, FileFormat(), tmp_path / "rows.parquet")
    path.write_bytes(b"id,ID\n1,2\n")
    with pytest.raises(TandemError, match="more than one column 'id'"):
        stage_csv(path, FileFormat(), tmp_path / "rows.parquet")


def test_without_a_header_columns_are_numbered_and_the_first_line_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes(b"1|x\n2|y\n")
    assert stage_csv(path, FileFormat(header=False, delimiter="|"), tmp_path / "r.parquet") == ["column1", "column2"]
    assert pq.read_table(tmp_path / "r.parquet")["column2"].to_pylist() == ["x", "y"]
