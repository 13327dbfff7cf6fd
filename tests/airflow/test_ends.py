"""The one mail of a backfill: sent by whichever of its runs ends last, over a real mail server."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from reconciliation import ends
from reconciliation.ends import End
from tandem.local import mail, mailbox, process
from tandem.settings import Settings

pytestmark = pytest.mark.integration
DAYS = [date(2017, 12, day) for day in (21, 22, 23)]


@pytest.fixture
def office(clean_database: Settings) -> Settings:
    mail.start(clean_database)
    yield clean_database
    process.stop(clean_database, mail.NAME)
    for kept in mailbox.mails(mailbox.folder(clean_database)):
        kept.path.unlink()


def failed(day: date) -> End:
    return End(dag_run=f"backfill__{day}", business_date=day, reconciliation_id=None, failure="order_facts")


def none(_: Sequence[str]) -> int:
    return 0


def subjects(own: Settings) -> list[str]:
    return [kept.subject for kept in mailbox.mails(mailbox.folder(own))]


def test_nothing_is_sent_while_other_runs_of_the_backfill_are_to_come(office: Settings) -> None:
    ends.note(office, failed(DAYS[0]))
    assert ends.send_if_last(office, lambda noted: 3 - len(noted)) == 0
    assert subjects(office) == []


def test_the_last_run_tells_of_every_date_in_one_mail_and_once(office: Settings) -> None:
    for day in DAYS:
        ends.note(office, failed(day))
    assert ends.send_if_last(office, none) == 3
    assert ends.send_if_last(office, none) == 0
    (subject,) = subjects(office)
    assert "2017-12-21 to 2017-12-23" in subject


def test_a_run_that_was_cleared_and_ran_again_is_told_of_again(office: Settings) -> None:
    ends.note(office, failed(DAYS[0]))
    ends.send_if_last(office, none)
    ends.note(office, failed(DAYS[0]))
    assert ends.send_if_last(office, none) == 1
    assert len(subjects(office)) == 2


def test_of_runs_that_end_at_the_same_moment_exactly_one_sends_the_mail(office: Settings) -> None:
    """Each run notes its end, then asks; those that have not noted theirs by then are still at work."""
    at_work = {failed(day).dag_run for day in DAYS}

    def end(day: date) -> int:
        ends.note(office, failed(day))
        return ends.send_if_last(office, lambda noted: len(at_work - set(noted)))

    with ThreadPoolExecutor(len(DAYS)) as runs:
        told = list(runs.map(end, DAYS))
    assert sorted(told) == [0, 0, 3]
    assert len(subjects(office)) == 1
