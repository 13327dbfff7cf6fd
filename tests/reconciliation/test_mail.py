"""Mail over a real SMTP server: what arrives, and that nothing is lost while the server is away."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from aiosmtpd.controller import Controller
from typer.testing import CliRunner

from reconciliation import cli as commands
from reconciliation import correct, failures, mail, reconcile, render
from reconciliation import post as post_office
from reconciliation.ends import End
from reconciliation.post import Delivery, Letter
from tandem import cli, pages
from tandem.errors import TandemError
from tandem.settings import Settings
from tests.installations import free_ports
from tests.reconciliation.books import DAY, at, execute, insert
from tests.reconciliation.decisions import Record
from tests.reconciliation.scene import Applier, stage

pytestmark = pytest.mark.integration

AGREED = [Record(n, order_id=f"o{n}", customer=f"c{n}") for n in range(10)]
HOSTILE = '"><script>alert(1)</script>'
OUTSIDE = [*AGREED, Record(20, speed="late", order_id=HOSTILE, customer="bob", cents=700)]


class Mailbox:
    """What a mail server took, as the server's handler; refuses recipients named so."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802 - aiosmtpd's name
        if address.startswith("refused"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's name
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        self.recipients.append(envelope.rcpt_tos)
        return "250 OK"


@dataclass
class Post:
    """A mail server that can go away and come back."""

    settings: Settings
    box: Mailbox
    server: Controller

    @property
    def subjects(self) -> list[str]:
        return [str(message["Subject"]) for message in self.box.mails]


@pytest.fixture
def post(topic_prefix: Settings, clean_database: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    (port,) = free_ports(1)
    box = Mailbox()
    made = Post(
        topic_prefix.model_copy(update={"smtp_port": port, "mail_to": "ann@example.org, bob@example.org"}),
        box,
        Controller(box, hostname="127.0.0.1", port=port),
    )
    monkeypatch.setattr(commands, "settings", lambda: made.settings)
    yield made
    if made.server.server is not None:
        made.server.stop()


def reconcile_date(settings: Settings, records: list[Record]) -> None:
    stage(settings, records)
    reconcile.run(settings, DAY, apply_timeout=timedelta(0))


def parts(message: EmailMessage) -> dict[str, object]:
    return {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}


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


WAITING = "[Tandem] 2017-12-23 is out of tolerance, corrections wait for approval (order count +9.09 %)"


def reconcile_again(settings: Settings) -> None:
    reconcile.run(settings, DAY, apply_timeout=timedelta(0))


def test_an_incident_is_mailed_once_however_often_the_date_is_compared_and_once_when_it_is_over(post):
    post.server.start()
    stage(post.settings, OUTSIDE, gates=False)
    for _ in range(3):
        reconcile_again(post.settings)
        mail.send_report(post.settings, DAY)
    assert post.subjects == [WAITING]
    assert execute(post.settings, "SELECT count(*) FROM reconciliation.reports") == [(3,)]  # kept all the same
    assert mail.send_recoveries(post.settings) == Delivery(sent=0, kept=0)
    correct.approve(post.settings, DAY, None, "ann")
    Applier(post.settings).apply()
    assert mail.send_recoveries(post.settings).sent == 1
    assert mail.send_recoveries(post.settings).sent == 0
    assert post.subjects[1:] == [
        "[Tandem] 2017-12-23 is resolved: it was out of tolerance, corrected (order count +9.09 %)"
    ]
    found = parts(post.box.mails[1])
    assert f"Resolved: {WAITING.removeprefix('[Tandem] ')} (told on " in found["text/plain"]
    assert "resolved</span>" in found["text/html"]


def test_another_finding_of_the_same_incident_is_mailed_again(post):
    post.server.start()
    stage(post.settings, OUTSIDE, gates=False)
    reconcile_again(post.settings)
    mail.send_report(post.settings, DAY)
    execute(post.settings, "UPDATE batch.daily_metrics SET revenue_cents = revenue_cents + 100000")
    reconcile_again(post.settings)
    mail.send_report(post.settings, DAY)
    assert len(post.subjects) == 2
    assert execute(post.settings, "SELECT count(*) FROM reconciliation.incidents") == [(1,)]


def test_a_person_who_asks_for_the_report_gets_it_though_it_was_mailed(post):
    post.server.start()
    stage(post.settings, OUTSIDE, gates=False)
    reconcile_again(post.settings)
    mail.send_report(post.settings, DAY)
    assert invoke("report", "--date", str(DAY), "--send").exit_code == 0
    assert post.subjects == [WAITING] * 2


def test_a_date_that_reconciles_by_hand_ends_its_incident_at_once(post):
    post.server.start()
    stage(post.settings, OUTSIDE, gates=False)
    reconcile_again(post.settings)
    mail.send_report(post.settings, DAY)
    correct.approve(post.settings, DAY, None, "ann")
    Applier(post.settings).apply()
    assert invoke("reconcile", "--date", str(DAY)).exit_code == 0
    assert post.subjects[1:] == ["[Tandem] 2017-12-23 is resolved: it agrees (no difference)"]


def test_mail_goes_to_those_who_want_to_hear_of_its_severity_and_so_does_that_it_is_over(post):
    post.server.start()
    wanted = "ann@example.org, ops@example.org:warning, boss@example.org:critical"
    post.settings = post.settings.model_copy(update={"mail_to": wanted})
    stage(post.settings, OUTSIDE, gates=False)
    reconcile_again(post.settings)
    mail.send_report(post.settings, DAY)
    correct.approve(post.settings, DAY, None, "ann")
    Applier(post.settings).apply()
    reconcile_again(post.settings)
    mail.send_report(post.settings, DAY)
    mail.send_report(post.settings, DAY)
    all_of_them = ["ann@example.org", "ops@example.org", "boss@example.org"]
    assert post.box.recipients == [all_of_them, all_of_them, all_of_them[:1]]


def test_a_report_that_nobody_wants_by_mail_is_kept_all_the_same(post):
    post.server.start()
    quiet = post.settings.model_copy(update={"mail_to": "boss@example.org:critical"})
    reconcile_date(quiet, AGREED)
    assert mail.send_report(quiet, DAY) == Delivery(sent=0, kept=0)
    assert execute(quiet, "SELECT count(*), count(mailed_at) FROM reconciliation.reports") == [(1, 0)]


def test_a_task_that_fails_for_the_same_reason_again_is_mailed_once_and_once_when_it_went_through(post):
    post.server.start()
    place = {"dag_id": "nightly", "task_id": "cut", "business_date": "2017-12-23"}
    assert not failures.may_be_open(post.settings, **place)
    assert mail.send_recovery(post.settings, **place) == Delivery(sent=0, kept=0)
    for error in ("process 4711 ended", "process 4712 ended", "no space left on device"):
        mail.send_failure(post.settings, **place, error=error)
    assert post.subjects == ["[Tandem] nightly failed at cut for 2017-12-23"] * 2
    assert failures.may_be_open(post.settings, **place)
    assert not failures.may_be_open(post.settings, **place | {"task_id": "archive"})
    assert mail.send_recovery(post.settings, **place).sent == 1
    assert not failures.may_be_open(post.settings, **place)
    assert mail.send_recovery(post.settings, **place).sent == 0
    assert post.subjects[2:] == ["[Tandem] nightly is resolved: cut for 2017-12-23 went through"]
    mail.send_failure(post.settings, **place, error="no space left on device")
    assert len(post.subjects) == 4


def test_a_task_that_failed_for_some_dates_is_over_once_it_went_through_for_a_range_with_them(post):
    """As of `restate`, which takes what the night before left undone, and whatever is due since."""
    post.server.start()
    task = {"dag_id": "restate", "task_id": "views"}
    for dates in ("2017-12-21 to 2017-12-22", "2017-12-22 to 2017-12-22", "2017-12-20 to 2017-12-22"):
        mail.send_failure(post.settings, **task, business_date=dates, error="no space left on device")
    mail.send_failure(post.settings, dag_id="restate", task_id="prepare", business_date="2017-12-22", error="Kafka")
    wider = task | {"business_date": "2017-12-21 to 2017-12-23"}
    assert failures.may_be_open(post.settings, **wider)
    assert mail.send_recovery(post.settings, **wider).sent == 2
    assert not failures.may_be_open(post.settings, **wider)
    left = execute(post.settings, "SELECT name FROM reconciliation.incidents WHERE resolved_at IS NULL ORDER BY name")
    assert left == [("failure:restate:prepare:2017-12-22",), ("failure:restate:views:2017-12-20 to 2017-12-22",)]


def test_a_date_that_failed_in_a_range_is_told_to_be_over_by_its_report(post):
    post.server.start()
    mail.send_reports(post.settings, [DAY])
    reconcile_date(post.settings, AGREED)
    mail.send_report(post.settings, DAY)
    assert post.subjects[1:] == ["[Tandem] 2017-12-23 is resolved: it agrees (no difference)"]


def test_a_run_that_failed_is_not_told_to_be_over_by_what_was_compared_before_it(post):
    """The date agrees as before; what was to be computed anew was not."""
    post.server.start()
    reconcile_date(post.settings, AGREED)
    mail.send_summary(post.settings, [End("restate", DAY, None, "gate")])
    assert mail.send_recoveries(post.settings) == Delivery(sent=0, kept=0)
    mail.send_report(post.settings, DAY, again=True)
    reconcile_again(post.settings)
    assert mail.send_recoveries(post.settings).sent == 1
    assert [subject.removeprefix("[Tandem] 2017-12-23") for subject in post.subjects] == [
        ": 1 without a result",
        " agrees (no difference)",
        " is resolved: it agrees (no difference)",
    ]


@pytest.mark.parametrize("dates", [f"{DAY}", f"{DAY} to {DAY}"])
def test_a_task_that_failed_is_over_once_the_date_was_done_by_another_run(post, dates):
    """As when a gate failed in the night, and the date was done by `restate`, or by hand: none goes through again."""
    post.server.start()
    reconcile_date(post.settings, AGREED)
    mail.send_failure(post.settings, dag_id="nightly", task_id="gate", business_date=dates, error="a check failed")
    mail.send_failure(post.settings, dag_id="nightly", task_id="gate", business_date="2017-12-22", error="another date")
    assert mail.send_recoveries(post.settings) == Delivery(sent=0, kept=0), "it agreed before"
    mail.send_report(post.settings, DAY, again=True)
    reconcile_again(post.settings)
    assert mail.send_recoveries(post.settings) == Delivery(sent=0, kept=0), "nothing was published since"
    execute(post.settings, "UPDATE batch.versions SET published_at = now()")
    reconcile_again(post.settings)
    assert mail.send_recoveries(post.settings).sent == 1
    assert post.subjects[2:] == [
        "[Tandem] 2017-12-23 agrees (no difference)",
        "[Tandem] 2017-12-23 is resolved: it agrees (no difference)",
    ]
    assert f"Resolved: The task 'gate' of 'nightly' for {dates} failed" in parts(post.box.mails[-1])["text/plain"]
    left = execute(post.settings, "SELECT name FROM reconciliation.incidents WHERE resolved_at IS NULL")
    assert left == [("failure:nightly:gate:2017-12-22",)]


def test_a_comparison_that_failed_is_not_over_with_one_of_other_dates(post):
    """A date that was published is no longer due: a later run claims it, but compares others alone."""
    post.server.start()
    task = {"dag_id": "restate", "task_id": "reconcile"}
    mail.send_failure(post.settings, **task, business_date="2017-12-21 to 2017-12-22", error="Postgres is away")
    assert mail.send_recovery(post.settings, **task, business_date="2017-12-20 to 2017-12-23").sent == 0
    assert mail.send_recovery(post.settings, **task, business_date="2017-12-21 to 2017-12-22").sent == 1


def test_a_date_that_is_not_in_order_does_not_end_what_failed(post):
    post.server.start()
    mail.send_failure(post.settings, dag_id="nightly", task_id="gate", business_date=str(DAY), error="a check failed")
    stage(post.settings, OUTSIDE, gates=False)
    reconcile.run(post.settings, DAY, apply_timeout=timedelta(0))
    mail.send_report(post.settings, DAY)
    assert failures.may_be_open(post.settings, dag_id="nightly", task_id="gate", business_date=str(DAY))


def test_an_overdue_date_is_told_once_and_is_over_with_its_report(post):
    post.server.start()
    for _ in range(2):
        mail.send_overdue(post.settings, DAY, still_running=False)
    reconcile_date(post.settings, AGREED)
    mail.send_report(post.settings, DAY)
    assert post.subjects == [
        "[Tandem] 2017-12-23 is overdue: no batch figures are published",
        "[Tandem] 2017-12-23 is resolved: it agrees (no difference)",
    ]


def compare_earlier_dates(settings: Settings, dates: int) -> None:
    """Dates before that each passed, with the stream short of revenue by 0.3 %."""
    for back in range(1, dates + 1):
        day = DAY - timedelta(days=back)
        found = {"business_date": day, "run_id": f"r{back}", "verdict": "match", "reason": "", "remedy": ""}
        insert(settings, "reconciliation.reconciliations", **found, cells_compared=1, cells_differing=0)
        number = execute(settings, "SELECT max(reconciliation_id) FROM reconciliation.reconciliations")[0][0]
        values = {"batch_value": 100_000, "speed_value": 99_700, "corrected": 0, "allowed": 1_000}
        place = {"level": "day", "cube": "", "cell_start": at(0) - timedelta(days=back), "key": ""}
        insert(
            settings,
            "reconciliation.comparisons",
            reconciliation_id=number,
            metric="revenue_cents",
            status="match",
            decides=True,
            **place,
            **values,
        )


def test_a_bias_is_mailed_once_and_again_when_it_comes_back(post):
    post.server.start()
    compare_earlier_dates(post.settings, 11)
    reconcile_date(post.settings, AGREED)
    said = "[Tandem] up to 2017-12-23 the stream is short of revenue date after date"

    def told() -> bool:
        post.box.mails.clear()
        mail.send_report(post.settings, DAY)
        assert post.subjects[0] == "[Tandem] 2017-12-23 agrees (no difference)"
        return post.subjects[1:] == [said]

    assert told()
    text = parts(post.box.mails[1])["text/plain"]
    assert (
        "The stream was short of revenue on 11 of the 11 dates that differed since 2017-12-12, by 0.30 % in the median"
        in text
    )
    assert "once in 1,024 dates; all such tests together raise a false alarm on at most 1 % of dates" in text
    assert [told(), len(post.box.mails)] == [False, 1]
    every_other = "reconciliation_id IN (2, 4, 6, 8, 10)"
    over = f"UPDATE reconciliation.comparisons SET speed_value = 200000 - speed_value WHERE {every_other}"
    execute(post.settings, over)
    assert not told()
    assert post.subjects[1:] == ["[Tandem] up to 2017-12-23 the stream is no longer short of revenue date after date"]
    assert [told(), len(post.box.mails)] == [False, 1]
    execute(post.settings, over)
    assert told()


def test_a_bias_up_to_a_date_that_is_not_the_last_is_shown_and_not_mailed(post):
    post.server.start()
    compare_earlier_dates(post.settings, 11)
    reconcile_date(post.settings, AGREED)
    later = {"business_date": DAY + timedelta(days=1), "verdict": "match", "reason": "", "remedy": ""}
    insert(
        post.settings, "reconciliation.reconciliations", run_id="later", cells_compared=1, cells_differing=0, **later
    )
    mail.send_report(post.settings, DAY)
    assert len(post.box.mails) == 1
    assert "ERRS TO ONE SIDE" in parts(post.box.mails[0])["text/plain"]


def test_no_text_can_add_a_header(post):
    to = ("ann@example.org",)
    message = post_office.compose(post.settings, to, Letter("a subject\nBcc: eve@example.org", "text", "<p>html</p>"))
    assert message["Bcc"] is None
    assert message["Subject"] == "a subject Bcc: eve@example.org"


def test_a_date_that_was_never_reconciled_has_no_report(post):
    with pytest.raises(TandemError, match="never reconciled"):
        mail.send_report(post.settings, DAY)


def invoke(*arguments: str):
    return CliRunner().invoke(cli.app, list(arguments))


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
