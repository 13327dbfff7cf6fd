"""kill -9 in the middle of compaction, and two compactions at once, while an archiver appends: each record once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable
from running import Running, wait_for
from shop import Shop, archived, ends, visible

from stream import archive_upkeep as upkeep
from stream.archive import next_offsets
from stream.archive_table import MasterDataset
from stream.archive_verify import verify
from tandem.local import process
from tandem.settings import PROJECT_ROOT, Settings
from tandem.topics import ORDER_EVENTS

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def compaction(settings: Settings) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tandem", "archive", "compact"],
        cwd=PROJECT_ROOT,
        env={**os.environ, **process.environment(settings)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )


def at_work(running: subprocess.Popen[bytes]) -> None:
    """Wait until it puts files of a date together."""
    assert running.stderr is not None
    assert b" files of " in running.stderr.readline()


def test_kills_in_the_middle_of_compaction_beside_an_archiver_lose_nothing_and_double_nothing(
    topic_prefix: Settings, tmp_path: Path
) -> None:
    small = {"archive_batch_max_events": 300, "archive_batch_linger": timedelta(milliseconds=50)}
    busy = topic_prefix.model_copy(update=small)
    shop, archiver = Shop(busy), Running(busy, tmp_path / "archiver.log")
    killed = 0
    for _ in range(6):
        for _ in range(6):
            shop.sell(600, days=8)
        wait_for(lambda: next_offsets(busy) == ends(busy))
        shop.sell(3_000, days=8)  # what is archived while files are put together
        running = compaction(busy)
        at_work(running)
        time.sleep(random.uniform(0, 0.3))
        running.kill()
        killed += running.wait(300) == -signal.SIGKILL
        running.communicate()
    assert killed >= 1
    for _ in range(6):
        shop.sell(600, days=8)
    pair = [compaction(busy), compaction(busy)]
    told = [each.communicate(timeout=300)[1].decode() for each in pair]
    assert {each.returncode for each in pair} <= {0, 2}
    assert all("another upkeep" in words for words, each in zip(told, pair, strict=True) if each.returncode)
    wait_for(lambda: next_offsets(busy) == ends(busy))
    assert archiver.end() == 0
    before = len(DeltaTable(busy.archive).file_uris())
    assert upkeep.compact(busy, datetime.now(UTC), lambda _: None).files_after <= 8
    at_once = busy.model_copy(update={"archive_file_retention": timedelta(0)})
    assert upkeep.vacuum(at_once) > before, "also the files of killed compactions"
    assert len(list(Path(busy.archive).rglob("business_date=*/*.parquet"))) == len(DeltaTable(busy.archive).file_uris())
    assert archived(busy) == visible(busy)
    assert verify(busy).problems == ()


def test_an_archiver_goes_on_while_old_dates_are_taken_out(topic_prefix: Settings, tmp_path: Path) -> None:
    small = {"archive_batch_linger": timedelta(milliseconds=50), "archive_retention": timedelta(days=31)}
    busy = topic_prefix.model_copy(update=small)
    shop, archiver = Shop(busy), Running(busy, tmp_path / "archiver.log")
    wait_for(lambda: MasterDataset.find(busy.archive, ORDER_EVENTS) is not None)
    as_of = datetime(2018, 1, 22, 12, tzinfo=UTC)  # orders of 2017-12-21 go, those of the 22nd and 23rd stay
    for _ in range(15):
        shop.sell(90)
        upkeep.retain(busy, as_of)
    wait_for(lambda: next_offsets(busy) == ends(busy))
    assert archiver.end() == 0
    upkeep.retain(busy, as_of)
    kept = [record for record in visible(busy) if b"2017-12-21T" not in (record.value or b"")]
    assert archived(busy) == kept
    assert len(kept) == 15 * 60
