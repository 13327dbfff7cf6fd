"""Incidents: what people were told of by mail and is not over. Each is told once, again only where something else is
found, and once more when it is over.

They are kept in the transaction that queues the mail, so that neither is without the other.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date, datetime
from typing import Any

import psycopg

from reconciliation import canonical, failures
from reconciliation.report import Incident, Report, State
from tandem import database
from tandem.recipients import Severity

_SEVERITIES = {
    State.AGREES: Severity.INFO,
    State.CORRECTED: Severity.WARNING,
    State.NOT_COMPARED: Severity.WARNING,
    State.WAITS: Severity.CRITICAL,
    State.DIFFERS: Severity.CRITICAL,
    State.NOT_PUBLISHED: Severity.CRITICAL,
}
SETTLED = (State.AGREES, State.CORRECTED)
"""States of a date in which nothing is left to do."""
OF_DATE = "date:"
"""Begins the names of what was found of a date."""
UNFINISHED = "unfinished:"
"""Begins the names of dates that a run was to compute and did not."""


def severity_of(report: Report) -> Severity:
    """How urgent a report is; one that ends an incident goes to all who were told of that."""
    said = [_SEVERITIES[report.state], *(incident.severity for incident in report.resolved)]
    return max(said, key=lambda severity: severity.rank)


def of_date(business_date: date) -> str:
    """The name under which what was found of a date is kept."""
    return f"{OF_DATE}{business_date}"


def unfinished(business_date: date) -> str:
    """The name of a date that a run was to compute and did not."""
    return f"{UNFINISHED}{business_date}"


def overdue(business_date: date) -> str:
    """The name of a date that was not published in time."""
    return f"overdue:{business_date}"


def open_(connection: psycopg.Connection[Any], name: str, severity: Severity, said: str, finding: str) -> bool:
    """Open an incident, or renew what was found of it. True where that is news, so that it is to be mailed."""
    values = {"name": name, "severity": severity.value, "finding": finding, "said": said}
    return connection.execute(database.queries("incidents").open, values).fetchone() is not None


def resolve(connection: psycopg.Connection[Any], *names: str, before: datetime | None = None) -> tuple[Incident, ...]:
    """End the incidents of these names, only those opened ``before`` an instant if one is given; returns which."""
    where = {"names": list(names), "before": before}
    rows = connection.execute(database.queries("incidents").resolve, where).fetchall()
    return tuple(_incident(*row) for row in rows)


def resolve_others(connection: psycopg.Connection[Any], prefix: str, names: list[str]) -> tuple[Incident, ...]:
    """End the incidents whose names begin so and are none of these; returns those that were open."""
    where = {"prefix": prefix, "names": names}
    rows = connection.execute(database.queries("incidents").resolve_others, where).fetchall()
    return tuple(_incident(*row) for row in rows)


def open_ones(connection: psycopg.Connection[Any], prefix: str = "") -> tuple[Incident, ...]:
    """The incidents that are open, the oldest first; only those whose names begin so."""
    rows = connection.execute(database.queries("incidents").open_ones, {"prefix": prefix}).fetchall()
    return tuple(_incident(*row) for row in rows)


def _incident(name: str, severity: str, said: str, since: Any) -> Incident:
    return Incident(name, Severity(severity), said, since)


def date_of(incident: Incident) -> date | None:
    """The date that was found out of order, or not computed, or on which a task failed; None of other incidents."""
    if incident.name.startswith(failures.PREFIX):
        return failures.date_of(incident.name)
    kind, _, named = incident.name.partition(":")
    return date.fromisoformat(named) if f"{kind}:" in {OF_DATE, UNFINISHED} else None


def is_answered(incident: Incident, report: Report) -> bool:
    """Whether a report can end an incident: what was compared before a run failed does not say that it went through."""
    if not incident.name.startswith((UNFINISHED, failures.PREFIX)):
        return True
    if incident.name.startswith(failures.PREFIX) and not failures.is_after_publication(incident.name):
        return report.run is not None and report.run.published_at > incident.since
    return report.compared_at > incident.since


def note(connection: psycopg.Connection[Any], report: Report) -> tuple[Report, bool]:
    """Keep what a report says of its date; returns it with the incidents that it ends, and whether it is news.

    A date that agrees or was corrected is always news: the report of a run, not an incident.
    """
    day = report.business_date
    ended = resolve(connection, unfinished(day), before=report.compared_at)
    if report.state in SETTLED:
        # Where another run did the date no task goes through that had failed.
        failed = [one for one in open_ones(connection, failures.PREFIX) if date_of(one) == day]
        ended += resolve(connection, *(one.name for one in failed if is_answered(one, report)))
        return replace(report, resolved=ended + resolve(connection, of_date(day), overdue(day))), True
    ended += resolve(connection, overdue(day)) if report.run else ()
    said = report.subject.removeprefix("[Tandem] ")
    news = open_(connection, of_date(day), _SEVERITIES[report.state], said, _finding(report))
    return replace(report, resolved=ended), news


def _finding(report: Report) -> str:
    """A hash of what was found, the same for every comparison that finds the same.

    Of a date that was not compared only that: by how much the stream is behind changes from one try to the next.
    """
    found: dict[str, Any] = {"state": report.state.value}
    if report.state is not State.NOT_COMPARED:
        found |= {
            "figures": [(f.name, f.batch, f.speed, f.status.value) for f in report.figures],
            "causes": [asdict(cause) for cause in report.causes],
            "failed": [gate.expectation for gate in report.failed_gates],
        }
    return canonical.document_sha256(found)
