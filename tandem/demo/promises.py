"""What the demo promises, checked against the books and the mail folder and not against what the steps said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from tandem import database, kpis
from tandem.amounts import show, show_change
from tandem.kpis import Unit
from tandem.local import mailbox
from tandem.serving import DailyKpis, Layer, read
from tandem.settings import Settings


@dataclass(frozen=True, slots=True)
class Books:
    """The figures of one date: the speed layer's before the nightly run and after it, and the batch layer's."""

    before: DailyKpis
    batch: DailyKpis
    after: DailyKpis


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the first and the last comparison of a date said, and the corrections between them."""

    first: str
    last: str
    corrections: int
    applied: int


@dataclass(frozen=True, slots=True)
class Promise:
    """One claim and whether it held; ``found`` is what was seen, ``log`` the local part whose log tells more."""

    claim: str
    held: bool
    found: str
    log: str


def read_books(settings: Settings, before: Mapping[date, DailyKpis]) -> dict[date, Books]:
    """The figures of every date as they are now, beside those of the speed layer before."""
    return {
        day: Books(before=counted, batch=read(settings, day, Layer.BATCH), after=read(settings, day, Layer.SPEED))
        for day, counted in before.items()
    }


def read_verdicts(settings: Settings, days: tuple[date, ...]) -> dict[date, Verdicts]:
    """What the comparisons of the dates said. A date that was never compared is absent."""
    with database.connect(settings, database.READER) as connection:
        rows = connection.execute(database.queries("demo").verdicts, {"dates": list(days)}).fetchall()
    return {day: Verdicts(*rest) for day, *rest in rows}


def check(
    settings: Settings, books: Mapping[date, Books], verdicts: Mapping[date, Verdicts], planted: Mapping[date, int]
) -> Iterator[Promise]:
    """Every promise of the demo. ``verdicts`` includes the second comparison of each date.

    ``planted``: by how many cents the faults make the batch layer's revenue differ from the stream's.
    """
    days = sorted(books)
    found = {day: _apart(three) for day, three in books.items()}
    shown = ", ".join(f"{day} {show_change(cents, Unit.CENTS, settings.currency)}" for day, cents in found.items())
    as_planted = all(found[day] == planted.get(day, 0) for day in days)
    yield Promise("the layers differed by exactly what was planted", as_planted, shown, "speed")
    seen = {day: verdicts.get(day, Verdicts("never compared", "never compared", 0, 0)) for day in days}
    first = ", ".join(f"{day} {verdict.first}" for day, verdict in seen.items())
    out = [day for day in days if seen[day].first == "mismatch"]
    yield Promise("a date was out of tolerance", bool(out), first, "airflow-scheduler")
    yield Promise(
        "a date was within tolerance", any(v.first == "match" for v in seen.values()), first, "airflow-scheduler"
    )
    counts = ", ".join(f"{day}: {seen[day].applied} of {seen[day].corrections}" for day in out)
    corrected = bool(out) and all(0 < seen[day].corrections == seen[day].applied for day in out)
    yield Promise("the speed layer applied every correction", corrected, counts or "none was sent", "speed")
    second = ", ".join(f"{day} {verdict.last}" for day, verdict in seen.items())
    yield Promise("the second reconciliation agrees", all(v.last == "match" for v in seen.values()), second, "speed")
    left = [line for day in out for line in _differences(settings, day, books[day])]
    yield Promise("corrected dates differ by exactly 0", bool(out) and not left, "; ".join(left) or "nothing", "speed")
    subjects = [mail.subject for mail in mailbox.mails(mailbox.folder(settings))]
    yield Promise("one mail told of the three dates", len(subjects) == 1, "; ".join(subjects) or "no mail", "mail")


def _apart(books: Books) -> int | None:
    """Batch minus speed before, in cents of revenue; None where a layer has none."""
    batch, speed = books.batch.metrics["revenue_cents"], books.before.metrics["revenue_cents"]
    return None if batch is None or speed is None else batch - speed


def _differences(settings: Settings, day: date, books: Books) -> Iterator[str]:
    for kpi in kpis.KPIS:
        speed, batch = books.after.metrics[kpi.name], books.batch.metrics[kpi.name]
        if speed != batch or batch is None:
            shown = (show(value, kpi.unit, settings.currency) for value in (speed, batch))
            yield f"{day} {kpi.name}: " + " against ".join(shown)
