"""Who gets which mail: addresses, each with the least severity it wants to hear of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How urgent a mail is, from the least to the most."""

    INFO = "info"
    """Nothing has to be done."""
    WARNING = "warning"
    """Something was not right, and may be so again."""
    CRITICAL = "critical"
    """Somebody must act, or figures stay wrong or missing."""

    @property
    def rank(self) -> int:
        """0 for the least urgent."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Recipient:
    """An address, and how urgent a mail must be to go there."""

    address: str
    least: Severity = Severity.INFO


def parse(text: str) -> tuple[Recipient, ...]:
    """Recipients from ``ann@example.org, boss@example.org:critical``. Raises ValueError with what to write instead."""
    return tuple(_recipient(entry.strip()) for entry in text.split(",") if entry.strip())


def _recipient(entry: str) -> Recipient:
    address, colon, least = (part.strip() for part in entry.partition(":"))
    local, at, domain = address.rpartition("@")
    if not (at and local and domain) or any(c.isspace() or not c.isprintable() for c in address):
        raise ValueError(f"'{entry}' is no mail address such as ann@example.org")
    if colon and least not in set(Severity):
        raise ValueError(f"'{least}' after {address} is no severity: write {', '.join(Severity)}, or nothing for all")
    return Recipient(address, Severity(least) if colon else Severity.INFO)


def who_gets(recipients: tuple[Recipient, ...], severity: Severity) -> tuple[str, ...]:
    """The addresses that want mails of a severity."""
    return tuple(one.address for one in recipients if severity.rank >= one.least.rank)
