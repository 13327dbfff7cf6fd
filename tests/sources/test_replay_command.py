"""The command as a person meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shops import HEADER
from typer.testing import CliRunner, Result

from tandem.cli import app
from tandem.settings import PROJECT_ROOT, settings

SHOP = [str(PROJECT_ROOT / "examples" / "shop.csv"), "--mapping", str(PROJECT_ROOT / "examples" / "shop.toml")]
THREE_DAYS = ["completejourney", "--from", "2017-12-21", "--to", "2017-12-23"]


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    settings.cache_clear()


def replay(*options: str) -> Result:
    try:
        return CliRunner().invoke(app, ["replay", *options])
    finally:
        settings.cache_clear()


def test_a_dry_run_shows_the_first_orders_and_the_totals_and_needs_no_broker(tmp_path: Path) -> None:
    done = replay(*SHOP, "--dry-run", "--rejects", str(tmp_path / "r.csv"))
    assert done.exit_code == 0
    assert "1003" in done.stdout
    assert "$1,324.60" in done.stdout
    assert "9 orders with 12 lines and 25 units, revenue $2,458.14, of 6 customers" in done.stdout
    assert "2 cancellations, which take back $32.20" in done.stdout
    assert "from 2024-06-03T07:12:00Z to 2024-06-04T16:20:00Z" in done.stdout
    assert "3 rows rejected; 2 orders are left out with them" in done.stderr


def test_a_dry_run_as_json_is_one_object_on_standard_output(tmp_path: Path) -> None:
    found = json.loads(replay(*SHOP, "--dry-run", "--json", "--rejects", str(tmp_path / "r.csv")).stdout)
    assert (found["orders"], found["revenue_cents"], found["customers"], found["lines"]) == (9, 245_814, 6, 12)
    assert (found["cancellations"], found["cancelled_cents"]) == (2, 3_220)
    assert (found["rejected_rows"], found["rejected_orders"]) == (3, 2)
    assert len(found["first_events"]) == 10


def test_a_dry_run_with_faults_says_what_they_will_do_and_writes_no_labels(tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    faults = str(PROJECT_ROOT / "examples" / "faults-demo.toml")
    done = replay(*THREE_DAYS, "--faults", faults, "--labels", str(labels), "--dry-run")
    assert "1,533 orders" in done.stdout
    assert "8 late_beyond_lateness" in done.stdout
    assert "2017-12-23: batch - speed in revenue will be $" in done.stdout
    assert not labels.exists()


def test_what_will_be_quarantined_is_said_beforehand(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(HEADER + "1,2024-01-01,,p,1,5\n2,2024-01-01,c,p,1,0\n3,2024-01-01,c,p,1,5\n")
    (tmp_path / "s.toml").write_text(
        'name = "s"\n[order]\nid = "id"\ntime = "time"\ncustomer = "customer"\n'
        '[line]\namount = "amount"\n[cancellation]\nwhen = "id = \'3\'"\n'
    )
    done = replay(str(tmp_path / "s.csv"), "--mapping", str(tmp_path / "s.toml"), "--dry-run")
    assert "1 event names no customer" in done.stdout
    assert "1 order is not above 0" in done.stdout
    assert "1 cancellation takes back nothing" in done.stdout


def test_strict_stops_at_unreadable_rows_before_anything_is_sent(tmp_path: Path) -> None:
    done = replay(*SHOP, "--strict", "--rejects", str(tmp_path / "r.csv"))
    assert done.exit_code == 2
    assert "3 rows are unreadable and --strict is given; nothing was sent" in done.stderr
    assert (tmp_path / "r.csv").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["nowhere.csv", "--mapping", SHOP[2]], "no file nowhere.csv: give a CSV or Parquet file"),
        ([SHOP[0]], "give --mapping FILE.toml"),
        (["completejourney", *SHOP[1:]], "needs no mapping"),
        (["completejourney", "--from", "2017-02-01", "--to", "2017-01-01"], "is after --to"),
        (["completejourney", "--from", "2019-01-01", "--to", "2019-01-02"], "it has those of 2017-01-01 to 2018-01-01"),
        (
            ["examples/shop.csv", "--mapping", "examples/shop.toml", "--to", "2019-01-01"],
            "it has those of 2024-06-03 to 2024-06-04",
        ),
        ([*THREE_DAYS, "--rate", "fast"], "--rate fast is neither 'max' nor a number"),
        ([*THREE_DAYS, "--rate", "-1"], "--rate -1 is neither"),
        ([*THREE_DAYS, "--faults", "none.toml"], "cannot read none.toml"),
        (THREE_DAYS, "Kafka does not answer on 127.0.0.1:1"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_status_2(options: list[str], said: str) -> None:
    done = replay(*options)
    assert done.exit_code == 2
    assert said in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("tandem: ")]
    assert said in line
