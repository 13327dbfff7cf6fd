"""The speed layer itself, and the most that reading and decoding alone reach."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from benchmarks.place import Rate, Stopwatch
from stream import decode
from stream.session import Session
from stream.source import Source
from stream.stats import StatsState
from tandem import database
from tandem.settings import Settings


def ceiling(settings: Settings, events: int) -> Rate:
    """Everything is read and decoded, and nothing done with it: the better of in turn, and reading ahead."""
    rates = [_read_and_decode(settings, events, ahead=ahead) for ahead in (False, True)]
    return max(rates, key=lambda rate: rate.per_second)


def _read_and_decode(settings: Settings, events: int, *, ahead: bool) -> Rate:
    own = settings.model_copy(update={"consumer_group": f"benchmark-ceiling-{ahead}"})
    source = Source(own, lambda positions: dict.fromkeys(positions, 0), lambda _: None)
    pool = ThreadPoolExecutor(1)
    decoding: list[Future[object]] = []

    def step() -> int:
        polled = source.poll(own.micro_batch_max_events, own.micro_batch_linger.total_seconds())
        if ahead:
            decoding.append(pool.submit(decode.decode, polled.orders, own.currency))
            if len(decoding) > 1:
                decoding.pop(0).result()
        else:
            decode.decode(polled.orders, own.currency)
        return len(polled.orders)

    try:
        watch, done = _run(settings, step, events)
        for last in decoding:
            last.result()
        return watch.rate(done)
    finally:
        pool.shutdown()
        source.close()


def pipeline(settings: Settings, events: int) -> Rate:
    """A worker that commits everything, and at the end leaves nothing to be settled."""
    session = Session(settings, "benchmark", StatsState())
    done = 0
    try:
        watch, done = _run(settings, session.step, events)
    finally:
        session.close(settled=done > 0)
    return watch.rate(done)


def _run(settings: Settings, step: Callable[[], int], events: int) -> tuple[Stopwatch, int]:
    """Joining the group and the first micro-batch, which warms everything up, are not measured."""
    watch = Stopwatch.of(settings)
    first = 0
    while not first:
        first = step()
    watch.start()
    done = first
    while done < events:
        done += step()
    return watch, done - first


def rows_written(settings: Settings) -> dict[str, int]:
    """Rows inserted, updated or deleted so far, by table of the speed layer."""
    with database.connect(settings, database.OWNER) as owner:
        owner.execute("SELECT pg_stat_force_next_flush()")
        found = owner.execute(
            "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE schemaname = 'speed'"
        ).fetchall()
    return dict(found)
