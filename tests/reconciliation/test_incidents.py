"""Incidents: each is told once, again where something else is found, and once more when it is over."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reconciliation import correct, failures, mail, reconcile
from reconciliation.ends import End
from reconciliation.post import Delivery
from tandem.settings import Settings
from tests.reconciliation.books import DAY, at, execute, insert
from tests.reconciliation.mailbox import AGREED, OUTSIDE, WAITING, invoke, parts, reconcile_again, reconcile_date
from tests.reconciliation.scene import Applier, stage

pytestmark = pytest.mark.integration


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
