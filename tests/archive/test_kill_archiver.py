"""kill -9, pauses and take-overs while events stream in: every visible record is archived once."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from running import Running, wait_for
from shop import Shop, archived, ends, start_archiver, visible

from stream.archive import next_offsets
from stream.archive_verify import verify
from tandem.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.slow]

STREAMED = 50_000


@pytest.fixture
def busy_archive(topic_prefix: Settings) -> Settings:
    """Small, frequent commits, so that a kill falls into every part of one."""
    small = {"archive_batch_max_events": 500, "archive_batch_linger": timedelta(milliseconds=100)}
    return topic_prefix.model_copy(update=small)


@contextmanager
def streaming(settings: Settings) -> Iterator[None]:
    """Orders stream in until the block ends and at least STREAMED are there; every seventh transaction is aborted."""
    shop, done, failures = Shop(settings), threading.Event(), []

    def stream() -> None:
        try:
            sent = number = 0
            while sent < STREAMED or not done.is_set():
                number += 1
                shop.sell(500, commit=number % 7 > 0)
                sent += 500 * (number % 7 > 0)
                time.sleep(0.05)
        except Exception as failure:  # noqa: BLE001 - shown by the assertion below
            failures.append(failure)

    thread = threading.Thread(target=stream)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(300)
    assert not failures


def assert_archived_once(settings: Settings) -> None:
    assert archived(settings) == visible(settings)
    assert next_offsets(settings) == ends(settings)
    assert verify(settings).problems == ()


def catch_up(settings: Settings, log: Path) -> None:
    assert Running(settings, log, "--until-caught-up").process.wait(300) == 0


def test_five_kills_at_random_moments_lose_nothing_and_repeat_nothing(
    topic_prefix: Settings, busy_archive: Settings, tmp_path: Path
):
    with streaming(busy_archive):
        for kill in range(5):
            archiver = Running(busy_archive, tmp_path / f"archiver-{kill}.log")
            wait_for(lambda log=archiver: log.says("archived") > 0)
            time.sleep(random.uniform(0, 1.5))
            archiver.kill(signal.SIGKILL)
            archiver.process.wait(300)
    catch_up(topic_prefix, tmp_path / "last.log")
    assert len(visible(busy_archive)) >= STREAMED
    assert_archived_once(busy_archive)


def test_a_paused_archiver_that_comes_back_commits_nothing(topic_prefix: Settings, tmp_path: Path):
    slow = topic_prefix.model_copy(update={"archive_batch_linger": timedelta(seconds=20)})
    shop = Shop(slow)
    shop.sell(2_000)
    paused = Running(slow, tmp_path / "paused.log")
    wait_for(lambda: paused.says("partitions_granted") > 0)
    time.sleep(3)  # it has read the orders by now and waits for more before it commits
    assert sum(next_offsets(slow).values()) == 0
    paused.kill(signal.SIGSTOP)
    try:
        catch_up(slow, tmp_path / "heir.log")
        taken_over = verify(slow)
        assert taken_over.events == 2_000
        time.sleep(15)  # what the paused one holds is overdue when it wakes
        paused.kill(signal.SIGCONT)
        wait_for(lambda: paused.says("fenced") > 0 or paused.says("partitions_granted") > 1)
        time.sleep(2)
        assert verify(slow) == taken_over
        shop.sell(100)
        time.sleep(3)
    finally:
        paused.kill(signal.SIGCONT)
        status = paused.end()
    assert status == 0
    assert_archived_once(slow)


def test_pauses_at_random_moments_beside_a_second_archiver(
    topic_prefix: Settings, busy_archive: Settings, tmp_path: Path
):
    with streaming(busy_archive):
        pair = [Running(busy_archive, tmp_path / f"archiver-{name}.log") for name in "ab"]
        wait_for(lambda: all(archiver.says("archived") for archiver in pair))
        for archiver in (*pair, *pair, pair[0]):
            time.sleep(random.uniform(0, 1))
            archiver.kill(signal.SIGSTOP)
            time.sleep(busy_archive.session_timeout.total_seconds() + random.uniform(0.5, 2))
            archiver.kill(signal.SIGCONT)
        assert [archiver.end() for archiver in pair] == [0, 0]
    catch_up(topic_prefix, tmp_path / "last.log")
    assert_archived_once(busy_archive)


def test_sigterm_commits_what_was_read(topic_prefix: Settings, tmp_path: Path):
    slow = topic_prefix.model_copy(update={"archive_batch_linger": timedelta(minutes=10)})
    Shop(slow).sell(1_000)
    archiver = Running(slow, tmp_path / "archiver.log")
    wait_for(lambda: archiver.says("partitions_granted") > 0)
    time.sleep(3)
    assert archiver.end() == 0
    assert_archived_once(slow)


def test_a_second_archiver_takes_over_from_one_that_is_killed(busy_archive: Settings, tmp_path: Path):
    shop = Shop(busy_archive)
    first, standby = (Running(busy_archive, tmp_path / f"archiver-{name}.log") for name in "ab")
    wait_for(lambda: first.says("partitions_granted") > 0 and standby.says("partitions_granted") > 0)
    shop.sell(1_000)
    first.kill(signal.SIGKILL)
    shop.sell(1_000)
    wait_for(lambda: next_offsets(busy_archive) == ends(busy_archive))
    assert standby.end() == 0
    assert_archived_once(busy_archive)


def test_a_kill_while_the_table_is_made_leaves_nothing_in_the_way(busy_archive: Settings, tmp_path: Path):
    Shop(busy_archive).sell(100)
    for kill in range(3):
        own = busy_archive.model_copy(update={"archive_uri": str(tmp_path / f"archive-{kill}")})
        archiver = Running(own, tmp_path / f"archiver-{kill}.log")
        wait_for(Path(own.archive).exists)
        time.sleep(random.uniform(0, 0.2))
        archiver.kill(signal.SIGKILL)
        archiver.process.wait(300)
        catch_up(own, tmp_path / "heir.log")
        assert_archived_once(own)


def test_the_command_prints_its_totals_as_json_and_nothing_else(topic_prefix: Settings):
    Shop(topic_prefix).sell(300)
    archiver = start_archiver(topic_prefix, "--until-caught-up", "--json", log=subprocess.DEVNULL)
    output, _ = archiver.communicate(timeout=300)
    printed = json.loads(output)
    assert printed["events"] == 300
    assert {int(partition): end for partition, end in printed["next_offsets"].items()} == ends(topic_prefix)
