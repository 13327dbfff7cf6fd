"""kill -9, again and again, with everything that the speed layer gives out switched on.

At full depth fifty times over two hundred thousand events.
"""

from __future__ import annotations

import time
from datetime import timedelta
from itertools import islice
from random import Random
from threading import Thread

import pytest
import speed_rig as rig
from depth import tries
from topic_books import assert_events_are_complete, assert_states_are_the_tables, shop

from tandem.settings import Settings

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(2400),
    pytest.mark.usefixtures("clean_database"),
]

KILLS = tries(20, full=50)
EVENTS = 4_000 * KILLS


def test_kills_at_random_moments_lose_nothing_double_nothing_and_leave_no_topic_behind(
    topic_prefix: Settings,
) -> None:
    seed = Random().randrange(1 << 32)
    print(f"seed {seed}")
    random = Random(seed)
    quick = topic_prefix.model_copy(
        update={
            "micro_batch_max_events": 500,
            "early_results_every": timedelta(seconds=0.3),
            "session_timeout": timedelta(seconds=2),
        }
    )
    log = iter(list(islice(shop(EVENTS, seed=seed), EVENTS)))
    workers = [rig.start_worker(quick), rig.start_worker(quick)]
    try:
        for kill in range(KILLS):
            feeding = Thread(target=rig.produce, args=(quick, islice(log, EVENTS // KILLS)))
            feeding.start()
            victim = workers[kill % 2]
            rig.wait_for(lambda victim=victim: rig.is_owner(quick, victim), "the victim to own partitions")  # type: ignore[misc]
            time.sleep(random.uniform(0, 1.5))
            victim.kill()
            victim.communicate()
            workers[kill % 2] = rig.start_worker(quick)
            feeding.join()
        rig.wait_for(lambda: rig.is_caught_up(quick), "the last to finish")
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    rig.run_to_end(quick)
    wanted = rig.assert_books_are_exact(quick)
    assert len(wanted.decisions) == EVENTS
    assert_states_are_the_tables(quick)
    assert_events_are_complete(quick)
