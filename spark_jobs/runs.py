"""Batch runs: one computes the views of one business date, from the archive below one cut, under one id."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any

from tandem import __version__, database, topics
from tandem.checks import RULE_VERSION
from tandem.errors import TandemError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tandem.settings import Settings


class Kind(StrEnum):
    """Why a run was made. A run of another start than these has Airflow's word for it."""

    SCHEDULED = "scheduled"
    """The nightly run of the day before."""
    MANUAL = "manual"
    """The nightly run, started by a person."""
    BACKFILL = "backfill"
    """The nightly run of a past date, one of a range."""
    RECOMPUTE = "recompute"
    """A person had it computed again."""
    MISSED = "missed"
    """Its night went by without a publication."""
    LATE_DATA = "late_data"
    """Events of the date came after it was published."""
    DEPENDENT = "dependent"
    """A date was restated that this result is made of."""
    TRIAL = "trial"
    """Computed to look at, not to publish: it decides nothing."""


@dataclass(frozen=True, slots=True)
class Why:
    """Why a run is made. ``kind``: a Kind, or Airflow's own word. ``reason``: which of its kind, for people."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run as recorded. ``cut``: next offset by partition; ``archived``: how many records of the date the archive had
    below it. NULLs until its facts are written.
    """

    run_id: str
    business_date: date
    kind: str
    archive_version: int | None
    facts_version: int | None
    cut: dict[int, int] | None
    archived: int | None = None


def new_run_id(business_date: date, now: datetime) -> str:
    """An id that names its date and instant (``now`` in UTC) and that no other run has."""
    return f"{business_date}.{now:%Y%m%dT%H%M%SZ}.{secrets.token_hex(3)}"


def open_run(
    settings: Settings,
    run_id: str,
    business_date: date,
    *,
    kind: str = Kind.MANUAL,
    reason: str = "",
    requested_by: str | None = "",
) -> Run:
    """The run of this id, recorded now unless it is already. Raises TandemError where the id is another date's.

    ``kind``: a Kind, or Airflow's own word. ``reason``: which of its kind, for people.
    """
    values = {
        "run_id": run_id,
        "business_date": business_date,
        "kind": kind.value if isinstance(kind, Enum) else kind,
        "reason": reason,
        "requested_by": requested_by or "",
        "code_version": __version__,
        "rule_version": RULE_VERSION,
    }
    with database.connect(settings, database.BATCH) as connection:
        connection.execute(database.queries("batch").open_run, values)
    opened = find(settings, run_id)
    if opened is None or opened.business_date != business_date:
        raise TandemError(f"run {run_id} is not one of {business_date}", "use another run id")
    return opened


def find(settings: Settings, run_id: str) -> Run | None:
    """The run of this id, or None."""
    return _one(settings, "run", {"run_id": run_id})


def latest_facts(settings: Settings, business_date: date) -> Run | None:
    """The run that last wrote the facts of a date, or None."""
    return _one(settings, "latest_facts", {"business_date": business_date})


def published(settings: Settings, view: str, business_date: date) -> Run | None:
    """The run whose rows of a view readers see, or None."""
    return _one(settings, "published_run", {"view": view, "business_date": business_date})


def publications(settings: Settings, run_id: str) -> dict[str, int]:
    """The version under which each view of a run was published, be it replaced since or not."""
    with database.connect(settings, database.BATCH) as connection:
        return dict(connection.execute(database.queries("batch").publications, {"run_id": run_id}).fetchall())


def cut_offsets(settings: Settings, run_id: str) -> dict[int, int]:
    """The offsets at which both layers are compared for this run, by partition; empty where no cut was taken."""
    values = {"run_id": run_id, "topic": topics.ORDER_EVENTS}
    with database.connect(settings, database.BATCH) as connection:
        return dict(connection.execute(database.queries("batch").cut_offsets, values).fetchall())


def record_facts(
    settings: Settings,
    run_id: str,
    *,
    archive_version: int | None,
    facts_version: int,
    cut: Mapping[int, int],
    archived: int | None,
) -> None:
    """Note which version of order_facts holds the run's date, and what it was made from; see Run."""
    values = {
        "run_id": run_id,
        "archive_version": archive_version,
        "facts_version": facts_version,
        "cut": json.dumps({str(partition): offset for partition, offset in sorted(cut.items())}),
        "archived": archived,
    }
    with database.connect(settings, database.BATCH) as connection:
        connection.execute(database.queries("batch").record_facts, values)


def adopt_facts(settings: Settings, run: Run, source: Run) -> None:
    """Let a run read the facts that another one wrote for the same date."""
    if source.facts_version is not None:
        record_facts(
            settings,
            run.run_id,
            archive_version=source.archive_version,
            facts_version=source.facts_version,
            cut=source.cut or {},
            archived=source.archived,
        )


def _one(settings: Settings, query: str, values: dict[str, Any]) -> Run | None:
    with database.connect(settings, database.BATCH) as connection:
        row = connection.execute(getattr(database.queries("batch"), query), values).fetchone()
    if row is None:
        return None
    run_id, business_date, kind, archive_version, facts_version, cut, archived = row
    offsets = None if cut is None else {int(partition): offset for partition, offset in cut.items()}
    return Run(run_id, business_date, kind, archive_version, facts_version, offsets, archived)
