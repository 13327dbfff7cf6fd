"""The lateness what-if says what the stream would really have done: it is held against the stream's own rule."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from reconciliation import behind, gather, lateness, reconcile
from reconciliation.report import Grace
from stream.dedupe import DECISIONS, Horizons, PartitionState, decide_many
from stream.hashed import Texts
from tandem import cli, database
from tandem.events import Decision
from tandem.settings import Settings
from tests.reconciliation.books import DAY, at, execute
from tests.reconciliation.decisions import Record
from tests.reconciliation.scene import stage

MINUTE_US = 60_000_000
DEDUPE_US = 24 * 60 * MINUTE_US
NOW = timedelta(hours=1)
GRACES = (*behind.GRACES, timedelta(minutes=90))

Log = list[tuple[str, int, int]]
"""event id, event time in minutes, cents"""

LOGS = st.lists(
    st.tuples(st.integers(0, 15), st.integers(0, 26 * 60), st.integers(1, 500)), min_size=1, max_size=30
).map(lambda rows: [(f"e{number}", *{n: (t, c) for n, t, c in reversed(rows)}[number]) for number, _, _ in rows])
"""A copy carries the time and the amount of the event that it is a copy of."""


def decisions(log: Log, grace: timedelta) -> list[tuple[Decision, int]]:
    """What the stream decides, and the watermark before each event."""
    horizons = Horizons(int(grace.total_seconds()) * 1_000_000, DEDUPE_US)
    ids = Texts.of(pl.Series([event_id for event_id, _, _ in log], dtype=pl.String))
    times = np.array([minute * MINUTE_US for _, minute, _ in log])
    codes, before = decide_many(PartitionState(), ids, times, horizons)
    return [(DECISIONS[code], mark) for code, mark in zip(codes.tolist(), before.tolist(), strict=True)]


def differing(log: Log, grace: timedelta) -> dict[int, tuple[int, int]]:
    """By offset, stream and batch cents where they are not equal; the batch layer counts each id once."""
    ids = [event_id for event_id, _, _ in log]
    booked = {}
    for offset, ((event_id, _, cents), (decision, _)) in enumerate(zip(log, decisions(log, grace), strict=True)):
        speed = cents if decision is Decision.COUNTED else 0
        batch = cents if ids.index(event_id) == offset else 0
        if speed != batch:
            booked[offset] = (speed, batch)
    return booked


def gross(log: Log, grace: timedelta) -> int:
    return sum(abs(batch - speed) for speed, batch in differing(log, grace).values())


def curve_of(log: Log, offsets: Collection[int]) -> behind.Curve:
    """What is worked out from the events at these offsets."""
    seen = [
        (0, offset, event_id, timedelta(microseconds=mark - minute * MINUTE_US), decision is Decision.COUNTED, cents)
        for offset, ((event_id, minute, cents), (decision, mark)) in enumerate(
            zip(log, decisions(log, NOW), strict=True)
        )
        if offset in offsets and decision is not Decision.DUPLICATE and mark - minute * MINUTE_US > MINUTE_US
    ]
    booked = [(0, offset, *cents) for offset, cents in differing(log, NOW).items() if offset in offsets]
    return behind.curve(
        pl.DataFrame(seen, schema=behind.SEEN, orient="row"),
        pl.DataFrame(booked, schema=behind.DIFFERING, orient="row"),
        GRACES,
    )


@settings(deadline=None, max_examples=60)
@given(LOGS, st.integers(0, 26 * 60))
def test_dates_worked_out_one_by_one_add_up_to_all_of_them_at_once(log: Log, midnight: int) -> None:
    before = {offset for offset, (_, minute, _) in enumerate(log) if minute < midnight}
    apart = curve_of(log, before), curve_of(log, set(range(len(log))) - before)
    assert apart[0].plus(apart[1]) == curve_of(log, range(len(log)))


@settings(deadline=None, max_examples=150)
@given(LOGS)
def test_every_grace_leaves_what_the_stream_would_have_left_under_it(log: Log) -> None:
    found = lateness.graces(curve_of(log, range(len(log))))
    counted = {grace: sum(d is Decision.COUNTED for d, _ in decisions(log, grace)) for grace in (*GRACES, NOW)}
    for grace, said in zip(sorted(GRACES), found, strict=True):
        assert said.removed_cents == gross(log, NOW) - gross(log, grace)
        assert said.events == counted[grace] - counted[NOW]
        assert said.percent == (100 * said.removed_cents / gross(log, NOW) if gross(log, NOW) else None)


def curve(*removed: int) -> tuple[Grace, ...]:
    return tuple(
        Grace(minutes, 0, cents, cents / 10) for minutes, cents in zip((30, 60, 120, 720, 1440), removed, strict=True)
    )


@pytest.mark.parametrize(
    ("removed", "advised", "why"),
    [
        ((-40, 0, 300, 960, 1_000), 720, "the first that removes 95 % of what the longest removes"),
        ((-40, 0, 1_000, 1_000, 1_000), 120, "the shortest of those that remove the same"),
        ((-40, 0, 0, 0, 0), 60, "no longer one helps"),
        ((-40, 0, -5, -5, -9), 60, "every longer one makes it worse"),
        ((0, 0, 0, 0, 0), 60, "a shorter one saves nothing that is worth a surprise"),
    ],
)
def test_one_value_is_advised(removed: tuple[int, ...], advised: int, why: str) -> None:
    advice = lateness.advise(curve(*removed), NOW, 7)
    assert advice.advised_minutes == advised, why
    words = lateness.in_words(advice)
    assert words.startswith("Keep the allowed lateness of 1 h" if advised == 60 else "An allowed lateness of")


def test_the_advice_gives_its_reason_and_its_price() -> None:
    assert lateness.in_words(lateness.advise(curve(-40, 0, 300, 960, 1_000), NOW, 7)) == (
        "An allowed lateness of 12 h instead of 1 h would have removed 96 % of the difference over the last 7 dates;"
        " 24 h would have removed 100 %. The price: an hour's figures may move for so long after its end."
    )


def test_what_the_grace_that_is_set_now_would_have_removed_of_dates_before_it_is_not_counted_as_its_gain() -> None:
    assert lateness.in_words(lateness.advise(curve(0, 960, 970, 1_000, 1_000), NOW, 7)) == (
        "Keep the allowed lateness of 1 h: over the last 7 dates it would have removed 96 % of the difference, and 24 h"
        " 100 %."
    )
    assert lateness.in_words(lateness.advise(curve(0, 800, 1_000, 1_000, 1_000), NOW, 7)).startswith(
        "An allowed lateness of 2 h instead of 1 h would have removed 100 % of the difference over the last 7 dates;"
        " 1 h, as it is set now, 80 %; 24 h would have removed 100 %."
    )
    assert "any more of the difference" in lateness.in_words(lateness.advise(curve(0, 9, 9, 9, 9), NOW, 7))


@pytest.mark.integration
@pytest.mark.parametrize(("now_s", "said"), [(0, "0 min"), (20, "20 s"), (90, "90 s"), (60, "1 min"), (7200, "2 h")])
def test_a_lateness_that_is_no_whole_minutes_is_said_and_advised_as_it_is(now_s: int, said: str) -> None:
    now = timedelta(seconds=now_s)
    found = lateness.graces(behind.Curve(1_000, dict.fromkeys({*behind.GRACES, now}, (0, 0))))
    advice = lateness.advise(found, now, 7)
    assert [lateness.span(grace.minutes) for grace in found].count(said) == 1
    assert lateness.in_words(advice).startswith(f"Keep the allowed lateness of {said}: ")
    assert advice.advised_minutes == advice.now_minutes == now / timedelta(minutes=1)


def test_a_shorter_grace_is_no_advice() -> None:
    """A minute is not longer than 90 s."""
    now = timedelta(seconds=90)
    removed = {grace: (1, 500 if grace < now else 0) for grace in {*behind.GRACES, now}}
    assert lateness.advise(lateness.graces(behind.Curve(1_000, removed)), now, 7).advised_minutes == 1.5


def test_the_report_and_the_command_advise_from_the_journal(topic_prefix: Settings, clean_database: Settings) -> None:
    shop = topic_prefix
    records = [
        *(Record(n, order_id=f"o{n}", customer=f"c{n}", when=at(8 + n), watermark=at(8 + n)) for n in range(6)),
        Record(10, order_id="early", cents=300, when=at(13), watermark=at(13, 20)),
        Record(20, order_id="late", cents=700, when=at(9, 30), speed="late", watermark=at(12)),
        Record(21, order_id="later", cents=50, when=at(2), speed="late", watermark=at(13)),
        Record(22, order_id="twice", cents=80, when=at(10), speed="late", batch="duplicate", watermark=at(12)),
        Record(23, order_id="lost", cents=250, when=at(12), speed="", watermark=at(13)),
    ]
    stage(shop, records)
    reconcile.run(shop, DAY, dry_run=True, apply_timeout=timedelta(0))
    with database.snapshot(shop) as connection:
        advice = gather.report(connection, shop, DAY).lateness
    assert advice is not None
    curve_found = {grace.minutes: (grace.events, grace.removed_cents) for grace in advice.graces}
    assert curve_found == {
        **dict.fromkeys((1, 5, 15), (-1, -300)),
        **dict.fromkeys((30, 60), (0, 0)),
        120: (1, -80),
        **dict.fromkeys((180, 360), (2, 620)),
        **dict.fromkeys((720, 1440), (3, 670)),
    }
    assert (advice.now_minutes, advice.advised_minutes, advice.dates) == (60, 720, 1)
    told = CliRunner().invoke(cli.app, ["lateness", "--date", str(DAY), "--json"])
    assert json.loads(told.stdout)["graces"][-1]["percent"] == 67.0
    text = CliRunner().invoke(cli.app, ["lateness", "--date", str(DAY)]).stdout
    assert "An allowed lateness of 12 h instead of 1 h would have removed 67 % of the difference over this date" in text
    assert "1 h (now)" in text
    execute(shop, "UPDATE reconciliation.lateness SET grace = grace + interval '1 day'")  # as if none were kept
    with database.connect(shop, database.READER) as connection:
        assert lateness.of_dates(connection, shop, DAY) == advice, "what is kept is what the journal says"
    execute(shop, "UPDATE reconciliation.lateness SET grace = grace - interval '1 day'")
    execute(shop, "TRUNCATE speed.journal")
    with database.connect(shop, database.READER) as connection:
        assert lateness.of_dates(connection, shop, DAY) == advice, "a report reads what is kept, not the journal"
    missing = CliRunner().invoke(cli.app, ["lateness", "--date", "2017-12-01"])
    assert (missing.exit_code, missing.stderr.count("\n")) == (2, 1)
