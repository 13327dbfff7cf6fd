"""The digest of a week: what it adds up, what it names, and that it comes from the books."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from reconciliation import digest, digest_cli, digest_pages, incidents, mail, reconcile
from tandem import cli, database
from tandem.recipients import Severity
from tandem.settings import Settings
from tests.reconciliation.books import DAY, execute
from tests.reconciliation.decisions import Record
from tests.reconciliation.reports import CORRECTED, DIGEST, EQUAL, WAITING, WITHIN
from tests.reconciliation.scene import stage
from tests.reconciliation.test_report import reader

COMPARED = (EQUAL, WITHIN, EQUAL, WAITING, CORRECTED)
"""The dates of DIGEST that have both sides."""


@pytest.mark.parametrize("name", ["order_count", "revenue_cents", "net_revenue_cents", "units"])
def test_totals_are_the_sums_of_the_dates_that_have_both_sides(name):
    total = next(total for total in DIGEST.totals if total.name == name)
    figures = [report.figure(name) for report in COMPARED]
    assert total.batch == sum(figure.batch for figure in figures)
    assert total.difference == sum(figure.batch - figure.counted for figure in figures)
    assert total.difference_now == sum(figure.batch - figure.speed_now for figure in figures)


def test_an_average_of_the_week_is_that_of_its_sums_and_customers_are_not_added_up():
    totals = {total.name: total for total in DIGEST.totals}
    revenue, orders = totals["revenue_cents"].batch, totals["order_count"].batch
    assert totals["avg_order_value_cents"].batch == (2 * revenue + orders) // (2 * orders)
    assert "unique_customers" not in totals


def test_what_was_declared_within_the_week_has_no_total_nor_has_a_ratio_of_it():
    older = replace(EQUAL, figures=tuple(each for each in EQUAL.figures if each.name != "order_count"))
    names = {total.name for total in digest._totals((older, WITHIN))}
    assert "revenue_cents" in names
    assert names.isdisjoint({"order_count", "avg_order_value_cents"})


def test_dates_that_are_not_in_the_totals_are_named():
    assert DIGEST.not_in_totals == (DAY - timedelta(days=4), DAY - timedelta(days=2))
    assert "Without 2017-12-19, 2017-12-21." in digest_pages.text(DIGEST)


def test_the_causes_of_the_week_are_those_of_its_dates_added_up():
    revenue = {cause.cause: cause.amounts["revenue_cents"] for cause in DIGEST.causes}
    by_hand = {"late": 110_000 + 8_250, "duplicate": -5_880 * 2, "missing_in_batch": -9_100, "unexplained": 119_100}
    assert revenue == by_hand


def test_the_subject_names_the_week_its_outcomes_and_the_worst_figure():
    assert DIGEST.subject == (
        "[Tandem] week 2017-12-17 to 2017-12-23: 3 within tolerance, 1 corrected, 1 waiting for approval,"
        " 1 not compared, 1 without a result (worst: 2017-12-22 units +4.58 %)"
    )


def test_what_is_open_and_what_waits_stand_in_it_with_the_command_to_copy():
    page = reader(digest_pages.html(DIGEST))
    assert "tandem corrections approve --date 2017-12-22" in page.text
    assert "<b>over in units</b> by more and more" in page.text
    assert "b" not in page.tags


def test_the_page_that_stands_alone_loads_nothing_and_is_small():
    page = digest_pages.standalone(DIGEST)
    assert {source[:22] for source in reader(page).sources} == {"data:image/png;base64,"}
    assert len(page.encode()) < 100_000


def test_a_week_of_dates_none_of_which_was_compared_can_be_told_too():
    empty = replace(DIGEST, summary=replace(DIGEST.summary, reports=()), incidents=())
    assert "No date was compared." in digest_pages.text(empty)
    assert "No date was compared." in digest_pages.standalone(empty)
    assert digest.document(empty)["worst"] is None


def test_a_week_in_which_nothing_was_corrected_does_not_say_that_nothing_had_to_be():
    waits = replace(DIGEST, summary=replace(DIGEST.summary, reports=(EQUAL, WAITING)))
    assert waits.waiting
    assert "CORRECTED\nNothing was corrected." in digest_pages.text(waits)
    assert "Nothing was corrected." in digest_pages.html(waits)


def test_the_json_has_a_row_for_every_date_and_every_figure_that_is_derived():
    document = json.loads(json.dumps(digest.document(DIGEST)))
    assert [day["state"] for day in document["days"]].count("agrees") == 3
    assert len(document["days"]) == 7
    assert document["waiting"] == [
        {"business_date": "2017-12-22", "corrections": 214, "command": "tandem corrections approve --date 2017-12-22"}
    ]
    assert document["worst"] == {"business_date": "2017-12-22", "metric": "units +4.58 %"}
    assert {total["name"]: total["percent"] for total in document["totals"]}["revenue_cents"] == pytest.approx(
        100 * (8_250 + 2 * 104_120) / (5 * 2_499_447)
    )


def invoke(*arguments: str):
    return CliRunner().invoke(cli.app, list(arguments))


@pytest.fixture
def shop(topic_prefix: Settings, clean_database: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    nowhere = topic_prefix.model_copy(update={"smtp_port": 9})
    monkeypatch.setattr(digest_cli, "settings", lambda: nowhere)
    return nowhere


@pytest.mark.integration
def test_a_week_is_read_from_the_books_and_mailed_to_all_whatever_they_want_of_the_rest(shop, tmp_path):
    stage(shop, [Record(n, order_id=f"o{n}", customer=f"c{n}") for n in range(10)])
    reconcile.run(shop, DAY, apply_timeout=timedelta(0))
    with database.connect(shop, database.RECONCILIATION) as connection:
        incidents.open_(connection, "overdue:2017-12-22", Severity.CRITICAL, "2017-12-22 is overdue", "")
    found = json.loads(invoke("digest", "--week", "2017-W51", "--json").stdout)
    assert (found["first"], found["last"]) == ("2017-12-18", "2017-12-24")
    assert [day["business_date"] for day in found["days"]] == ["2017-12-23"]
    assert {total["name"]: total["batch"] for total in found["totals"]}["revenue_cents"] == 10_000
    assert [incident["said"] for incident in found["incidents"]] == ["2017-12-22 is overdue"]
    assert invoke("digest", "--to", "2017-12-23", "--out", str(tmp_path / "week.html")).exit_code == 0
    assert "2017-12-17 to 2017-12-23" in (tmp_path / "week.html").read_text()
    assert mail.send_digest(shop.model_copy(update={"mail_to": "boss@example.org:critical"}), DAY).kept == 1
    ((subject,),) = execute(shop, "SELECT subject FROM reconciliation.mails")
    assert subject.startswith("[Tandem] week 2017-12-17 to 2017-12-23: 1 within tolerance")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--week", "2017-51"], "write it as 2017-W51"),
        (["--week", "2017-W54"], "write it as 2017-W51"),
        (["--week", "2017-W51", "--to", "2017-12-23"], "give --week or --to, not both"),
        (["--to", "2062-12-23"], "2062-12-23 has not begun yet"),
        (["--week", "2062-W51"], "has not begun yet in UTC: give a date up to today"),
        (["--to", "2017-12-23"], "no date from 2017-12-17 to 2017-12-23 was reconciled"),
    ],
)
def test_a_week_that_cannot_be_told_says_what_to_do(shop, arguments, said):
    done = invoke("digest", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
