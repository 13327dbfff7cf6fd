"""Against the real broker: whole or not at all, the same ids again, one replay of a source at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import IsolationLevel, Producer
from reader import visible
from shop import ends

from tandem.errors import TandemError
from tandem.settings import PROJECT_ROOT, Settings
from tandem.sources.completejourney import completejourney
from tandem.sources.faults import load_faults
from tandem.sources.planning import plan_replay
from tandem.sources.producer import BatchLimit, ReplayProducer, ReplayResult, produce
from tandem.topics import ORDER_EVENTS, TOPICS, Topic

pytestmark = pytest.mark.integration
DAY = date(2017, 12, 23)


@pytest.fixture(scope="session")
def own_topics() -> tuple[Topic, ...]:
    return tuple(topic for topic in TOPICS if topic.name == ORDER_EVENTS)


def one_day(shop: Settings):
    return plan_replay(completejourney(DAY, DAY, shop), shop)


def ids(shop: Settings) -> list[str]:
    return [json.loads(seen.value)["event_id"] for seen in visible(shop)]


def test_every_event_is_visible_once_with_its_customer_as_key_and_by_event_time(topic_prefix: Settings) -> None:
    result = produce(one_day(topic_prefix), ReplayProducer(topic_prefix, "completejourney"))
    seen = visible(topic_prefix)
    assert (result.events, result.orders, result.revenue_cents) == (606, 606, 2_499_447)
    assert len(seen) == 606
    times: dict[int, list[str]] = defaultdict(list)
    for record in seen:
        event = json.loads(record.value)
        assert record.key == event["customer_id"].encode()
        times[record.partition].append(event["event_time"])
    assert all(found == sorted(found) for found in times.values())


def test_planted_faults_lie_in_the_log_as_planned(topic_prefix: Settings) -> None:
    faults = load_faults(PROJECT_ROOT / "examples" / "faults-demo.toml")
    plan = plan_replay(completejourney(date(2017, 12, 21), DAY, topic_prefix), topic_prefix, faults)
    result = produce(plan, ReplayProducer(topic_prefix, "completejourney"))
    assert (result.events, result.events - result.planted, result.orders) == (plan.size, 1_533, 1_533)
    planned: dict[bytes | None, list[bytes]] = defaultdict(list)
    found: dict[bytes | None, list[bytes]] = defaultdict(list)
    for record in plan:
        planned[record.key].append(record.value)
    for seen in visible(topic_prefix):
        found[seen.key].append(seen.value)
    assert {key: values for key, values in found.items() if key} == {k: v for k, v in planned.items() if k}
    assert sorted(found[None]) == sorted(planned[None])


def test_a_replay_again_sends_the_same_ids(topic_prefix: Settings) -> None:
    for _ in range(2):
        produce(one_day(topic_prefix), ReplayProducer(topic_prefix, "completejourney"))
    assert set(Counter(ids(topic_prefix)).values()) == {2}


def test_a_replay_returns_only_when_readers_see_all_of_it(topic_prefix: Settings) -> None:
    """An open transaction of somebody else holds readers back as long as one wants, as markers under way do for ms."""
    other = Producer(
        {"bootstrap.servers": topic_prefix.brokers, "transactional.id": f"{topic_prefix.topic_prefix}other"}
    )
    other.init_transactions(30)
    other.begin_transaction()
    for partition in range(12):
        other.produce(topic_prefix.topic(ORDER_EVENTS), b"{}", partition=partition)
    assert other.flush(30) == 0
    heard: list[ReplayResult] = []
    with ThreadPoolExecutor(1) as beside:
        producer = ReplayProducer(topic_prefix, "completejourney")
        replay = beside.submit(produce, one_day(topic_prefix), producer, on_progress=heard.append)
        with pytest.raises(TimeoutError):
            replay.result(timeout=3)
        assert heard[-1].events == 606
        other.commit_transaction(30)
        assert replay.result(timeout=60).events == 606
    assert ends(topic_prefix, IsolationLevel.READ_COMMITTED) == ends(topic_prefix)


def test_what_was_not_committed_when_stopped_is_not_visible(topic_prefix: Settings) -> None:
    heard: list[ReplayResult] = []
    result = produce(
        one_day(topic_prefix),
        ReplayProducer(topic_prefix, "completejourney"),
        on_progress=heard.append,
        stop=lambda: len(heard) == 3,
        limit=BatchLimit(events=100, seconds=60),
    )
    assert (result.events, result.transactions, result.interrupted) == (300, 3, True)
    assert len(ids(topic_prefix)) == 300


KILLED = """
import sys, time
from datetime import date
from tandem.settings import settings
from tandem.sources.completejourney import completejourney
from tandem.sources.planning import plan_replay
from tandem.sources.producer import ReplayProducer

producer = ReplayProducer(settings(), "completejourney")
records = list(plan_replay(completejourney(date(2017, 12, 23), date(2017, 12, 23)), settings()))
producer.send(records[:200])
producer._client.begin_transaction()
producer._enqueue(records[200:500])
producer._client.flush()
print("half-way", flush=True)
time.sleep(600)
"""


def test_a_replay_killed_within_a_transaction_leaves_nothing_of_it_and_runs_again_with_the_same_ids(
    topic_prefix: Settings,
) -> None:
    killed = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT)
    try:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "half-way\n"
    finally:
        killed.kill()
        killed.wait()
        killed.stdout.close()
    # The broker has the open transaction's records, and shows them to no reader.
    assert len(visible(topic_prefix, IsolationLevel.READ_UNCOMMITTED)) == 500
    first = ids(topic_prefix)
    assert len(first) == 200
    produce(one_day(topic_prefix), ReplayProducer(topic_prefix, "completejourney"))
    after = Counter(ids(topic_prefix))
    assert len(after) == 606
    assert sum(after.values()) == 806
    assert {event_id for event_id, times in after.items() if times == 2} == set(first)


def test_a_second_replay_of_the_same_source_takes_over_and_the_first_says_so(topic_prefix: Settings) -> None:
    first = ReplayProducer(topic_prefix, "completejourney")
    records = list(one_day(topic_prefix))
    first.send(records[:10])
    second = ReplayProducer(topic_prefix, "completejourney")
    with pytest.raises(TandemError, match="another replay of 'completejourney' has started and taken over"):
        first.send(records[10:20])
    second.send(records[20:30])
    other = ReplayProducer(topic_prefix, "shop")
    other.send(records[30:40])
    second.send(records[40:50])
    assert len(ids(topic_prefix)) == 40


def test_events_go_out_no_faster_than_the_rate(topic_prefix: Settings) -> None:
    heard: list[ReplayResult] = []
    records = list(one_day(topic_prefix))[:60]
    started = time.monotonic()
    result = produce(
        records,
        ReplayProducer(topic_prefix, "completejourney"),
        rate=40,
        on_progress=heard.append,
        limit=BatchLimit(seconds=0.2),
    )
    # The last of 60 events is due 59/40 s after the first; a slow machine only takes longer.
    assert time.monotonic() - started >= 59 / 40
    assert all(progress.events <= 40 * progress.seconds + 1 for progress in heard)
    assert (result.events, len(ids(topic_prefix))) == (60, 60)
    assert result.transactions > 1


def test_an_event_that_kafka_does_not_take_is_named_and_leaves_nothing_behind(topic_prefix: Settings) -> None:
    producer = ReplayProducer(topic_prefix, "completejourney")
    records = list(one_day(topic_prefix))[:3]
    huge = msgspec.structs.replace(records[1], value=b"x" * 2_000_000)
    with pytest.raises(TandemError, match=rf"event '{huge.event_id}' is larger than Kafka takes"):
        producer.send([records[0], huge])
    producer.send(records)
    assert len(ids(topic_prefix)) == 3


def test_a_missing_topic_is_one_line(kafka: Settings) -> None:
    with pytest.raises(TandemError, match=r"topic 'nowhere-order-events' does not exist .* run 'tandem up'"):
        ReplayProducer(kafka.model_copy(update={"topic_prefix": "nowhere-"}), "completejourney")


def test_ctrl_c_stops_after_a_whole_transaction_with_exit_status_130(topic_prefix: Settings) -> None:
    command = [
        sys.executable,
        "-m",
        "tandem",
        "replay",
        "completejourney",
        "--from",
        "2017-12-21",
        "--to",
        "2017-12-23",
    ]
    replay = subprocess.Popen(
        [*command, "--rate", "10", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT_ROOT,
        env=os.environ,
    )
    deadline = time.monotonic() + 300
    while not visible(topic_prefix):
        assert replay.poll() is None, replay.communicate()
        assert time.monotonic() < deadline
    replay.send_signal(signal.SIGINT)
    out, err = replay.communicate(timeout=300)
    assert replay.returncode == 130, err
    result = json.loads(out)
    assert result["interrupted"] is True
    assert 0 < result["events"] < 1_533
    assert len(visible(topic_prefix)) == result["events"]


def test_the_example_shop_goes_to_kafka_by_the_command(topic_prefix: Settings, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tandem", "replay", "examples/shop.csv", "--mapping", "examples/shop.toml"]
    rejects = tmp_path / "rejects.csv"
    done = subprocess.run(
        [*command, "--rejects", str(rejects), "--json"], capture_output=True, text=True, cwd=PROJECT_ROOT, check=True
    )
    result = json.loads(done.stdout)
    seen = [json.loads(record.value) for record in visible(topic_prefix)]
    assert (result["orders"], result["cancellations"], result["rejected_rows"]) == (9, 2, 3)
    # 41.29 + 21.75 + 1324.60 + 24.95 + 18.90 + 17.45 + 955.70 + 14.50 + 39.00, and 7.25 + 24.95 taken back
    assert (result["revenue_cents"], result["cancelled_cents"]) == (245_814, 3_220)
    assert {event["order_id"] for event in seen} == {str(n) for n in range(1001, 1012)} - {"1005", "1010"}
    assert all(datetime.fromisoformat(event["event_time"]).utcoffset() is not None for event in seen)
    assert "line 8: quantity" in done.stderr
    assert rejects.read_text().count("\n") == 4
