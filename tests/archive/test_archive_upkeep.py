"""Compaction, retention and vacuum: no record is lost or doubled, and the archive says from when on it is whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from installations import tandem

from spark_jobs import archive as spark_archive
from spark_jobs import restate
from stream import archive_upkeep as upkeep
from stream.archive_files import files_of
from stream.archive_table import SCHEMA, FencedError, MasterDataset, Move
from stream.rebuild_log import Log
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

pytestmark = pytest.mark.integration  # retention asks Postgres in which time zone the dates are

NOW = datetime(2018, 1, 10, 4, 30, tzinfo=UTC)
FOR_31_DAYS = timedelta(days=31)  # so that 2017-12-10 is the first date that is kept


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    return Settings(archive_uri=str(tmp_path / "archive"), archive_retention=FOR_31_DAYS)


class Books:
    """An archiver that appends records at will, and what it must have left. ``begins``: its first offset."""

    def __init__(self, uri: str, begins: int = 0) -> None:
        self.uri = uri
        self.dataset = MasterDataset.find_or_create(uri, ORDER_EVENTS)
        self.dataset.open_partitions(1, {0: begins, 1: 0})
        self.records: set[tuple[str, int, int]] = set()

    def add(self, day: str, count: int = 1, partition: int = 0, arrived: datetime = NOW) -> None:
        self.dataset.refresh()
        first = self.dataset.next_offsets()[partition]
        rows = [
            {
                "topic": ORDER_EVENTS,
                "partition": partition,
                "offset": offset,
                "kafka_time": arrived,
                "key": None,
                "value": b"%d" % offset,
                "business_date": day,
            }
            for offset in range(first, first + count)
        ]
        self.dataset.append(pa.Table.from_pylist(rows, SCHEMA), {partition: Move(first, first + count)})
        self.records |= {(day, partition, row["offset"]) for row in rows}

    def held(self) -> list[tuple[str, int, int]]:
        rows = pl.scan_delta(self.uri).select("business_date", "partition", "offset", "value").collect().rows()
        assert all(value == b"%d" % offset for _, _, offset, value in rows)
        return sorted(row[:3] for row in rows)

    def files(self) -> int:
        return len(DeltaTable(self.uri).file_uris())


@pytest.fixture
def books(own: Settings) -> Books:
    return Books(own.archive)


def compact(own: Settings) -> upkeep.Compacted:
    return upkeep.compact(own, NOW, lambda _: None)


def test_the_small_files_of_a_date_become_one_with_the_same_records(own: Settings, books: Books) -> None:
    for number in range(20):
        books.add(f"2017-12-{10 + number % 2}", count=3, partition=number % 2)
    books.add("2017-12-12")
    assert compact(own) == upkeep.Compacted(dates=2, files_before=20, files_after=2)
    assert books.files() == 3, "a date of few files is left alone"
    assert books.held() == sorted(books.records)
    assert compact(own) == upkeep.Compacted(0, 0, 0), "there is nothing left to do"


def test_a_compacted_file_is_in_the_order_of_the_log_and_says_what_it_holds(own: Settings, books: Books) -> None:
    for number in range(6):
        books.add("2017-12-10", count=5, partition=1 - number % 2, arrived=NOW + timedelta(microseconds=number))
    compact(own)
    table = DeltaTable(own.archive)
    (file,) = files_of(table)
    assert (file.records, file.first_offset, file.oldest) == (30, 0, NOW)
    told = pa.table(table.get_add_actions(flatten=True)).to_pylist()[0]
    assert (told["max.offset"], told["min.partition"], told["max.partition"]) == (14, 0, 1)
    assert told["max.kafka_time"] == NOW + timedelta(microseconds=5)
    rows = pl.read_parquet(table.file_uris()[0]).select("partition", "offset").rows()
    assert rows == sorted(rows)


def test_files_are_put_together_up_to_a_size(own: Settings, books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_TARGET_RECORDS", 100)
    for _ in range(12):
        books.add("2017-12-10", count=30)
    books.add("2017-12-10", count=60)
    compact(own)
    counts = sorted(file.records for file in files_of(DeltaTable(own.archive)))
    assert counts == [60, 90, 90, 90, 90], "the one that was large already is left alone"
    assert books.held() == sorted(books.records)


@contextmanager
def just_before_the_commit(monkeypatch: pytest.MonkeyPatch, what: Any) -> Iterator[None]:
    """Do ``what`` when upkeep has written its file and not yet committed it."""
    commit = upkeep._commit

    def overtaken(*arguments: Any) -> None:
        monkeypatch.setattr(upkeep, "_commit", commit)
        what()
        commit(*arguments)

    monkeypatch.setattr(upkeep, "_commit", overtaken)
    yield
    monkeypatch.setattr(upkeep, "_commit", commit)


def test_of_two_compactions_at_once_one_is_refused(
    own: Settings, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without that, delta-rs lets both pass, and every record is there twice."""
    for _ in range(6):
        books.add("2017-12-10")
    with (
        just_before_the_commit(monkeypatch, lambda: compact(own)),
        pytest.raises(TandemError, match="another upkeep of the archive is at work"),
    ):
        compact(own)
    assert books.held() == sorted(books.records)
    assert books.files() == 1


@pytest.mark.parametrize(
    ("other", "left"),
    [
        (compact, {"2017-12-01", "2017-12-11"}),
        (lambda own: upkeep.retain(own, NOW), {"2017-12-11"}),
    ],
)
def test_of_two_upkeeps_one_is_refused_also_where_the_other_came_and_went_between_two_of_its_commits(
    own: Settings, books: Books, monkeypatch: pytest.MonkeyPatch, other: Any, left: set[str]
) -> None:
    for _ in range(6):
        books.add("2017-12-01", partition=0)
        books.add("2017-12-11", partition=1)
    write = DeltaTable.create_write_transaction

    def between(table: DeltaTable, *arguments: Any, **named: Any) -> None:
        monkeypatch.setattr(DeltaTable, "create_write_transaction", write)
        write(table, *arguments, **named)
        other(own)

    monkeypatch.setattr(DeltaTable, "create_write_transaction", between)
    with pytest.raises(TandemError, match="another upkeep of the archive is at work"):
        compact(own)
    assert books.held() == sorted(row for row in books.records if row[0] in left)


def test_a_compaction_brings_nothing_back_that_retention_took(
    own: Settings, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        books.add("2017-12-01")
    with just_before_the_commit(monkeypatch, lambda: upkeep.retain(own, NOW)), pytest.raises(TandemError):
        compact(own)
    assert books.held() == []


def test_an_append_in_the_middle_of_a_compaction_is_neither_lost_nor_doubled(
    own: Settings, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        books.add("2017-12-10")
    stale = MasterDataset.find(own.archive, ORDER_EVENTS)
    with just_before_the_commit(monkeypatch, lambda: books.add("2017-12-10")):
        compact(own)
    assert stale is not None
    monkeypatch.setattr(stale, "refresh", lambda: None)
    with pytest.raises(FencedError):
        stale.append(SCHEMA.empty_table(), {0: Move(6, 9)})
    assert books.held() == sorted(books.records)
    assert books.files() == 2


def test_without_a_retention_nothing_goes(own: Settings, books: Books) -> None:
    books.add("1999-12-31")
    forever = own.model_copy(update={"archive_retention": timedelta(0)})
    assert upkeep.retain(forever, NOW) == upkeep.Retained(None, 0, 0)
    assert books.held() == sorted(books.records)


def test_dates_past_their_retention_go_and_the_archive_says_from_when_on_it_is_whole(
    own: Settings, books: Books
) -> None:
    for day in ("2017-12-08", "2017-12-09", "2017-12-09", "2017-12-10", "unknown"):
        books.add(day)
    planned = upkeep.retain(own, NOW, dry_run=True)
    assert planned == upkeep.Retained(date(2017, 12, 10), dates=2, records=3)
    assert books.held() == sorted(books.records)
    assert upkeep.retain(own, NOW) == planned
    assert [day for day, _, _ in books.held()] == ["2017-12-10", "unknown"]
    assert spark_archive.look(own).kept_from == date(2017, 12, 10)
    assert MasterDataset.find(own.archive, ORDER_EVENTS).next_offsets() == {0: 5, 1: 0}
    with pytest.raises(Exception, match=r"(?i)append"):
        DeltaTable(own.archive).delete("offset = 3")


def test_a_clock_that_is_far_ahead_takes_nothing(own: Settings, books: Books) -> None:
    books.add("2018-01-09", arrived=NOW - timedelta(days=1))
    found = upkeep.retain(own, NOW + timedelta(days=365))
    assert found.records == 0
    assert found.kept_from is not None
    assert found.kept_from <= NOW.date() - FOR_31_DAYS
    assert books.held() == sorted(books.records)


def test_what_a_killed_retention_left_open_is_closed_by_the_next(own: Settings, books: Books) -> None:
    books.add("2017-12-20")
    DeltaTable(own.archive).alter.set_table_properties({"delta.appendOnly": "false"})
    upkeep.retain(own.model_copy(update={"archive_retention": timedelta(0)}), NOW)
    with pytest.raises(Exception, match=r"(?i)append"):
        DeltaTable(own.archive).delete("offset = 0")


def test_of_an_archive_that_began_late_no_date_is_computed_that_may_have_begun_before(own: Settings) -> None:
    """Half of a date would be published as if it were whole, and agree with a stream that began as late."""
    books = Books(own.archive, begins=500)
    # The first record is a late event; what lies below it was of any date up to the one on which Kafka took it.
    books.add("2017-12-20", arrived=datetime(2018, 1, 8, 15, tzinfo=UTC))
    books.add("2018-01-08", arrived=datetime(2018, 1, 8, 16, tzinfo=UTC))
    books.add("2018-01-09", arrived=NOW)
    books.add("2018-01-10", partition=1, arrived=NOW)
    began_on, whole = date(2018, 1, 8), date(2018, 1, 9)
    assert spark_archive.look(own).whole_from == whole
    assert spark_archive.look(own).dates == {date(2017, 12, 20), began_on, whole, date(2018, 1, 10)}
    spark_archive.require_whole(own, [whole])
    with pytest.raises(TandemError, match=r"began late, and records of 2018-01-08 .* compute dates from 2018-01-09 on"):
        spark_archive.require_whole(own, [began_on, whole])
    known = own.model_copy(update={"archive_whole_from": "2017-12-20"})
    spark_archive.require_whole(known, [date(2017, 12, 20)])


def test_a_partition_that_began_late_and_is_silent_since_was_read_from_when_the_archive_was_made(
    own: Settings,
) -> None:
    Books(own.archive, begins=500)
    now = datetime.now(UTC) + timedelta(hours=1)
    assert spark_archive.look(own).whole_from == now.date() + timedelta(days=1)


def test_an_archive_of_the_whole_log_is_whole(own: Settings, books: Books) -> None:
    books.add("2017-12-20")
    assert spark_archive.look(own).computable_from is None


def test_a_record_without_a_date_is_kept_from_when_it_came(own: Settings, books: Books) -> None:
    first = datetime(2017, 12, 10, tzinfo=UTC)
    for before in (timedelta(days=3), timedelta(days=1, seconds=1), timedelta(hours=23), timedelta(0)):
        books.add("unknown", arrived=first - before)
    compacted = [books.add("unknown", arrived=NOW) for _ in range(4)]
    compact(own)
    assert upkeep.retain(own, NOW).records == 2
    assert len(books.held()) == 2 + len(compacted)
    assert [offset for _, _, offset in books.held()] == [2, 3, 4, 5, 6, 7]


def test_a_date_that_is_gone_does_not_come_back_as_a_smaller_one(own: Settings, books: Books) -> None:
    books.add("2017-12-09", count=5)
    books.add("2017-12-11", count=2)
    upkeep.retain(own, NOW)
    books.add("2017-12-09")  # a late event of a date whose other events are gone
    held = spark_archive.look(own)
    assert held.counts == {date(2017, 12, 11): 2}
    with pytest.raises(TandemError, match="keeps the records from 2017-12-10 on, and those of 2017-12-09 are gone"):
        spark_archive.require_whole(own, [date(2017, 12, 9), date(2017, 12, 11)])
    spark_archive.require_whole(own, [date(2017, 12, 10)])
    assert upkeep.retain(own, NOW).records == 1


def test_a_longer_retention_afterwards_does_not_make_what_is_gone_whole(own: Settings, books: Books) -> None:
    books.add("2017-12-01")
    upkeep.retain(own, NOW)
    longer = own.model_copy(update={"archive_retention": timedelta(days=100)})
    assert upkeep.retain(longer, NOW).kept_from == date(2017, 12, 10)


def test_vacuum_deletes_what_compaction_replaced_and_nothing_that_is_read(own: Settings, books: Books) -> None:
    for _ in range(6):
        books.add("2017-12-10")
    upkeep.compact(own, datetime.now(UTC), lambda _: None)
    assert upkeep.vacuum(own) == 0, "readers that began before still read these files"
    at_once = own.model_copy(update={"archive_file_retention": timedelta(0)})
    assert upkeep.vacuum(at_once, dry_run=True) == 6
    assert upkeep.vacuum(at_once) == 6
    assert len(list(Path(own.archive).rglob("business_date=*/*.parquet"))) == 1
    assert books.held() == sorted(books.records)


def test_a_table_that_gains_a_column_is_read_written_and_compacted_over_old_and_new_files(
    own: Settings, books: Books
) -> None:
    for _ in range(3):
        books.add("2017-12-10")
    row = {"topic": ORDER_EVENTS, "partition": 1, "offset": 7, "value": b"7", "business_date": "2017-12-10"}
    wider = pa.schema([*SCHEMA, pa.field("headers", pa.string())])
    newer = pa.Table.from_pylist([{**row, "headers": "source=shop"}], schema=wider)
    write_deltalake(own.archive, newer, mode="append", schema_mode="merge")
    for _ in range(3):
        books.add("2017-12-10")  # an archiver that does not know the column goes on
    books.dataset.append(SCHEMA.empty_table(), {0: Move(6, 8)})
    compact(own)
    found = pl.scan_delta(own.archive).sort("partition", "offset").select("offset", "headers").collect()
    assert found.rows() == [*((offset, None) for offset in range(6)), (7, "source=shop")]
    assert books.files() == 1


def test_an_archiver_that_knows_a_new_column_adds_it_to_the_table_that_is_there(
    own: Settings, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.add("2017-12-10")
    wider = pa.schema([*SCHEMA, pa.field("headers", pa.string())])
    rows = [{"topic": ORDER_EVENTS, "partition": 0, "offset": 1, "business_date": "2017-12-10", "headers": "h"}]
    books.dataset.append(pa.Table.from_pylist(rows, schema=wider), {0: Move(1, 2)})
    held = pl.scan_delta(own.archive).sort("offset").select("headers").collect()
    assert held["headers"].to_list() == [None, "h"]


def test_dates_that_are_no_longer_kept_are_not_due(clean_database: Settings, tmp_path: Path) -> None:
    own = clean_database.model_copy(update={"archive_uri": str(tmp_path / "due"), "archive_retention": FOR_31_DAYS})
    now = datetime.now(UTC)
    books = Books(own.archive)
    old, young = (now - timedelta(days=days) for days in (40, 2))
    for at in (old, young):
        books.add(str(at.date()), arrived=at)
    with pytest.MonkeyPatch.context() as patch:
        # As if the platform had been installed long ago, so that every night since must have published.
        patch.setattr(restate.clock, "business_date", lambda *_: old.date() - timedelta(days=10))
        assert old.date() in restate.due(own, now.date())
        patch.undo()
    first = upkeep.retain(own, now).kept_from
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restate.clock, "business_date", lambda *_: old.date() - timedelta(days=10))
        assert min(restate.due(own, now.date())) == first


def test_the_commands_say_what_they_did(own: Settings, books: Books) -> None:
    for _ in range(6):
        books.add("2000-01-01")
    assert json.loads(tandem(own, "archive", "compact", "--json").stdout) == {
        "dates": 1,
        "files_before": 6,
        "files_after": 1,
    }
    gone = json.loads(tandem(own, "archive", "retain", "--json").stdout)
    assert (gone["dates"], gone["records"]) == (1, 6)
    refused = tandem(own, "batch", "--date", "2000-01-01")
    assert refused.returncode == 2
    assert f"the archive keeps the records from {gone['kept_from']} on" in refused.stderr
    assert json.loads(tandem(own, "archive", "vacuum", "--json", "--dry-run").stdout) == {"files": 0}
    nothing = own.model_copy(update={"archive_uri": own.archive + "-not"})
    assert "run 'tandem archive'" in tandem(nothing, "archive", "compact").stderr


@hypothesis(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.tuples(st.sampled_from(["10", "11"]), st.integers(1, 3)), st.none()), max_size=30))
def test_whatever_was_appended_and_compacted_every_record_is_there_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int] | None]
) -> None:
    """Each step: records appended to a date, or a compaction."""
    own = Settings(archive_uri=str(tmp_path_factory.mktemp("any") / "archive"))
    books = Books(own.archive)
    for step in steps:
        if step is None:
            compact(own)
        else:
            books.add(f"2017-12-{step[0]}", *step[1:])
    assert books.held() == sorted(books.records)
    assert MasterDataset.find(own.archive, ORDER_EVENTS).next_offsets()[0] == len(books.records)


def test_a_rebuild_is_refused_where_the_log_is_no_longer_whole(
    own: Settings, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.add("2017-12-01", count=3)
    books.add("2017-12-20", count=3)
    upkeep.retain(own, NOW)
    position = (ORDER_EVENTS, 0)
    monkeypatch.setattr("stream.rebuild_log.lows", lambda *_: {position: 6})
    log = Log(own, {position: 0}, lambda granted: dict.fromkeys(granted, 0))
    with pytest.raises(TandemError, match="the archive keeps only the dates from 2017-12-10 on"):
        log.extend({position: 6})
