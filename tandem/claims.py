"""Claims: two runs never work on the same business date at once, whether Airflow or a command started them.

A claim of an Airflow run outlives its tasks' processes and is released by the run's last task; one that a broken run
left is taken over once Airflow says that the run is over. A claim of a command ends with its database session, so a
killed command leaves none.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from tandem import database
from tandem.errors import TandemError

if TYPE_CHECKING:
    import psycopg

    from tandem.settings import Settings


@dataclass(frozen=True, slots=True)
class Claim:
    """Who works on a date, and since when."""

    business_date: date
    holder: str
    claimed_at: datetime

    def __str__(self) -> str:
        since = f"{self.claimed_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return f"{self.business_date} is being worked on by {self.holder} since {since}"


def airflow_holder(dag_id: str, run_id: str) -> str:
    """The holder's name of an Airflow run."""
    return f"airflow:{dag_id}:{run_id}"


def airflow_run(holder: str) -> tuple[str, str] | None:
    """DAG and run of a holder that is an Airflow run, else None."""
    kind, _, rest = holder.partition(":")
    dag_id, _, run_id = rest.partition(":")
    return (dag_id, run_id) if kind == "airflow" else None


def take(
    connection: psycopg.Connection[Any],
    dates: Sequence[date],
    holder: str,
    *,
    is_over: Callable[[str], bool] = lambda _: False,
    bound_to_session: bool = False,
) -> list[Claim]:
    """Claim all ``dates`` or none; returns what stands in the way, nothing where the dates are now ours.

    A holder may claim again what it has. ``is_over`` says whether another holder is done for and may be passed over.
    """
    named = database.queries("orchestration")
    values = {"dates": list(dates), "holder": holder, "bound_to_session": bound_to_session}
    with connection.transaction():
        connection.execute(named.lock_claims)
        others = [claim for claim in present(connection) if claim.business_date in dates and claim.holder != holder]
        standing = [claim for claim in others if not is_over(claim.holder)]
        if not standing:
            connection.execute(named.claim, values)
    return standing


def release(connection: psycopg.Connection[Any], holder: str) -> None:
    """Give up every claim of ``holder``."""
    with connection.transaction():
        connection.execute(database.queries("orchestration").release, {"holder": holder})


def present(connection: psycopg.Connection[Any]) -> list[Claim]:
    """Every claim that stands. Those of commands that were killed are given up first."""
    named = database.queries("orchestration")
    connection.execute(named.release_of_killed)
    return [Claim(*row) for row in connection.execute(named.all_claims).fetchall()]


def require_none(connection: psycopg.Connection[Any]) -> None:
    """Raises TandemError where a run works on any date. None begins until the connection's transaction ends."""
    connection.execute(database.queries("orchestration").lock_claims)
    if standing := present(connection):
        raise TandemError(str(standing[0]), "wait until no run is at work: see 'tandem claims'")


@contextmanager
def held(settings: Settings, dates: Sequence[date]) -> Iterator[None]:
    """Hold ``dates`` for the time of a command. Raises TandemError where another run works on one of them."""
    holder = f"command:{socket.gethostname()}:{os.getpid()}"
    with database.connect(settings, database.BATCH, autocommit=True) as connection:
        if standing := take(connection, dates, holder, bound_to_session=True):
            raise TandemError(str(standing[0]), "wait until it has finished, or stop it")
        try:
            yield
        finally:
            release(connection, holder)
