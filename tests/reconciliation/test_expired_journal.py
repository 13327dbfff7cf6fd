"""What is said of a date whose journal retention took, in part or whole: what was found stands, nothing is made up."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from reconciliation import lateness, reconcile, sift
from stream import journal_upkeep as upkeep
from tandem import cli, database, journal
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS
from tests.reconciliation.books import DAY, execute, insert
from tests.reconciliation.loop import AGREED, LOST, OUTSIDE, run, statuses
from tests.reconciliation.scene import Applier, stage, write_run

pytestmark = pytest.mark.integration

LATER = datetime.now(UTC) + timedelta(days=500)
RESTATED = "2017-12-23.20180301T030000Z.test01"


def retain(shop: Settings, *partitions: int) -> upkeep.Retained:
    """Long after. The stream has sent all that it had of these partitions, if any are named, or of all."""
    for partition in partitions or range(12):
        place = {"topic": ORDER_EVENTS, "partition": partition}
        insert(shop, "speed.published", **place, next_offset=1_000)
    return upkeep.retain(shop, LATER, lambda _: None)


def asked(*command: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.app, [*command, "--date", str(DAY)])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def corrected(shop: Settings, applier: Applier) -> Settings:
    """A date that was out of tolerance, was corrected, and agrees."""
    stage(shop, OUTSIDE)
    run(shop)
    applier.apply()
    assert (run(shop).verdict, run(shop).cells_differing) == ("match", 0)
    return shop


@pytest.mark.parametrize("partitions", [(), (1,)], ids=["all of it", "one partition's"])
def test_what_was_found_stands_and_is_not_hidden_behind_a_comparison_without_a_journal(
    corrected: Settings, partitions: tuple[int, ...]
) -> None:
    before = [asked(*of) for of in (("report",), ("explain",), ("lateness",), ("verify",), ("history",))]
    decided, compared = statuses(corrected), execute(corrected, "SELECT count(*) FROM reconciliation.reconciliations")
    assert retain(corrected, *partitions).dates == (DAY,)
    status, _, stderr = asked("reconcile")
    assert (status, stderr.count("\n")) == (2, 1)
    assert f"tandem: {DAY} cannot be compared again: retention took the stream's journal of {DAY} on " in stderr
    assert f"tandem report --date {DAY}" in stderr
    assert f"tandem stream rebuild --from {DAY} --swap" in stderr
    assert asked("reconcile", "--dry-run")[0] == 2
    assert [asked(*of) for of in (("report",), ("explain",), ("lateness",), ("verify",), ("history",))] == before
    assert execute(corrected, "SELECT count(*) FROM reconciliation.reconciliations") == compared
    assert statuses(corrected) == decided


@pytest.mark.parametrize("partitions", [(), (1,)], ids=["all of it", "one partition's"])
def test_a_version_that_came_after_is_not_comparable_and_corrects_nothing(
    corrected: Settings, partitions: tuple[int, ...]
) -> None:
    retain(corrected, *partitions)
    decided = statuses(corrected)
    late = OUTSIDE[0].again(offset=40, order_id="years later", cents=9_000, speed="", batch="counted")
    execute(
        corrected,
        "INSERT INTO reconciliation.cuts SELECT %s, business_date, comparable, reason, lag, rule_version"
        " FROM reconciliation.cuts",
        [RESTATED],
    )
    execute(
        corrected,
        "INSERT INTO reconciliation.cut_offsets SELECT %s, topic, partition, next_offset, watermark"
        " FROM reconciliation.cut_offsets",
        [RESTATED],
    )
    write_run(corrected, [*OUTSIDE, late], RESTATED)
    outcome = run(corrected)
    assert (outcome.verdict, outcome.exit_status, outcome.corrected.emitted) == ("not_comparable", 2, 0)
    assert outcome.reason.startswith(f"retention took the stream's journal of {DAY} on ")
    assert outcome.remedy.endswith(f"tandem stream rebuild --from {DAY} --swap; then reconcile it")
    assert statuses(corrected) == decided, "nothing is corrected, and nothing waits"
    status, stdout, _ = asked("explain")
    assert (status, stdout.startswith("The two layers could not be compared: retention took")) == (2, True)
    assert "retention took" in asked("report")[1]


def test_a_date_with_corrections_that_wait_keeps_its_journal(shop: Settings) -> None:
    stage(shop, LOST)
    assert run(shop).corrected.waiting > 0
    done = retain(shop)
    assert done.held == ((DAY, "corrections of it wait for approval"),)
    assert (done.records, asked("reconcile")[0]) == (0, 1)


def test_lateness_that_was_kept_is_still_told_and_what_is_gone_is_not_made_up(corrected: Settings) -> None:
    before = asked("lateness")
    retain(corrected)
    assert asked("lateness") == before
    execute(corrected, "DELETE FROM reconciliation.lateness")  # as of a comparison from before it was kept
    status, stdout, stderr = asked("lateness")
    assert (status, stdout, stderr.count("\n")) == (2, "", 1)
    assert f"retention took the stream's journal of {DAY}" in stderr
    with database.connect(corrected, database.READER) as reader:
        assert lateness.of_dates(reader, corrected, DAY) is None
    assert asked("report")[0] == 0


def test_an_order_s_story_says_what_is_no_longer_known_and_what_never_came(corrected: Settings) -> None:
    retain(corrected, 1)
    execute(corrected, "DELETE FROM speed.journal WHERE partition = 0")  # lost, by no retention

    def told(order: str) -> tuple[list[dict[str, Any]], str]:
        shown = CliRunner().invoke(cli.app, ["explain", "--order", order])
        as_json = CliRunner().invoke(cli.app, ["explain", "--order", order, "--json"])
        assert shown.exit_code == as_json.exit_code == 0, as_json.output
        return json.loads(as_json.stdout)["events"], shown.stdout

    (gone,), text = told("o1")
    assert (gone["partition"], gone["stream"], gone["stream_expired"]) == (1, None, True)
    assert "what it decided is no longer known: retention took its journal" in text
    (lost,), text = told("o2")
    assert (lost["partition"], lost["stream"], lost["stream_expired"]) == (0, None, False)
    assert "does not have it, or not yet" in text
    nobody = CliRunner().invoke(cli.app, ["explain", "--order", "nobody's"])
    assert (nobody.exit_code, nobody.stderr.count("\n")) == (2, 1)
    assert "neither layer has an order nobody's; retention took the stream's journal of some dates" in nobody.stderr


def test_a_comparison_under_way_sees_all_of_the_journal_or_says_that_it_is_gone(
    corrected: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(corrected, "DELETE FROM reconciliation.lateness")
    whole = journal.decode_each
    went: list[upkeep.Retained] = []

    def while_read(*arguments: Any, **options: Any) -> Any:
        """Retention comes between two partitions."""
        rows = whole(*arguments, **options)
        if not went and len(arguments) == 2:
            went.append(upkeep.Retained(None))
            went.append(retain(corrected))
        return rows

    with database.connect(corrected, database.READER, autocommit=True) as reader:
        advice = lateness.of_dates(reader, corrected, DAY)
        assert advice is not None
    monkeypatch.setattr(journal, "decode_each", while_read)
    sifting = sift.read
    seen = []

    def sifted(*arguments: Any) -> Any:
        seen.append(sifting(*arguments))
        return seen[-1]

    monkeypatch.setattr(sift, "read", sifted)
    outcome = reconcile.run(corrected, DAY, apply_timeout=timedelta(0))
    assert went[-1].dates == (DAY,)
    assert (outcome.verdict, outcome.reason, outcome.cells_differing) == ("match", "", 0)
    assert sum(seen[0].holes.height for _ in seen) == 0
    causes = execute(
        corrected,
        "SELECT cause, count(*) FROM reconciliation.discrepancies JOIN"
        " reconciliation.reconciliations USING (reconciliation_id)"
        " WHERE reconciliation_id = %s GROUP BY 1 ORDER BY 1",
        [outcome.reconciliation_id],
    )
    assert causes == [("duplicate", 1), ("late", 2)]


def test_reading_outside_a_transaction_while_it_goes_is_refused_not_half(
    corrected: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, went = journal.decode_each, []

    def while_read(*arguments: Any, **options: Any) -> Any:
        rows = whole(*arguments, **options)
        if not went:
            went.append(True)
            retain(corrected)
        return rows

    monkeypatch.setattr(journal, "decode_each", while_read)
    with (
        database.connect(corrected, database.READER, autocommit=True) as reader,
        pytest.raises(journal.ExpiredError),
    ):
        journal.read(reader, ORDER_EVENTS, DAY)


def test_a_date_that_lost_nothing_is_compared_as_ever(shop: Settings, applier: Applier) -> None:
    stage(shop, AGREED)
    insert(shop, "speed.journal_kept", topic=ORDER_EVENTS, partition=0, from_offset=0)
    insert(shop, "speed.journal_expired", business_date=DAY - timedelta(days=1))
    assert run(shop).verdict == "match"
