"""Each expectation of the gate must fail on the defect it is there for, name its rows, and pass on sound facts."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction
from log import Log, order

from spark_jobs.gate import Result, frames, judge, main
from spark_jobs.gate_suites import ARCHIVE, FACTS
from spark_jobs.runs import Run
from tandem import master_dataset
from tandem.settings import Settings

DAY = date(2017, 12, 23)
SOUND: dict[str, Any] = {
    "run_id": "r",
    "partition": 0,
    "kafka_time": datetime(2026, 1, 1, tzinfo=UTC),
    "event_type": "order_created",
    "event_time": datetime(2017, 12, 23, 9, tzinfo=UTC),
    "customer_id": "ann",
    "total_cents": 100,
    "previous_total_cents": None,
    "units": 1,
    "items": None,
    "decision": "counted",
    "reasons": "",
    "payment_method": None,
    "region": None,
    "business_date": DAY,
    "below_cut": True,
    "archived": True,
    "quarantined": 0,
}
KINDS = {"previous_total_cents": pl.Int64, "items": pl.String, "payment_method": pl.String, "region": pl.String}


def sound(offset: int, **changes: Any) -> dict[str, Any]:
    return {**SOUND, "offset": offset, "event_id": f"e{offset}", "order_id": f"o{offset}", **changes}


def judged(facts: list[dict[str, Any]], in_facts: list[bool] | None = None) -> list[Result]:
    archive = pl.DataFrame({"partition": 0, "offset": range(len(in_facts or [True])), "in_facts": in_facts or [True]})
    return judge({FACTS.name: pl.DataFrame(facts, schema_overrides=KINDS), ARCHIVE.name: archive}, (FACTS, ARCHIVE))


def failures(results: list[Result]) -> dict[str, list[int]]:
    return {r.expectation: [row["offset"] for row in r.failing_rows] for r in results if not r.success}


def test_sound_facts_pass_every_expectation() -> None:
    results = judged([sound(offset) for offset in range(30)])
    assert failures(results) == {}
    assert len(results) == len(FACTS.expectations) + len(ARCHIVE.expectations)


@pytest.mark.parametrize(
    ("defect", "expectation"),
    [
        ({"offset": 1}, "a record stands once"),
        ({"decision": "late"}, "every row has a decision"),
        ({"event_id": None}, "every counted event has its event_id"),
        ({"event_time": None}, "every counted event has its event_time"),
        ({"order_id": None}, "every counted event has its order_id"),
        ({"customer_id": None}, "every counted event has its customer_id"),
        ({"event_id": "e1"}, "no event is counted twice"),
        ({"order_id": "o1"}, "no order is created twice"),
        ({"total_cents": 0}, "every order created has a total above 0"),
        ({"below_cut": False}, "every row is below the cut"),
        ({"archived": False}, "every row comes from the archive"),
    ],
)
def test_a_defect_fails_its_expectation_and_its_row_is_named(defect: dict[str, Any], expectation: str) -> None:
    rows = [sound(offset) for offset in range(30)] + [sound(30) | defect]
    found = failures(judged(rows))
    assert expectation in found
    assert rows[-1]["offset"] in found[expectation]
    assert set(found) <= {expectation}


def test_what_is_not_counted_may_lack_what_counted_events_must_have() -> None:
    rows = [sound(offset) for offset in range(30)]
    rows.append(sound(30, decision="quarantined", event_id=None, order_id=None, total_cents=None, quarantined=1))
    rows.append(sound(31, decision="duplicate", event_id="e1", order_id="o1"))
    assert failures(judged(rows)) == {}


def test_an_archived_record_without_a_row_fails() -> None:
    assert failures(judged([sound(0)], [True, False, True])) == {"every archived record of the date has its row": [1]}


def test_many_quarantined_events_only_warn() -> None:
    rows = [sound(offset, decision="quarantined", quarantined=1) for offset in range(10)]
    (warning,) = [r for r in judged(rows) if not r.success]
    assert warning.expectation == "at most 5 % of the events are in quarantine"
    assert warning.level == "warn"


def test_a_missing_column_fails() -> None:
    rows = [{name: value for name, value in sound(0).items() if name != "region"}]
    assert "the columns are those agreed" in failures(judged(rows))


def test_a_date_without_events_passes() -> None:
    frame = pl.DataFrame([sound(0)], schema_overrides=KINDS).clear()
    archive = pl.DataFrame(schema={"partition": pl.Int64, "offset": pl.Int64, "in_facts": pl.Boolean})
    assert failures(judge({FACTS.name: frame, ARCHIVE.name: archive}, (FACTS, ARCHIVE))) == {}


def test_the_gate_reads_the_date_s_own_facts_and_records_from_both_tables(tmp_path: Path) -> None:
    """Without Spark: the tables as it writes them, the facts partitioned by a date and the archive by its name."""
    own = Settings(archive_uri=str(tmp_path / "archive"), order_facts_uri=str(tmp_path / "order_facts"))
    other = date(2017, 12, 22)
    log = Log()
    for number, each in enumerate((other, DAY, DAY, DAY)):
        log.add(order(number, f"{each}T12:00:00Z"), dated=number != 3)
    log.archive(own)
    facts = [sound(offset, business_date=each) for offset, each in enumerate((other, DAY))]
    rows = pl.DataFrame(facts, schema_overrides=KINDS).with_columns(pl.col("partition").cast(pl.Int32))
    rows.drop("archived", "below_cut", "quarantined").write_delta(
        own.order_facts, delta_write_options={"partition_by": ["business_date"]}
    )
    run = Run("r", DAY, "scheduled", 0, 0, {0: 4})
    checked, held = frames(own, run, DAY)
    assert checked.select("offset", "archived", "below_cut").rows() == [(1, True, True)]
    assert sorted(held.select("offset", "in_facts").rows()) == [(1, True), (2, False)]


def test_a_date_whose_records_retention_took_since_is_not_said_to_come_from_nowhere(tmp_path: Path) -> None:
    """The mail would say that the data is wrong, and name rows in which nothing is."""
    own = Settings(archive_uri=str(tmp_path / "archive"), order_facts_uri=str(tmp_path / "order_facts"))
    log = Log()
    log.add(order(0, f"{DAY}T12:00:00Z"))
    log.archive(own)
    rows = pl.DataFrame([sound(0)], schema_overrides=KINDS).with_columns(pl.col("partition").cast(pl.Int32))
    rows.write_delta(own.order_facts, delta_write_options={"partition_by": ["business_date"]})
    held = DeltaTable(own.archive)
    first_kept = Transaction(master_dataset.KEPT_FROM, master_dataset.kept_from_version(date(2017, 12, 24)))
    marks = CommitProperties(app_transactions=[first_kept])
    held.create_write_transaction([], "append", held.schema(), ["business_date"], commit_properties=marks)
    with pytest.raises(master_dataset.GoneError, match="records from 2017-12-24 on, and those of 2017-12-23 are gone"):
        frames(own, Run("r", DAY, "scheduled", 0, 0, {0: 1}), DAY)


def test_a_record_that_no_decoder_reads_needs_no_row_wherever_the_archiver_has_filed_it(tmp_path: Path) -> None:
    """One byte of Latin-1 in a customer's name kept a whole date from being published."""
    own = Settings(archive_uri=str(tmp_path / "archive"), order_facts_uri=str(tmp_path / "order_facts"))
    log = Log()
    log.add(order(0, f"{DAY}T12:00:00Z"))
    good = json.dumps(order(1, f"{DAY}T12:00:00Z")).encode()
    for value in (good.replace(b'"c1"', b'"Z\xfcrich"'), good.replace(b'"c1"', b'"\\ud800"'), good):
        log.add(value)["business_date"] = str(DAY)
    log.archive(own)
    rows = pl.DataFrame([sound(0)], schema_overrides=KINDS).with_columns(pl.col("partition").cast(pl.Int32))
    rows.drop("archived", "below_cut", "quarantined").write_delta(
        own.order_facts, delta_write_options={"partition_by": ["business_date"]}
    )
    _, held = frames(own, Run("r", DAY, "scheduled", 0, 0, {0: 4}), DAY)
    assert sorted(held.select("offset", "in_facts").rows()) == [(0, True), (3, False)]


def test_by_hand_what_cannot_be_checked_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["gate", "--run-id", "r", "--date", "2017-13-23"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "gate: '2017-13-23' is not a date: write it as YYYY-MM-DD, for example 2017-12-23\n"
    )
