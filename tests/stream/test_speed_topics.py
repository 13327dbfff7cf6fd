"""What leaves for Kafka: state topics end on what the tables hold, event topics hold every message once by its id."""

from __future__ import annotations

import signal
import time
from datetime import timedelta
from random import Random
from threading import Thread

import odd_values as odd
import pytest
import speed_rig as rig
from topic_books import STATES, assert_states_are_the_tables, last_values, shop

from tandem import database
from tandem.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]


def test_states_show_the_tables_when_a_worker_has_caught_up(topic_prefix: Settings) -> None:
    rig.produce(topic_prefix, shop(1_000))
    rig.run_to_end(topic_prefix)
    assert_states_are_the_tables(topic_prefix)
    rig.produce(topic_prefix, shop(1_500, seed=1))
    rig.run_to_end(topic_prefix)
    assert_states_are_the_tables(topic_prefix)


def test_a_state_is_shown_at_the_cadence_and_not_once_per_event(topic_prefix: Settings) -> None:
    rig.produce(topic_prefix, shop(2_000))
    rig.run_to_end(topic_prefix.model_copy(update={"micro_batch_max_events": 50}))
    shown = rig.visible(topic_prefix, "daily-order-aggregates")
    assert 2 <= len(shown) < 20


def test_an_alert_does_not_wait_for_states_that_are_being_sent(topic_prefix: Settings) -> None:
    quick = topic_prefix.model_copy(update={"early_results_every": timedelta(seconds=0.05)})
    worker = rig.start_worker(quick)
    try:
        rig.wait_for(lambda: rig.is_owner(quick, worker), "the worker to work")
        with database.connect(quick, database.OWNER) as other:
            other.execute("INSERT INTO speed.publisher (worker) VALUES (NULL) ON CONFLICT (only_row) DO NOTHING")
            other.execute("SELECT FROM speed.publisher FOR UPDATE")
            rig.produce(quick, shop(1))
            waiting = "SELECT FROM pg_locks WHERE NOT granted"
            rig.wait_for(lambda: bool(rig.query(quick, waiting)), "the worker to send states")
            rig.produce(quick, [rig.Outgoing(odd.MALFORMED[0], b"c1")])
            rig.wait_for(lambda: bool(rig.visible(quick, "quarantined-data")), "the alert")
            assert rig.visible(quick, "daily-order-aggregates") == []
    finally:
        worker.kill()
        worker.communicate()


def test_what_a_dead_worker_did_not_send_its_successor_finds_in_the_journal(topic_prefix: Settings) -> None:
    never = topic_prefix.model_copy(update={"early_results_every": timedelta(hours=1)})
    rig.produce(never, shop(2_000))
    worker = rig.start_worker(never)
    try:
        rig.wait_for(lambda: rig.is_caught_up(never), "the worker to count everything")
    finally:
        worker.kill()
        worker.communicate()
    assert all(last_values(never, topic) == {} for topic in STATES)
    rig.run_to_end(never)
    assert_states_are_the_tables(never)


def test_a_paused_worker_does_not_put_an_old_value_behind_a_newer_one(topic_prefix: Settings) -> None:
    random = Random(5)
    quick = topic_prefix.model_copy(update={"early_results_every": timedelta(seconds=0.05)})
    for attempt in range(2):
        first = rig.start_worker(quick)
        try:
            rig.wait_for(lambda started=first: rig.is_owner(quick, started), "the first to work")  # type: ignore[misc]
            feeding = Thread(target=rig.produce, args=(quick, shop(1_500, seed=attempt)))
            feeding.start()
            time.sleep(random.uniform(0.3, 1))
            first.send_signal(signal.SIGSTOP)
            feeding.join()
            rig.run_to_end(quick)
            first.send_signal(signal.SIGCONT)
            time.sleep(1)
        finally:
            first.kill()
            first.communicate()
        assert_states_are_the_tables(quick)
