"""rebuild: the speed layer's state once more from the log, beside the live one, compared with it and swapped for it.

The log is read by the same session as always, into a database of its own, so that nothing of the live state is touched
before the swap, and whatever the operators write is rebuilt without another line. The whole log is read, because what
is known of a customer goes back to the first order; the date says what is compared and swapped. The swap is one
transaction: workers wait for it, are fenced by it, and begin anew from what it brought.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from itertools import islice
from typing import Any

import psycopg
from psycopg import sql

from stream import finals, recount, sink, still_there
from stream.rebuild_compare import Difference, differences
from stream.rebuild_log import Log, lows
from stream.rebuild_tables import REBUILT, UNCUT
from stream.session import Session
from stream.stats import StatsState
from stream.tables import JOURNAL
from stream.types import Position, Rules
from tandem import clock, database, kafka_client, topic_ids
from tandem.amounts import count
from tandem.compacted import refuse_compacted
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.topics import CORRECTIONS, ORDER_EVENTS

_SHOWN = 1_000
"""More differences are counted, not kept."""
_UTC = "-c TimeZone=UTC"
_queries = database.queries("rebuild", tables=REBUILT)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Rebuild:
    """What came of it. ``counts``: differences by table; ``shown``: the first of them.

    ``expired``: dates of whose journal retention took anything, which is not compared; a swap brings it back.
    ``not_kept``: measures that were declared later, and that the live state lacks of these dates; a swap fills them.
    ``reopened``: from where on hours are final that by the log are not, as under a longer watermark delay, whatever the
    dates; a swap opens them.
    """

    since: date
    events: int
    counts: dict[str, int]
    shown: list[Difference]
    swapped: bool
    expired: list[date]
    not_kept: list[str]
    reopened: datetime | None

    def document(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "from": str(self.since),
            "events": self.events,
            "equal": not self.counts,
            "swapped": self.swapped,
            "journal_expired": [str(day) for day in self.expired],
            "not_kept": self.not_kept,
            "reopened": self.reopened,
            "tables": self.counts,
            "differences": [difference.document() for difference in self.shown],
        }


def rebuild(settings: Settings, since: date, *, swap: bool, say: Say) -> Rebuild:
    """Rebuild, compare and, where ``swap``, put the tables that differ in place of the live ones.

    ``say`` is told what is being done. Raises TandemError where the log is not whole, or another rebuild is at work.
    """
    start, _ = clock.day_bounds(since, settings.zone)
    scope = {"since_date": since, "since_time": start}
    shadow_settings = settings.model_copy(update={"postgres_database": f"{settings.postgres_database}_rebuild"})
    with (
        _connect(settings, database.SPEED) as live,
        _alone(live),
        _same_log(settings, live) as topics,
        _database(settings, shadow_settings),
        _connect(shadow_settings, database.OWNER) as shadow,
    ):
        shadow.execute(_queries.make_room)
        topic_ids.note(shadow, topics)
        say("noting the live state")
        noted = _note(settings, live, shadow, scope)
        starts, cut = noted.starts, noted.cut
        if swap:
            _require_corrections(live, {at: first for at, first in starts.items() if at[0] == CORRECTIONS})
        with _session(shadow_settings, starts) as reading:
            say(f"reading {count(sum(cut[at] - starts[at] for at in starts), 'offset')} again")
            reading.up_to(cut, say)
            say("comparing")
            found = [*differences(shadow, scope, noted.journal_begins), *recount.differences(live, since)]
            counts = dict(sorted(Counter(difference.table for difference in found).items()))
            _, closed_before = _final_before(shadow)
            reopened = closed_before if closed_before < noted.closed_before else None
            swapped = swap and bool(counts or noted.expired or noted.not_kept or reopened)
            if swapped:
                more = {
                    "what retention took of the journal": noted.expired,
                    "what was declared later": noted.not_kept,
                    "which hours are final": reopened,
                }
                say(f"swapping {', '.join([*counts, *(said for said, found in more.items() if found)])}")
                _swap(live, shadow, reading, counts.keys() | ({JOURNAL.name} if noted.expired else set()), scope)
                _tell_of_corrections(live, set(counts), scope, say)
            events = reading.stats.events
    return Rebuild(since, events, counts, list(islice(found, _SHOWN)), swapped, noted.expired, noted.not_kept, reopened)


def _tell_of_corrections(live: psycopg.Connection[Any], swapped: set[str], scope: dict[str, Any], say: Say) -> None:
    """A correction was made of the figures before: only a comparison at a new cut tells what is left."""
    corrected = [str(day) for (day,) in live.execute(_queries.corrected_dates, scope)]
    if corrected and swapped - set(UNCUT):
        shown = ", ".join(corrected[:5]) + (f" and {len(corrected) - 5} more" if len(corrected) > 5 else "")
        say(f"corrections made before still stand on {shown}: run these dates again, and reconcile them")


@contextmanager
def _alone(live: psycopg.Connection[Any]) -> Iterator[None]:
    row = live.execute(_queries.alone).fetchone()
    if row is None or not row[0]:
        raise TandemError("another rebuild is at work", "wait for it to end")
    yield


@contextmanager
def _same_log(settings: Settings, live: psycopg.Connection[Any]) -> Iterator[dict[str, int]]:
    """The ids of the topics that the live state was made of. Raises TandemError where they are others by now."""
    admin = kafka_client.admin(settings)
    refuse_compacted(settings, admin)
    found = topic_ids.ids(settings, admin, [ORDER_EVENTS, CORRECTIONS])
    topic_ids.note(live, found)
    last = sink.last_records(live)
    group = settings.consumer_group
    still_there.require(settings, admin, last, partial(lows, settings), group=group)
    yield found


def _connect(settings: Settings, role: str) -> psycopg.Connection[Any]:
    return database.connect(settings, role, autocommit=True, options=_UTC)


@contextmanager
def _database(settings: Settings, shadow: Settings) -> Iterator[None]:
    """A database as new, which ends with the rebuild; what a killed one left is dropped first."""
    name, owner = sql.Identifier(shadow.postgres_database), _connect(settings, database.OWNER)
    readers = sql.SQL(", ").join(map(sql.Identifier, (database.SPEED, database.READER)))
    drop = sql.SQL("DROP DATABASE IF EXISTS {}").format(name)
    with owner:
        try:
            owner.execute(drop)
            owner.execute(sql.SQL("CREATE DATABASE {}").format(name))
        except psycopg.errors.InsufficientPrivilege as error:
            advice = f"let it: ALTER ROLE {database.OWNER} CREATEDB, or run 'tandem up' where the server is local"
            raise TandemError(f"{database.OWNER} may not create databases", advice) from error
        try:
            owner.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
            owner.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, readers))
            database.migrate(shadow)
            yield
        finally:
            owner.execute(drop)


@dataclass(frozen=True, slots=True)
class _Noted:
    """Of the live state at one moment: where its log begins and where it had got to, and what it has of the journal.

    ``journal_begins``: by partition of ``order-events``; ``expired``: dates in scope of which retention took some;
    ``not_kept``: measures that it lacks of dates in scope; ``closed_before``: hours that began before it are final.
    """

    starts: dict[Position, int]
    cut: dict[Position, int]
    journal_begins: dict[int, int]
    expired: list[date]
    not_kept: list[str]
    closed_before: datetime


def _note(
    settings: Settings, live: psycopg.Connection[Any], shadow: psycopg.Connection[Any], scope: dict[str, Any]
) -> _Noted:
    """Copy the live state of one moment."""
    with live.transaction():
        live.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        places = live.execute(_queries.starts).fetchall()
        kept = dict(live.execute(_queries.kept).fetchall())
        expired = [day for (day,) in live.execute(_queries.expired, scope)]
        not_kept = [measure for (measure,) in live.execute(_queries.not_kept, scope)]
        _, closed_before = _final_before(live)
        for table in (*(table.name for table in REBUILT), *UNCUT):
            _copy(live, getattr(_queries, f"take_{table}"), shadow, getattr(_queries, f"note_{table}"), scope)
        _copy(live, _queries.take_marks, shadow, _queries.put_marks, scope)
    if not places:
        raise TandemError("the speed layer has read nothing yet", "start a worker: tandem stream")
    begun = {(topic, partition): first for topic, partition, first, _ in places}
    corrections = lows(settings, [position for position in begun if position[0] == CORRECTIONS])
    cut = {(topic, partition): next_offset for topic, partition, _, next_offset in places}
    journal_begins = {partition: kept.get(partition, 0) for topic, partition in cut if topic == ORDER_EVENTS}
    return _Noted(begun | corrections, cut, journal_begins, expired, not_kept, closed_before)


def _final_before(connection: psycopg.Connection[Any]) -> tuple[datetime, datetime]:
    row = connection.execute(_queries.final_before).fetchone()
    assert row is not None  # noqa: S101 - an aggregate returns its row
    up_to, closed_before = row
    return up_to, closed_before


def _require_corrections(live: psycopg.Connection[Any], lows_of: dict[Position, int]) -> None:
    """Raises TandemError where Kafka no longer has a correction that was booked: a swap would take it back."""
    where = {"partitions": [partition for _, partition in lows_of], "lows": list(lows_of.values())}
    if row := live.execute(_queries.booked_below, where).fetchone():
        partition, offset = row
        raise TandemError(
            f"Kafka no longer has the correction at offset {offset} of {CORRECTIONS} partition {partition}",
            "a rebuild needs the whole log; see 'Rebuild the speed layer' in docs/operations.md",
        )


def _copy(
    source: psycopg.Connection[Any], take: str, target: psycopg.Connection[Any], put: str, scope: dict[str, Any]
) -> None:
    # COPY takes no bound parameters: the client's cursor writes them as literals.
    text = psycopg.ClientCursor(source).mogrify(take, scope)
    with source.cursor().copy(text) as reading, target.cursor().copy(put) as writing:
        for block in reading:
            writing.write(block)


class _Reading:
    """A session that reads the log into the rebuild's database."""

    def __init__(self, settings: Settings, starts: dict[Position, int]) -> None:
        self.stats = StatsState()
        self._rules = Rules.of(settings)
        self._settings = settings

        def source(of: Settings, granted: Any, _taken: Any) -> Log:
            self._log = Log(of, starts, granted)
            return self._log

        self.session = Session(settings, "rebuild", self.stats, source, sends=False)

    def up_to(self, ends: dict[Position, int], say: Say) -> None:
        """Read to these offsets, and make final what is."""
        self._log.extend(ends)
        while not self._log.is_done or self.session.is_ahead:
            self.session.step()
            if self.stats.micro_batches % 100 == 0:
                say(f"{count(sum(self._log.lags().values()), 'offset')} to go")
        with _connect(self._settings, database.SPEED) as shadow, shadow.transaction():
            finals.close_hours(shadow, self._rules)


@contextmanager
def _session(settings: Settings, starts: dict[Position, int]) -> Iterator[_Reading]:
    reading = _Reading(settings, starts)
    try:
        yield reading
    finally:
        reading.session.close()


def _swap(
    live: psycopg.Connection[Any],
    shadow: psycopg.Connection[Any],
    reading: _Reading,
    tables: set[str],
    scope: dict[str, Any],
) -> None:
    with live.transaction():
        live.execute(sink.queries.settling)
        # Before partitions are locked, as where one is claimed.
        is_filled = live.execute(_queries.note_kept, scope).rowcount > 0
        held = live.execute(_queries.hold_live).fetchall()
        # All goes out to the state topics once more, and what that is, the whole journal says.
        if live.execute(_queries.has_expired).fetchone() == (True,):
            tables = tables | {JOURNAL.name}
        # Hours may have become final by a clock since the reading began; final is final.
        shadow.execute(_queries.clear_marks)
        _copy(live, _queries.take_marks, shadow, _queries.put_marks, scope)
        reading.session.hear_of_marks()
        reading.up_to({(topic, partition): next_offset for topic, partition, next_offset in held}, lambda _: None)
        writer = psycopg.ClientCursor(live)
        packed = {table.name for table in REBUILT if table.is_packed}
        for table in sorted(tables - set(recount.TABLES)):
            writer.execute(getattr(_queries, f"clear_{table}"), scope)
            if table in packed:
                writer.execute(getattr(_queries, f"clear_pending_{table}"), scope)
            if table in UNCUT:
                _copy(shadow, getattr(_queries, f"take_{table}"), live, getattr(_queries, f"put_{table}"), scope)
                continue
            live.execute(getattr(_queries, f"expect_{table}"))
            _copy(shadow, getattr(_queries, f"take_{table}"), live, getattr(_queries, f"receive_{table}"), scope)
            live.execute(getattr(_queries, f"put_{table}"))
        if tables & set(recount.TABLES):
            recount.count_again(live, scope["since_date"])
        for topic, partition, watermark in shadow.execute(_queries.take_watermarks).fetchall():
            live.execute(_queries.put_watermark, {"topic": topic, "partition": partition, "watermark": watermark})
        # The live state may have closed more, as by a shorter delay: those final rows would never be written again.
        up_to, closed_before = _final_before(shadow)
        writer.execute(_queries.reopen, {"up_to": up_to, "closed_before": closed_before})
        if JOURNAL.name in tables:
            live.execute(_queries.forget_expiry)
        if tables - set(UNCUT) or is_filled:
            live.execute(_queries.note_swap, scope)
        live.execute(_queries.send_all_again)
        live.execute(_queries.fence)
