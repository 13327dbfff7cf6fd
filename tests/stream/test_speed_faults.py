"""Workers that are killed, paused, cut off or fenced: the books stay those of the log."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from subprocess import Popen
from threading import Event, Thread

import orders
import psycopg
import pytest
import speed_rig as rig

from stream import sink
from stream.session import Session
from stream.stats import StatsState
from stream.worker import Worker
from tandem import database
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("clean_database")]

START = datetime(2017, 12, 21, 8, tzinfo=UTC)


def order_record(number: int, *, partition: int = -1) -> rig.Outgoing:
    payload = orders.order(
        f"e{number}",
        START + timedelta(seconds=number),
        orders.line(f"p{number % 50}", 100 + number % 900, category=f"k{number % 5}"),
        customer=f"c{number % 997}",
    )
    return rig.Outgoing(orders.encode(payload), payload["customer_id"].encode(), partition)


def owns_all(settings: Settings, worker: Popen[str]) -> bool:
    return len(rig.owners(settings)) == 1 and rig.is_owner(settings, worker)


def end(*workers: Popen[str]) -> None:
    for worker in workers:
        if worker.poll() is None:
            worker.send_signal(signal.SIGCONT)
            worker.terminate()
    for worker in workers:
        worker.communicate(timeout=300)


def test_the_other_worker_takes_over_from_one_that_is_killed(topic_prefix: Settings) -> None:
    slow = topic_prefix.model_copy(update={"micro_batch_max_events": 400})
    first, second = rig.start_worker(slow), rig.start_worker(slow)
    try:
        rig.wait_for(lambda: rig.is_owner(slow, first) and rig.is_owner(slow, second), "both to own partitions")
        rig.produce(slow, (order_record(number) for number in range(3_000)))
        first.kill()
        rig.produce(slow, (order_record(number) for number in range(3_000, 5_000)))
        rig.wait_for(lambda: owns_all(slow, second) and rig.is_caught_up(slow), "the second to finish")
    finally:
        end(first, second)
    rig.assert_books_are_exact(slow)


def test_a_paused_worker_that_comes_back_commits_nothing(topic_prefix: Settings) -> None:
    slow = topic_prefix.model_copy(update={"micro_batch_max_events": 200})
    first = rig.start_worker(slow)
    second = None
    try:
        rig.wait_for(lambda: rig.is_owner(slow, first), "the first to own partitions")
        rig.produce(slow, (order_record(number) for number in range(4_000)))
        rig.wait_for(lambda: sum(rig.positions(slow).values()) > 200, "the first to be in the middle of it")
        first.send_signal(signal.SIGSTOP)
        second = rig.start_worker(slow)
        rig.wait_for(lambda: owns_all(slow, second), "the second to take all over")
        first.send_signal(signal.SIGCONT)
        rig.wait_for(lambda: rig.is_caught_up(slow), "both to finish")
    finally:
        end(*filter(None, (first, second)))
    rig.assert_books_are_exact(slow)


def test_whoever_lost_a_partition_writes_nothing_at_all(topic_prefix: Settings) -> None:
    rig.produce(topic_prefix, [order_record(number, partition=1) for number in range(10)])
    session = Session(topic_prefix, "slow", StatsState())
    try:
        rig.wait_for(lambda: session.step() > 0, "the first records")
        with database.connect(topic_prefix, database.SPEED, autocommit=True) as other:
            sink.claim(other, ORDER_EVENTS, 1, 0, "quick")
        rig.produce(topic_prefix, [order_record(number, partition=p) for number in range(10, 20) for p in (1, 2)])
        before = {table: rig.query(topic_prefix, f"SELECT * FROM speed.{table}") for table in ("partitions", "journal")}
        with pytest.raises(sink.Fenced):
            rig.wait_for(lambda: session.step() > 10, "never")
    finally:
        session.close()
    after = {table: rig.query(topic_prefix, f"SELECT * FROM speed.{table}") for table in ("partitions", "journal")}
    mine = [row["next_offset"] for row in after["partitions"] if row["partition"] == 1]
    assert mine == [row["next_offset"] for row in before["partitions"] if row["partition"] == 1]
    rig.run_to_end(topic_prefix)
    rig.assert_books_are_exact(topic_prefix)


def test_a_worker_that_stops_inside_its_transaction_does_not_hold_up_its_successor(clean_database: Settings) -> None:
    quick = clean_database.model_copy(update={"session_timeout": timedelta(seconds=1)})
    stopped = sink.connect(quick)
    held = sink.claim(stopped, ORDER_EVENTS, 0, 0, "stopped")
    stopped.autocommit = False
    stopped.execute("UPDATE speed.partitions SET next_offset = 100 WHERE epoch = %s", [held.epoch])
    with sink.connect(quick) as successor:
        taken = sink.claim(successor, ORDER_EVENTS, 0, 0, "successor")  # waits for the row, then gets it
    assert (taken.epoch, taken.next_offset) == (held.epoch + 1, 0)
    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        stopped.commit()


def test_nor_does_one_that_stops_between_two_statements_of_one_round_trip(clean_database: Settings) -> None:
    quick = clean_database.model_copy(update={"session_timeout": timedelta(seconds=0.25)})
    stopped = sink.connect_to_commit(quick)
    held = sink.claim(stopped, ORDER_EVENTS, 0, 0, "stopped")
    with ExitStack() as never_left:  # as leaving would send the rest
        never_left.enter_context(stopped.transaction())
        never_left.enter_context(stopped.pipeline())
        stopped.execute("UPDATE speed.partitions SET next_offset = 100 WHERE epoch = %s", [held.epoch])
        stopped.pgconn.flush()
        with sink.connect(clean_database) as successor:
            taken = sink.claim(successor, ORDER_EVENTS, 0, 0, "successor")
        assert (taken.epoch, taken.next_offset) == (held.epoch + 1, 0)
        with pytest.raises((psycopg.OperationalError, psycopg.errors.TransactionTimeout)):
            stopped.execute("SELECT 1").fetchall()
        never_left.pop_all()
    stopped.close()


def test_a_lost_connection_to_postgres_costs_nothing_but_time(topic_prefix: Settings) -> None:
    slow = topic_prefix.model_copy(update={"micro_batch_max_events": 100})
    stop = Event()
    worker = Worker(slow, stop)
    thread = Thread(target=worker.run)
    thread.start()
    try:
        rig.produce(slow, (order_record(number) for number in range(2_000)))
        for _ in range(3):
            done = worker.stats.micro_batches
            rig.wait_for(lambda done=done: worker.stats.micro_batches > done, "the worker to work")  # type: ignore[misc]
            with database.connect(slow, database.SPEED, autocommit=True) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = current_user AND pid <> pg_backend_pid() AND datname = current_database()"
                )
        rig.wait_for(lambda: rig.is_caught_up(slow), "the worker to finish")
    finally:
        stop.set()
        thread.join(300)
    rig.assert_books_are_exact(slow)


def test_a_worker_that_is_asked_to_stop_finishes_and_leaves_at_once(topic_prefix: Settings) -> None:
    patient = topic_prefix.model_copy(update={"session_timeout": timedelta(minutes=20)})
    first = rig.start_worker(patient, "--json")
    try:
        rig.wait_for(lambda: rig.is_owner(patient, first), "the first to own partitions")
        rig.produce(patient, (order_record(number) for number in range(1_000)))
        first.terminate()
        out, _ = first.communicate(timeout=300)
    finally:
        end(first)
    assert first.returncode == 0
    assert '"events": ' in out
    # Had it not left the group, the twenty minutes of its session would have to pass first.
    rig.run_to_end(patient)
    rig.assert_books_are_exact(patient)
