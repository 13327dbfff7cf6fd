"""Who gets mail is one line of text; what it means is one list a severity."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tandem import recipients
from tandem.recipients import Severity
from tandem.settings import Settings


@pytest.mark.parametrize(
    ("severity", "who"),
    [
        (Severity.INFO, ("ann@example.org",)),
        (Severity.WARNING, ("ann@example.org", "ops@example.org")),
        (Severity.CRITICAL, ("ann@example.org", "ops@example.org", "boss@example.org")),
    ],
)
def test_an_address_gets_what_is_at_least_as_urgent_as_it_wants(severity, who):
    found = recipients.parse("ann@example.org, ops@example.org:warning,boss@example.org:critical ,")
    assert recipients.who_gets(found, severity) == who


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ann@example.org:urgent", "write info, warning, critical, or nothing for all"),
        ("ann", "'ann' is no mail address such as ann@example.org"),
        ("ann@example.org\nBcc: eve@example.org", "is no mail address"),
        ("@example.org", "is no mail address"),
        (" , ", "name at least one address"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_write(text, said):
    with pytest.raises(ValidationError, match=said):
        Settings(mail_to=text)
