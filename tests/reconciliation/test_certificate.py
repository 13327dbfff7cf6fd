"""A certificate says what both books were, and anyone can work it out again from the tables with nothing of ours."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from reconciliation import certificate, correct, reconcile
from reconciliation.verify import verify
from tandem.errors import TandemError
from tandem.settings import Settings
from tests.installations import tandem
from tests.reconciliation.books import DAY, execute
from tests.reconciliation.decisions import Record
from tests.reconciliation.scene import RUN, Applier, stage
from tests.reconciliation.test_reconcile import AGREED, LOST, OUTSIDE

pytestmark = pytest.mark.integration
AT_ONCE = timedelta(0)
ODD = Record(50, order_id="odd", customer="c1", cents=10, lines=(('a|b"\n', "ä, ö", 1, 10),))
"""A product whose name would upset a home-made format."""


def reconciled(shop: Settings, records: list[Record], **options: bool) -> dict:
    stage(shop, records)
    outcome = reconcile.run(shop, DAY, apply_timeout=AT_ONCE, **options)
    Applier(shop).apply()
    return certificate.of(shop, outcome.reconciliation_id)


def sha256(rows: list[list]) -> str:
    lines = [json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n" for row in sorted(rows)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def instant(moment) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def batch_cells(shop: Settings) -> list[list]:
    """The batch layer's cells by hand from its tables."""
    found = []
    for cube, table, key in (
        ("orders", "order_hours", "''"),
        ("products", "product_hours", "product_id"),
        ("categories", "category_hours", "category"),
    ):
        rows = execute(shop, f"SELECT to_jsonb(t), cell_start, {key} FROM batch.{table} AS t WHERE run_id = %s", [RUN])
        for row, start, name in rows:
            measures = {n: v for n, v in row.items() if n not in {"run_id", "business_date", "cell_start", key}}
            found += [[cube, instant(start), name, measure, value] for measure, value in measures.items() if value]
    ((customers,),) = execute(shop, "SELECT unique_customers FROM batch.daily_metrics WHERE run_id = %s", [RUN])
    return [*found, ["distinct", f"{DAY}T00:00:00Z", "", "unique_customers", customers]]


def test_the_hashes_are_those_of_the_tables_and_of_the_document_itself(shop):
    found = reconciled(shop, [*OUTSIDE, ODD])
    assert found["before"]["batch_sha256"] == sha256(batch_cells(shop))
    assert found["after"] == {
        "speed_sha256": found["before"]["batch_sha256"],
        "batch_sha256": found["before"]["batch_sha256"],
        "equal": True,
    }
    entries = execute(shop, "SELECT correction_id, cube, cell_start, key, measure, delta FROM speed.adjustments")
    assert found["corrections"]["sha256"] == sha256([[i, c, instant(t), k, m, d] for i, c, t, k, m, d in entries])
    rest = {name: value for name, value in found.items() if name != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert found["sha256"] == hashlib.sha256(text.encode()).hexdigest()


def test_corrections_by_a_later_task_are_certified_too(shop):
    stage(shop, OUTSIDE)
    outcome = reconcile.run(shop, DAY, dry_run=True)
    compared = certificate.of(shop, outcome.reconciliation_id)
    assert (compared["after"]["equal"], compared["corrections"]["since"]) == (False, [])
    correct.run(shop, outcome.reconciliation_id, apply_timeout=AT_ONCE)
    Applier(shop).apply()
    corrected = certificate.of(shop, outcome.reconciliation_id)
    assert corrected["after"]["equal"]
    booked = {row[0] for row in execute(shop, "SELECT correction_id FROM speed.adjustments")}
    assert set(corrected["corrections"]["since"]) == booked
    assert verify(shop, corrected).holds
    assert verify(shop, compared).holds


def test_a_certificate_names_the_cut_the_versions_and_the_corrections(shop):
    found = reconciled(shop, OUTSIDE)
    assert found["cut"]["run_id"] == RUN
    assert (found["cut"]["next_offsets"]["0"], found["cut"]["next_offsets"]["5"]) == (23, 0)
    assert found["versions"] == {
        "batch_version": 1,
        "batch_rules": "1",
        "speed_rules": "1",
        "code": "test",
        "archive": 3,
        "facts": 0,
    }
    ids = {row[0] for row in execute(shop, "SELECT correction_id FROM reconciliation.corrections")}
    assert (found["corrections"]["before"], set(found["corrections"]["since"])) == ([], ids)
    again = reconcile.run(shop, DAY, apply_timeout=AT_ONCE)
    second = certificate.of(shop, again.reconciliation_id)
    assert (set(second["corrections"]["before"]), second["corrections"]["since"]) == (ids, [])
    assert second["before"]["speed_sha256"] == second["before"]["batch_sha256"]


def test_a_certificate_holds_and_still_does_after_more_was_compared(shop):
    found = reconciled(shop, OUTSIDE)
    assert verify(shop, found).line.startswith("2017-12-23: certificate of reconciliation 1 holds: both books are ")
    reconcile.run(shop, DAY, apply_timeout=AT_ONCE)
    assert verify(shop, found).holds


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE batch.order_hours SET revenue_cents = revenue_cents + 1", "the batch layer's cells"),
        ("UPDATE batch.daily_metrics SET units = units + 1", "the batch layer's figures of the day"),
        ("UPDATE reconciliation.cut_product_hours SET units = units + 1", "the stream's cells at the cut"),
        ("UPDATE reconciliation.ledger SET amount = amount + 1", "the causes"),
        ("UPDATE reconciliation.corrections SET delta = delta + 1", "the corrections"),
        ("UPDATE reconciliation.cut_offsets SET next_offset = next_offset + 1", "the cut is at other offsets"),
        ("DELETE FROM speed.adjustments", "corrections are not in the stream's books"),
        ("UPDATE speed.adjustments SET delta = -delta", "corrections are not in the stream's books"),
    ],
)
def test_books_that_were_changed_since_break_the_certificate(shop, change, said):
    found = reconciled(shop, OUTSIDE)
    execute(shop, change)
    checked = verify(shop, found)
    assert not checked.holds
    assert said in checked.line
    assert "\n" not in checked.line


def test_a_changed_document_does_not_hold_whatever_the_books_say(shop):
    found = reconciled(shop, AGREED)
    forged = {**found, "figures": {**found["figures"], "batch": {**found["figures"]["batch"], "order_count": 11}}}
    assert verify(shop, forged).broken == ("the document was changed after it was issued",)


def test_corrections_that_are_approved_or_taken_back_are_certified_anew(shop):
    found = reconciled(shop, LOST)
    assert (found["corrections"]["since"], found["after"]["equal"]) == ([], False)
    assert found["corrections"]["waiting"] == correct.approve(shop, DAY, None, "ann")
    Applier(shop).apply()
    approved = certificate.of(shop, found["reconciliation_id"])
    assert (approved["corrections"]["waiting"], approved["after"]["equal"]) == (0, True)
    assert verify(shop, approved).holds
    assert verify(shop, found).holds, "what was certified before was true then"
    correct.reverse(shop, approved["corrections"]["since"][0], "ann")
    assert not certificate.of(shop, found["reconciliation_id"])["after"]["equal"]


def test_what_was_not_compared_has_no_certificate(shop):
    outcome = reconcile.run(shop, DAY, apply_timeout=AT_ONCE)
    with pytest.raises(
        TandemError, match=f"of {DAY} has no certificate: compare the date: tandem reconcile --date {DAY}"
    ):
        certificate.of(shop, outcome.reconciliation_id)


def test_the_commands_write_and_check_a_certificate_in_one_line(shop, tmp_path: Path):
    reconciled(shop, OUTSIDE)
    file = tmp_path / "certificate.json"
    written = tandem(shop, "certificate", "--date", str(DAY), "--out", str(file), "--json")
    assert json.loads(written.stdout) == json.loads(file.read_text())
    held = tandem(shop, "verify", "--certificate", str(file))
    assert (held.returncode, held.stdout.count("\n")) == (0, 1)
    file.write_text(file.read_text().replace('"verdict": "mismatch"', '"verdict": "match"'))
    assert tandem(shop, "verify", "--certificate", str(file)).returncode == 1
    file.write_text("[]")
    unread = tandem(shop, "verify", "--certificate", str(file))
    assert (unread.returncode, unread.stderr.count("\n")) == (2, 1)
    assert tandem(shop, "verify", "--date", "2017-12-01").returncode == 2
