"""Mail over a real SMTP server: what arrives, and that nothing is lost while the server is away."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest

from reconciliation import mail, render
from reconciliation import post as post_office
from reconciliation.post import Delivery, Letter
from tandem import pages
from tandem.errors import TandemError
from tests.installations import free_ports
from tests.reconciliation.books import DAY, execute
from tests.reconciliation.mailbox import (
    AGREED,
    HOSTILE,
    OUTSIDE,
    WAITING,
    invoke,
    parts,
    reconcile_again,
    reconcile_date,
)
from tests.reconciliation.scene import Applier, stage

pytestmark = pytest.mark.integration


def test_the_report_arrives_as_text_and_html_with_its_pictures_inside(post):
    post.server.start()
    reconcile_date(post.settings, OUTSIDE)
    Applier(post.settings).apply()
    assert mail.send_report(post.settings, DAY) == Delivery(sent=1, kept=0)
    (message,) = post.box.mails
    assert post.box.recipients == [["ann@example.org", "bob@example.org"]]
    assert message["Subject"] == "[Tandem] 2017-12-23 was out of tolerance, corrected (order count +9.09 %)"
    assert message.get_content_type() == "multipart/alternative"
    found = parts(message)
    assert list(found) == ["text/plain", "text/html", "image/png"]  # of the pictures the last
    assert "the largest difference" not in found["text/plain"]
    assert HOSTILE in found["text/plain"]
    assert "<script>" not in found["text/html"]
    pictures = [part for part in message.walk() if part.get_content_type() == "image/png"]
    shown = {f"<{source}>" for source in re.findall(r'src="cid:([^"]+)"', found["text/html"])}
    assert {part["Content-ID"] for part in pictures} == shown == {f"<{render.WATERFALL_ID}>", f"<{render.TREND_ID}>"}
    assert [part.get_filename() for part in pictures] == ["causes.png", "trend.png"]
    assert len(message.as_bytes()) < 150_000
    assert execute(post.settings, "SELECT count(*) FROM reconciliation.reports WHERE mailed_at IS NOT NULL") == [(1,)]
    page = pages.file(post.settings, pages.Kind.REPORT, str(DAY)).read_text()
    assert "out of tolerance, corrected" in page
    assert "cid:" not in page


def test_a_report_is_kept_while_the_server_is_away_and_goes_out_once_with_the_next_run(post):
    reconcile_date(post.settings, AGREED)
    away = mail.send_report(post.settings, DAY)
    assert (away.sent, away.kept) == (0, 1)
    assert str(post.settings.smtp_port) in away.reason
    assert execute(post.settings, "SELECT mailed_at FROM reconciliation.reports") == [(None,)]
    post.server.start()
    assert post_office.send_pending(post.settings) == Delivery(sent=1, kept=0)
    assert post_office.send_pending(post.settings) == Delivery(sent=0, kept=0)
    assert post.subjects == ["[Tandem] 2017-12-23 agrees (no difference)"]


def test_a_mail_that_is_refused_does_not_hold_back_the_others(post):
    post.server.start()
    refused = post.settings.model_copy(update={"mail_to": "refused@example.org"})
    failure = {"dag_id": "nightly", "business_date": "2017-12-23", "error": "no space left on device"}
    assert mail.send_failure(refused, task_id="first", **failure).kept == 1
    told = mail.send_failure(post.settings, task_id="second", **failure)
    assert (told.sent, told.kept) == (1, 1)
    assert post.subjects == ["[Tandem] nightly failed at second for 2017-12-23"]


def test_a_failure_is_mailed_even_where_the_database_is_away(post):
    post.server.start()
    nowhere = post.settings.model_copy(update={"postgres_port": free_ports(1)[0]})
    told = mail.send_failure(
        nowhere, dag_id="nightly", task_id="cut", business_date="", error="<b>Postgres</b> is gone", link="http://x/log"
    )
    assert told == Delivery(sent=1, kept=0)
    found = parts(post.box.mails[0])
    assert "&lt;b&gt;Postgres&lt;/b&gt; is gone" in found["text/html"]
    assert "http://x/log" in found["text/plain"]


def test_a_failure_that_nobody_can_be_told_of_is_logged_and_not_raised(post):
    nowhere = post.settings.model_copy(update={"postgres_port": free_ports(1)[0]})
    told = mail.send_failure(nowhere, dag_id="nightly", task_id="cut", business_date="", error="gone")
    assert told.sent == 0


def test_a_range_is_one_mail_that_names_dates_without_a_result(post):
    post.server.start()
    reconcile_date(post.settings, AGREED)
    delivery = mail.send_reports(post.settings, [DAY, DAY + timedelta(days=1)])
    assert delivery == Delivery(sent=1, kept=0)
    assert post.subjects == ["[Tandem] 2017-12-23 to 2017-12-24: 1 within tolerance, 1 without a result"]
    assert "2017-12-24 was never reconciled" in parts(post.box.mails[0])["text/plain"]


def test_an_overdue_date_is_told_with_what_to_do(post):
    post.server.start()
    mail.send_overdue(post.settings, DAY, still_running=False)
    assert post.subjects == ["[Tandem] 2017-12-23 is overdue: no batch figures are published"]
    assert "tandem status" in parts(post.box.mails[0])["text/plain"]


def test_a_person_who_asks_for_the_report_gets_it_though_it_was_mailed(post):
    post.server.start()
    stage(post.settings, OUTSIDE, gates=False)
    reconcile_again(post.settings)
    mail.send_report(post.settings, DAY)
    assert invoke("report", "--date", str(DAY), "--send").exit_code == 0
    assert post.subjects == [WAITING] * 2


def test_a_report_that_nobody_wants_by_mail_is_kept_all_the_same(post):
    post.server.start()
    quiet = post.settings.model_copy(update={"mail_to": "boss@example.org:critical"})
    reconcile_date(quiet, AGREED)
    assert mail.send_report(quiet, DAY) == Delivery(sent=0, kept=0)
    assert execute(quiet, "SELECT count(*), count(mailed_at) FROM reconciliation.reports") == [(1, 0)]


def test_no_text_can_add_a_header(post):
    to = ("ann@example.org",)
    message = post_office.compose(post.settings, to, Letter("a subject\nBcc: eve@example.org", "text", "<p>html</p>"))
    assert message["Bcc"] is None
    assert message["Subject"] == "a subject Bcc: eve@example.org"


def test_a_date_that_was_never_reconciled_has_no_report(post):
    with pytest.raises(TandemError, match="never reconciled"):
        mail.send_report(post.settings, DAY)


def test_the_commands_tell_a_mismatch_its_causes_and_its_report(post, tmp_path):
    post.server.start()
    stage(post.settings, OUTSIDE)
    compared = invoke("reconcile", "--date", str(DAY), "--dry-run", "--json")
    assert compared.exit_code == 1
    document = json.loads(compared.stdout)
    assert (document["verdict"], document["cells_differing"]) == ("mismatch", 10)
    assert document["metrics"]["revenue_cents"]["difference"] == 700
    explained = json.loads(invoke("explain", "--date", str(DAY), "--json").stdout)
    assert [cause["cause"] for cause in explained["causes"]] == ["late"]
    assert [event["order_id"] for event in explained["events"]] == [HOSTILE]
    assert "late: +$7.00" in invoke("explain", "--date", str(DAY)).stdout
    for name in ("report.html", "report.txt", "report.json"):
        assert invoke("report", "--date", str(DAY), "--out", str(tmp_path / name)).exit_code == 0
    assert json.loads((tmp_path / "report.json").read_text())["verdict"] == "mismatch"
    page = tmp_path / "again.html"
    sent = invoke("report", "--date", str(DAY), "--out", str(page), "--send", "--json")
    assert sent.exit_code == 0
    assert len(post.box.mails) == 1
    document = json.loads(sent.stdout)
    assert (document["business_date"], document["verdict"], document["out"]) == (str(DAY), "mismatch", str(page))
    assert (document["events_differing"], document["cells_differing"]) == (1, 10)
    assert document["sent_to"]


def test_a_report_that_cannot_be_sent_says_that_it_is_kept(post):
    reconcile_date(post.settings, AGREED)
    done = invoke("report", "--date", str(DAY), "--send")
    assert done.exit_code == 2
    assert "1 mail is kept" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["reconcile"], "give --date, or both --from and --to"),
        (["reconcile", "--date", "2017-12-23", "--from", "2017-12-23"], "give --date, or both --from and --to"),
        (["reconcile", "--from", "2017-12-23"], "give --date, or both --from and --to"),
        (["reconcile", "--date", "2999-12-31"], "has not ended yet in UTC: run it for a date up to yesterday"),
        (["lateness", "--date", "2999-12-31"], "has not ended yet in UTC: run it for a date up to yesterday"),
        (["stream", "rebuild", "--from", "2999-12-31"], "has not begun yet in UTC: give a date up to today"),
        (["report", "--date", "2017-12-23", "--out", "report.pdf"], "end it in .html, .txt or .json"),
        (["explain", "--date", "2017-12-22"], "run 'tandem reconcile --date 2017-12-22'"),
    ],
)
def test_what_was_asked_wrongly_is_answered_in_one_line(post, arguments, said):
    reconcile_date(post.settings, AGREED)
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_range_has_the_exit_status_of_its_worst_date(post):
    reconcile_date(post.settings, AGREED)
    done = invoke("reconcile", "--from", "2017-12-23", "--to", "2017-12-24", "--json")
    assert done.exit_code == 2
    assert [entry["verdict"] for entry in json.loads(done.stdout)] == ["match", "not_comparable"]


def test_corrections_are_listed_approved_and_reversed_by_command(post):
    stage(post.settings, OUTSIDE, gates=False)
    assert invoke("reconcile", "--date", str(DAY)).exit_code == 1
    listed = json.loads(invoke("corrections", "list", "--waiting", "--json").stdout)
    assert {entry["status"] for entry in listed} == {"waiting_approval"}
    assert "10 corrections sent" in invoke("corrections", "approve", "--date", str(DAY)).stdout
    assert "takes back" in invoke("corrections", "reverse", listed[0]["correction_id"]).stdout
    assert "(reversal)" in invoke("corrections", "list", "--date", str(DAY)).stdout
    assert invoke("corrections", "approve", "--date", str(DAY)).exit_code == 2
