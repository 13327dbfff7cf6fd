"""Every mail sent on this machine is kept as it came and shown safely."""

from __future__ import annotations

import re
import smtplib
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import EmailMessage
from email.mime.text import MIMEText

import pytest
from installations import installations

from tandem.local import mail, mailbox
from tandem.settings import Settings

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360f8cfc00000030101"
    "00c9fe92ef0000000049454e44ae426082"
)


@pytest.fixture(scope="module")
def catcher() -> Iterator[Settings]:
    for own in installations():
        mail.start(own)
        yield own


@pytest.fixture
def inbox(catcher: Settings) -> Settings:
    for kept in mailbox.folder(catcher).glob("*.eml"):
        kept.unlink()
    return catcher


def a_report(subject: str = "MATCH 2017-12-23: worst revenue +0.4 %") -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "tandem@localhost"
    message["To"] = "business@localhost"
    message["Date"] = "Sun, 24 Dec 2017 02:05:00 +0000"
    message.set_content("Revenue 24,994.47 – both layers agree.\n")
    message.add_alternative(
        '<p id="body">Revenue <b>24,994.47</b></p><img src="cid:chart@tandem"><script>document.title="owned"</script>',
        subtype="html",
    )
    html_part = message.get_payload()[1]
    html_part.add_related(PIXEL, "image", "png", cid="<chart@tandem>", filename="chart.png")
    message.add_attachment(b"a,b\n1,2\n", maintype="text", subtype="csv", filename="cells.csv")
    return message


def send(own: Settings, message: EmailMessage | MIMEText) -> None:
    with smtplib.SMTP(own.smtp_host, own.smtp_port) as client:
        client.send_message(message, "tandem@localhost", ["business@localhost", "audit@localhost"])


def fetch(own: Settings, path: str, **headers: str) -> tuple[str, dict[str, str]]:
    request = urllib.request.Request(f"{mail.page_address(own)}{path}", headers=headers)  # noqa: S310 - our own address
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return answer.read().decode("utf-8", "replace"), dict(answer.headers)


def test_a_mail_is_a_file_that_says_what_was_sent_and_to_whom(inbox: Settings):
    send(inbox, a_report())
    (kept,) = mailbox.mails(mailbox.folder(inbox))
    assert kept.subject == "MATCH 2017-12-23: worst revenue +0.4 %"
    assert kept.to == "business@localhost"
    assert kept.text == "Revenue 24,994.47 – both layers agree.\n"
    assert "<b>24,994.47</b>" in kept.html
    assert {(part.file_name, part.content) for part in kept.parts} == {
        ("chart.png", PIXEL),
        ("cells.csv", b"a,b\n1,2\n"),
    }
    assert b"X-Envelope-To: business@localhost, audit@localhost" in kept.path.read_bytes()


def test_the_list_shows_the_newest_first(inbox: Settings):
    for subject in ("first", "second", "third"):
        send(inbox, a_report(subject))
    page, _ = fetch(inbox, "/")
    assert re.findall(r">(first|second|third)</a>", page) == ["third", "second", "first"]
    assert page.count("business@localhost") == 3
    assert page.count("Sun, 24 Dec 2017 02:05:00") == 3


def test_a_mail_shows_its_text_its_parts_and_its_html_in_a_sandboxed_frame(inbox: Settings):
    send(inbox, a_report())
    name = mailbox.mails(mailbox.folder(inbox))[0].name
    page, headers = fetch(inbox, f"/mail/{name}")
    assert "both layers agree" in page
    assert "cells.csv" in page
    frame = re.search(r"<iframe ([^>]*)>", page)[1]
    assert f'src="/mail/{name}/html"' in frame
    assert re.search(r'sandbox="([^"]*)"', frame)[1].split() == ["allow-popups", "allow-popups-to-escape-sandbox"]
    assert "script-src" not in headers["Content-Security-Policy"]
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_mail_s_html_may_run_nothing_and_load_nothing_but_its_own_pictures(inbox: Settings):
    send(inbox, a_report())
    name = mailbox.mails(mailbox.folder(inbox))[0].name
    html, headers = fetch(inbox, f"/mail/{name}/html")
    policy = {part.split()[0]: part.split()[1:] for part in headers["Content-Security-Policy"].split(";")}
    assert policy["default-src"] == ["'none'"]
    assert policy["img-src"] == ["data:", mail.page_address(inbox)]
    assert "allow-scripts" not in policy["sandbox"]
    assert "script-src" not in policy
    picture = re.search(r'<img src="([^"]+)"', html)[1]
    with urllib.request.urlopen(mail.page_address(inbox) + picture) as answer:  # noqa: S310 - our own address
        assert (answer.headers["Content-Type"], answer.read()) == ("image/png", PIXEL)


def test_markup_in_a_subject_or_an_address_is_shown_and_not_obeyed(inbox: Settings):
    message = a_report('<script>alert("x")</script>')
    message.replace_header("To", '"<img src=x onerror=alert(1)>" <business@localhost>')
    send(inbox, message)
    name = mailbox.mails(mailbox.folder(inbox))[0].name
    for path in ("/", f"/mail/{name}"):
        page, _ = fetch(inbox, path)
        assert "<script" not in page
        assert "<img" not in page
        assert "&lt;script&gt;" in page


def test_an_attachment_that_could_run_is_a_download(inbox: Settings):
    message = a_report()
    message.add_attachment(b"<svg onload=alert(1)>", maintype="image", subtype="svg+xml", filename="evil.svg")
    send(inbox, message)
    (kept,) = mailbox.mails(mailbox.folder(inbox))
    number = next(part.number for part in kept.parts if part.file_name == "evil.svg")
    _, headers = fetch(inbox, f"/mail/{kept.name}/part/{number}")
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"].startswith("attachment")
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/mail/1", "/mail/../secrets/postgres", "/mail/%2e%2e/x/raw", "/secrets", "/mail/"])
def test_nothing_but_mails_is_served(inbox: Settings, path: str):
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(inbox, path)
    assert refused.value.code == 404


def test_a_foreign_host_name_is_refused(inbox: Settings):
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(inbox, "/", Host="rebound.example:80")
    assert refused.value.code == 403


def test_a_mail_in_an_unknown_encoding_is_shown_as_far_as_it_can_be_read(inbox: Settings):
    message = MIMEText("plain words", "plain", "us-ascii")
    message.replace_header("Content-Type", 'text/plain; charset="x-unheard-of"')
    message["Subject"] = "=?x-unheard-of?b?AAAA?="
    send(inbox, message)
    (kept,) = mailbox.mails(mailbox.folder(inbox))
    assert "plain words" in kept.text
    assert "plain words" in fetch(inbox, f"/mail/{kept.name}")[0]
