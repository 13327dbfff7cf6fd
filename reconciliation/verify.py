"""Work a certificate out again from the books: does what it says still stand there?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

from reconciliation import canonical, certificate, cut, sides
from reconciliation.certificate import FORMAT, Certificate
from tandem import database
from tandem.amounts import count
from tandem.errors import TandemError
from tandem.settings import Settings


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether a certificate holds. ``line`` says so, with everything that does not in ``broken``."""

    certificate: Certificate
    broken: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether everything in it was found in the books."""
        return not self.broken

    @property
    def line(self) -> str:
        """The result in one line."""
        named = f"{self.certificate['business_date']}: certificate of reconciliation"
        number = self.certificate["reconciliation_id"]
        if self.broken:
            return f"{named} {number} does not hold: {'; '.join(self.broken)}"
        after, given = self.certificate["after"], self.certificate["corrections"]
        corrections = count(len(given["before"]) + len(given["since"]), "correction")
        books = "both books are" if after["equal"] else f"stream {after['speed_sha256'][:16]}, batch"
        return f"{named} {number} holds: {books} {after['batch_sha256'][:16]} after {corrections}"


def verify(settings: Settings, document: Certificate) -> Verification:
    """Hold a certificate against the books. Raises TandemError where it cannot be read, or what it names is gone."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise TandemError(f"this is no certificate in the form {FORMAT}", "write one: tandem certificate --date D")
    if document.get("sha256") != certificate.signature(document):
        return Verification(document, ("the document was changed after it was issued",))
    with database.snapshot(settings) as connection:
        return Verification(document, tuple(_broken(connection, settings, document)))


def _broken(connection: psycopg.Connection[Any], settings: Settings, document: Certificate) -> Iterator[str]:
    day, run_id = date.fromisoformat(document["business_date"]), document["cut"]["run_id"]
    taken = cut.read(connection, run_id)
    if taken is None:
        raise TandemError(f"run {run_id} is not in these books", "verify it where it was issued")
    if {str(partition): offset for partition, offset in taken.offsets.items()} != document["cut"]["next_offsets"]:
        yield "the cut is at other offsets"
    given = document["corrections"]
    both = sides.read(connection, settings, day, run_id, given["before"] + given["since"])
    before = sides.read(connection, settings, day, run_id, given["before"])
    for claim, found, said in (
        ("the batch layer's cells", both.batch.sha256(), document["before"]["batch_sha256"]),
        ("the stream's cells at the cut", both.counted.sha256(), document["before"]["counted_sha256"]),
        ("the stream's cells as compared", before.speed.sha256(), document["before"]["speed_sha256"]),
        ("the stream's cells with the corrections", both.speed.sha256(), document["after"]["speed_sha256"]),
        ("the causes", certificate.ledger_sha256(connection, document["reconciliation_id"]), document["ledger_sha256"]),
    ):
        if found != said:
            yield f"{claim} are no longer those certified"
    if not _is_told(both.batch_day, document["figures"]["batch"]):
        yield "the batch layer's figures of the day are no longer those certified"
    yield from _broken_corrections(connection, given)


def _is_told(found: dict[str, int | None] | None, said: dict[str, int | None] | None) -> bool:
    """Whether the figures are those of a certificate, which has none of what was declared after it."""
    if found is None or said is None:
        return found is said
    return {name: found.get(name) for name in said} == said


def _broken_corrections(connection: psycopg.Connection[Any], given: dict[str, Any]) -> Iterator[str]:
    ids = given["before"] + given["since"]
    if canonical.sha256(certificate.correction_rows(connection, ids)) != given["sha256"]:
        yield "the corrections are no longer those certified"
    query = database.queries("reconciliation").not_booked_as_decided
    row = connection.execute(query, {"ids": ids}).fetchone()
    if row and row[0]:
        yield f"{count(row[0], 'correction is', 'corrections are')} not in the stream's books as decided"
