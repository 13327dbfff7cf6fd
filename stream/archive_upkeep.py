"""The master dataset's life: small files become large ones, what is past its retention goes, and so do dead files.

delta-rs lets two compactions replace the same files, and the rows are there twice then (measured). So every commit of
upkeep also takes the next number of one application transaction: of two that began from the same version the second is
refused, whatever each was doing. The archiver's commits name other transactions and are never disturbed by compaction.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import ceil
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError

from stream.archive_files import File, files_of, rewritten
from stream.archive_table import MasterDataset
from tandem import clock, database
from tandem.amounts import count
from tandem.errors import TandemError
from tandem.master_dataset import KEPT_FROM, UNKNOWN, kept_from, kept_from_version
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

Say = Callable[[str], None]

_UPKEEP = "tandem:upkeep"
_TARGET_BYTES = 32 * 1024 * 1024
_TARGET_RECORDS = 500_000
"""A file is made of at most so much, because it is made in memory."""
_FEW = 4
"""So many small files of a date are left as they are: rewriting the date for each late event would cost more."""
_ARRIVES_LATER = timedelta(days=1)
"""A record that belongs to a date arrives at the latest so long before it: further ahead it is in quarantine."""
_QUIET = timedelta(days=1)
"""Retention counts from so long after the last record at the latest."""
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Compacted:
    """``dates``: of how many dates files were put together; how many files these were, and how many they are now."""

    dates: int
    files_before: int
    files_after: int


@dataclass(frozen=True, slots=True)
class Retained:
    """``kept_from``: the first date that is still whole, None where nothing ever goes; what went, or would go."""

    kept_from: date | None
    dates: int
    records: int


def compact(settings: Settings, now: datetime, say: Say) -> Compacted:
    """Put the small files of each date together, in the order of the log. No row changes; one commit a new file.

    Safe beside archivers, readers and kills. Raises TandemError where another upkeep is at work.
    """
    table = _table(settings)
    known = _last_upkeep(table)
    bins = list(_bins(files_of(table)))
    for number, old in enumerate(bins, 1):
        say(f"{number} of {len(bins)}: {count(len(old), 'file')} of {old[0].day}")
        new = rewritten(table, old, now)
        known = _commit(table, known, [*filter(None, [new]), *(file.removed(now, data_change=False) for file in old)])
    return Compacted(len({old[0].day for old in bins}), sum(map(len, bins)), len(bins))


def _bins(files: Sequence[File]) -> Iterator[list[File]]:
    """Files of a date that together make one of the size wanted."""
    by_day: dict[str, list[File]] = defaultdict(list)
    for file in files:
        if file.size_bytes < _TARGET_BYTES // 2 and file.records < _TARGET_RECORDS // 2:
            by_day[file.day].append(file)
    for _, small in sorted(by_day.items()):
        if len(small) > _FEW:
            yield from (found for found in _filled(sorted(small, key=_place)) if len(found) > 1)


def _place(file: File) -> tuple[int, str]:
    return (file.first_offset, file.path)


def _filled(small: Sequence[File]) -> Iterator[list[File]]:
    held: list[File] = []
    for file in small:
        size, records = sum(f.size_bytes for f in held), sum(f.records for f in held)
        if held and (size + file.size_bytes > _TARGET_BYTES or records + file.records > _TARGET_RECORDS):
            yield held
            held = []
        held.append(file)
    yield held


def retain(settings: Settings, now: datetime, *, dry_run: bool = False) -> Retained:
    """Take the dates out of the table that are past ``archive_retention``, and records without a date as old as these.

    One commit, which also records the first date that is left. Safe beside archivers, readers and kills. Raises
    TandemError where another upkeep is at work, or the settings name another time zone than the archive's dates are in.
    """
    database.require_same_books(settings)
    table = _table(settings)
    if table.metadata().configuration.get("delta.appendOnly") == "false":  # one was killed while rows went
        _set_append_only(settings, on=True)
        table.update_incremental()
    held = kept_from(table)
    if not settings.archive_retention:
        return Retained(held, 0, 0)
    known = _last_upkeep(table)
    files = files_of(table)
    # Of a clock that is far ahead nothing may be taken: what goes does not come back.
    by = min([now, *(newest + _QUIET for newest in [_newest(files)] if newest)])
    wanted = clock.business_date(by - settings.archive_retention, settings.zone)
    first = max(wanted, held) if held else wanted
    found, actions = _past(table, files, first, clock.day_bounds(first, settings.zone)[0] - _ARRIVES_LATER, now)
    if dry_run or (first == held and not actions):
        return found
    marks = {KEPT_FROM: kept_from_version(first)}
    if not actions:
        _commit(table, known, [], marks)
        return found
    _set_append_only(settings, on=False)
    try:
        table.update_incremental()
        _commit(table, known, actions, marks)
    finally:
        _set_append_only(settings, on=True)
    return found


def _newest(files: Sequence[File]) -> datetime | None:
    """When Kafka took the last record, by its own clock; None where no file tells."""
    return max((file.newest for file in files if file.newest is not None), default=None)


def _past(
    table: DeltaTable, files: Sequence[File], first: date, before: datetime, now: datetime
) -> tuple[Retained, list[Any]]:
    """What goes where ``first`` is the first date kept, and of what has no date all ``before``; and how to do it."""
    whole = [file for file in files if file.day != UNKNOWN and date.fromisoformat(file.day) < first]
    undated = [file for file in files if file.day == UNKNOWN and file.oldest is not None and file.oldest < before]
    actions: list[Any] = [file.removed(now, data_change=True) for file in (*whole, *undated)]
    records = sum(file.records for file in (*whole, *undated))
    for file in undated:
        if kept := rewritten(table, [file], now, keep=lambda rows: _not_before(rows, before), data_change=True):
            records -= int(json.loads(kept.stats)["numRecords"])
            actions.append(kept)
    return Retained(first, len({file.day for file in whole}), records), actions


def vacuum(settings: Settings, *, dry_run: bool = False) -> int:
    """Delete the files that have been out of the table for ``archive_file_retention``, or never were in it.

    Returns how many. A reader that began later than that ago is not disturbed.
    """
    hours = ceil(settings.archive_file_retention / timedelta(hours=1))
    table = _table(settings)
    try:
        return len(table.vacuum(hours, dry_run=dry_run, enforce_retention_duration=False, full=True))
    except (DeltaError, OSError) as error:
        raise _refused(settings, error) from error


def _not_before(rows: pa.Table, before: datetime) -> pa.ChunkedArray:
    return pc.fill_null(pc.greater_equal(rows["kafka_time"], pa.scalar(before, rows["kafka_time"].type)), True)


def _table(settings: Settings) -> DeltaTable:
    if (dataset := MasterDataset.find(settings.archive, ORDER_EVENTS)) is None:
        raise TandemError(f"there is no archive at {settings.archive}", "run 'tandem archive'")
    return dataset.delta_table


def _last_upkeep(table: DeltaTable) -> int:
    """The number of the last upkeep that the handle sees."""
    return int(table.transaction_version(_UPKEEP) or 0)


def _commit(table: DeltaTable, known: int, actions: Sequence[Any], marks: Mapping[str, int] | None = None) -> int:
    """Commit what was planned when ``known`` was the last upkeep; returns the number that this one has.

    Raises TandemError where another came since, also one that the handle has seen meanwhile: the plan is void then.
    """
    if _last_upkeep(table) != known:
        raise _overtaken()
    number = known + 1
    ids = [Transaction(name, version) for name, version in {**(marks or {}), _UPKEEP: number}.items()]
    try:
        table.create_write_transaction(
            list(actions),
            "append",
            table.schema(),
            ["business_date"],
            commit_properties=CommitProperties(app_transactions=ids),
        )
    except CommitFailedError as error:
        raise _overtaken() from error
    table.update_incremental()  # this commit does not move the handle
    return number


def _set_append_only(settings: Settings, *, on: bool) -> None:
    """Let rows go, or forbid it again. An archiver whose commit falls in between commits once more."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _table(settings).alter.set_table_properties({"delta.appendOnly": str(on).lower()})
        except CommitFailedError as error:  # an archiver has just committed
            if attempt == _ATTEMPTS:
                raise _refused(settings, error) from error
        else:
            return


def _overtaken() -> TandemError:
    return TandemError("another upkeep of the archive is at work", "wait for it; this one has changed nothing since")


def _refused(settings: Settings, error: Exception) -> TandemError:
    return TandemError(f"the archive at {settings.archive} cannot be tended ({error})", "check the storage")
