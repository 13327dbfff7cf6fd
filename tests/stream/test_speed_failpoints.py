"""Death before every single step that leaves a worker: what is in the books and on the topics is still exact."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from datetime import timedelta
from itertools import cycle, islice
from pathlib import Path
from random import Random
from uuid import uuid4

import failpoints
import pytest
import speed_rig as rig
from depth import tries
from topic_books import assert_events_are_complete, assert_states_are_the_tables, shop

from tandem.settings import Settings

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(3000),
    pytest.mark.usefixtures("clean_database"),
]

DEATHS = tries(25, full=2_000)
"""Each before another step, drawn by lot. There are about a hundred, so 2,000 is twenty before each."""


def work(settings: Settings, **options: object) -> int:
    """A worker in a process of its own, which is up at once because a server of processes has imported all it needs.

    Its group is its own too: nobody waits until Kafka misses the dead. What keeps workers apart is Postgres.
    """
    alone = settings.model_copy(update={"consumer_group": f"{settings.topic_prefix}{uuid4().hex}"})
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["failpoints"])
    worker = processes.Process(target=failpoints.run, args=(alone,), kwargs=options)
    worker.start()
    worker.join(300)
    assert worker.exitcode is not None, "a worker hangs"
    return worker.exitcode


def test_a_worker_may_die_before_any_step_that_leaves_it(topic_prefix: Settings, tmp_path: Path) -> None:
    seed = Random().randrange(1 << 32)
    print(f"seed {seed}")
    random = Random(seed)
    quick = topic_prefix.model_copy(
        update={"micro_batch_max_events": 40, "early_results_every": timedelta(milliseconds=50)}
    )
    log = shop(1_000_000, seed=seed)
    sent = rig.produce(quick, (next(log) for _ in range(400)))
    assert work(quick, steps=tmp_path / "steps") == 0
    times = Counter((tmp_path / "steps").read_text().splitlines())
    died: Counter[str] = Counter()
    for step in islice(cycle(random.sample(sorted(times), len(times))), DEATHS):
        sent += rig.produce(quick, (next(log) for _ in range(random.randint(40, 200))))
        ended = work(quick, die_at=(step, random.randrange(min(times[step], 4))))
        assert ended in (0, failpoints.DIED)
        died[step] += ended == failpoints.DIED
    rig.run_to_end(quick)
    for step, count in sorted(died.items()):
        print(f"{count:3} {step}")
    assert len(rig.assert_books_are_exact(quick).decisions) == sent
    assert_states_are_the_tables(quick)
    assert_events_are_complete(quick)
    assert sum(died.values()) > DEATHS // 2, "what nobody died of proves nothing"
