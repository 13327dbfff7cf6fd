"""The table refuses whoever comes too late: between any two archivers, offsets are taken once and without a gap."""

from __future__ import annotations

import threading
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.archive_table import SCHEMA, FencedError, MasterDataset, Move

TOPIC = "order-events"


def records(partition: int, first: int, end: int, day: str = "2017-12-23") -> pa.Table:
    rows = [
        {"topic": TOPIC, "partition": partition, "offset": offset, "value": b"%d" % offset, "business_date": day}
        for offset in range(first, end)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def take(handle: MasterDataset, first: int, end: int, partition: int = 0) -> None:
    handle.append(records(partition, first, end), {partition: Move(first, end)})


def take_without_looking(handle: MasterDataset, first: int, end: int, partition: int = 0) -> None:
    """As if another archiver had committed just after this one had looked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handle, "refresh", lambda: None)
        take(handle, first, end, partition)


def held_offsets(uri: str, partition: int = 0) -> list[int]:
    of_partition = pl.scan_delta(uri).filter(pl.col("partition") == partition)
    return sorted(of_partition.select("offset").collect()["offset"].to_list())


@pytest.fixture
def uri(tmp_path: Path) -> str:
    uri = str(tmp_path / "archive")
    MasterDataset.find_or_create(uri, TOPIC).open_partitions(1, {0: 0, 1: 0})
    return uri


def handle_on(uri: str) -> MasterDataset:
    return MasterDataset.find_or_create(uri, TOPIC)


def test_an_archiver_that_looks_before_it_commits_sees_that_it_is_too_late(uri: str):
    early, late = handle_on(uri), handle_on(uri)
    take(early, 0, 10)
    with pytest.raises(FencedError):
        take(late, 0, 5)
    assert held_offsets(uri) == list(range(10))


def test_a_commit_that_falls_between_look_and_commit_is_noticed(uri: str):
    early, late = handle_on(uri), handle_on(uri)
    take(early, 0, 10)
    with pytest.raises(FencedError):
        take_without_looking(late, 0, 5)
    assert held_offsets(uri) == list(range(10))


def test_a_handle_is_refused_however_far_behind_it_is(uri: str):
    late = handle_on(uri)
    busy = handle_on(uri)
    for first in range(120):  # past a checkpoint, which is written every 100 commits
        take(busy, first, first + 1)
    assert (Path(uri) / "_delta_log" / "_last_checkpoint").exists()
    with pytest.raises(FencedError):
        take_without_looking(late, 0, 5)
    assert held_offsets(uri) == list(range(120))


def test_archivers_of_different_partitions_do_not_disturb_each_other(uri: str):
    one, other = handle_on(uri), handle_on(uri)
    take_without_looking(one, 0, 10, partition=0)
    take_without_looking(other, 0, 7, partition=1)
    assert handle_on(uri).next_offsets() == {0: 10, 1: 7}


def test_one_lost_partition_refuses_the_whole_commit(uri: str):
    one, other = handle_on(uri), handle_on(uri)
    take(one, 0, 10, partition=0)
    both = pa.concat_tables([records(0, 0, 10), records(1, 0, 10)])
    with pytest.raises(FencedError):
        other.append(both, {0: Move(0, 10), 1: Move(0, 10)})
    assert handle_on(uri).next_offsets() == {0: 10, 1: 0}


def test_a_commit_of_markers_alone_is_refused_like_any_other(uri: str):
    one, other = handle_on(uri), handle_on(uri)
    nothing = SCHEMA.empty_table()
    one.append(nothing, {0: Move(0, 2)})
    with pytest.raises(FencedError):
        other.append(nothing, {0: Move(0, 1)})
    assert handle_on(uri).next_offsets()[0] == 2


def test_partitions_are_opened_once(uri: str, tmp_path: Path):
    fresh = str(tmp_path / "fresh")
    one, other = handle_on(fresh), handle_on(fresh)
    one.open_partitions(1, {0: 5})
    with pytest.raises(FencedError):
        other.open_partitions(1, {0: 9})
    assert handle_on(fresh).next_offsets() == {0: 5}


def test_files_of_a_commit_that_never_came_are_not_in_the_archive(uri: str):
    early, late = handle_on(uri), handle_on(uri)
    take(early, 0, 10)
    with pytest.raises(FencedError):
        take_without_looking(late, 0, 10)
    on_disk = [path for path in Path(uri).rglob("*.parquet") if "_delta_log" not in path.parts]
    assert len(on_disk) == 2  # the second is what a killed archiver leaves: written, not committed
    assert len(DeltaTable(uri).file_uris()) == 1
    assert held_offsets(uri) == list(range(10))


def test_next_offsets_survive_checkpoint_compaction_and_vacuum(uri: str):
    busy = handle_on(uri)
    for first in range(0, 30, 10):
        take(busy, first, first + 10)
    maintenance = DeltaTable(uri)
    maintenance.optimize.compact()
    maintenance.create_checkpoint()
    maintenance.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    take(busy, 30, 40)
    assert handle_on(uri).next_offsets() == {0: 40, 1: 0}
    assert held_offsets(uri) == list(range(40))


def test_rows_cannot_be_deleted(uri: str):
    take(handle_on(uri), 0, 10)
    with pytest.raises(Exception, match=r"(?i)append"):
        DeltaTable(uri).delete("offset = 3")


def test_archivers_that_start_together_make_one_table(tmp_path: Path):
    uri = str(tmp_path / "new")
    failures: list[Exception] = []
    barrier = threading.Barrier(4)

    def begin() -> None:
        try:
            barrier.wait()
            handle_on(uri)
        except Exception as failure:  # noqa: BLE001 - shown by the assertion below
            failures.append(failure)

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert handle_on(uri).next_offsets() == {}


@settings(max_examples=15, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(1, 4), st.booleans()), min_size=1, max_size=12
    )
)
def test_whatever_the_order_of_archivers_offsets_are_taken_once_and_without_a_gap(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int, bool]]
):
    """Each step: which archiver, which partition, how many records, whether it looks first."""
    uri = str(tmp_path_factory.mktemp("interleaved") / "archive")
    handle_on(uri).open_partitions(1, {0: 0, 1: 0})
    archivers = [handle_on(uri) for _ in range(3)]
    for number, partition, count, looks in steps:
        first = archivers[number].next_offsets()[partition]
        move = take if looks else take_without_looking
        try:
            move(archivers[number], first, first + count, partition)
        except FencedError:
            archivers[number].refresh()
    for partition, end in handle_on(uri).next_offsets().items():
        assert held_offsets(uri, partition) == list(range(end))
