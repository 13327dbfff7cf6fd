"""segments: the journal's segments of many small micro-batches become one (tandem.journal).

Under load a segment holds a thousand records and more. A shop of a hundred orders a second gets micro-batches of a few,
each with a segment per partition: millions a day, and reading one costs the same however little is in it. So whoever
takes a partition over, or reconciles a date, would wait for minutes. Records, their order and what was decided for them
stay as they are; readers ask for places, never for segments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, groupby, pairwise
from operator import itemgetter
from typing import Any

import psycopg

from stream.types import Position
from tandem import database, journal

SMALL = 1_000
"""What holds fewer records is merged until it holds as many; the index and the query ``small`` state it too."""
MANY = 32
"""Small ones that follow each other are merged once there are so many: a record is then written a few times in all."""
_AT_ONCE = 1_000
"""So many of a partition are looked at in one go."""
_queries = database.queries("segments")


@dataclass(frozen=True, slots=True)
class Stretch:
    """Offsets from ``first_offset`` up to ``next_offset`` of a partition, decided in one epoch by one rule version."""

    topic: str
    partition: int
    first_offset: int
    next_offset: int
    events: int
    epoch: int
    rule_version: str

    @property
    def position(self) -> Position:
        """The partition."""
        return (self.topic, self.partition)

    def goes_on_in(self, other: Stretch) -> bool:
        """Whether the other one begins where this one ends, and was decided alike."""
        return (*self.position, self.next_offset, self.epoch, self.rule_version) == (
            *other.position,
            other.first_offset,
            other.epoch,
            other.rule_version,
        )


def runs(small: Sequence[Stretch]) -> list[list[Stretch]]:
    """Those that go on in each other, in their order."""
    breaks = [not one.goes_on_in(other) for one, other in pairwise(small)]
    numbered = zip(small, accumulate([0, *breaks]), strict=False)
    return [[stretch for stretch, _ in run] for _, run in groupby(numbered, itemgetter(1))]


def mergeable(run: Sequence[Stretch]) -> Iterator[list[Stretch]]:
    """The parts of a run to merge, each into one: at least SMALL records each, or the last MANY stretches or more."""
    part: list[Stretch] = []
    events = 0
    for stretch in run:
        part.append(stretch)
        events += stretch.events
        if events >= SMALL:
            yield part
            part, events = [], 0
    if len(part) >= MANY:
        yield part


class Merging:
    """Merges what has become many. ``_since``: by partition, before which offset nothing is left to merge."""

    def __init__(self) -> None:
        self._since: dict[Position, int] = {}

    def run(self, connection: psycopg.Connection[Any]) -> int:
        """Merge what is to be merged, within the caller's transaction; returns how many segments there are less.

        The caller sees to it that nobody else does so, nor swaps the journal for another.
        """
        parameters = {
            "topics": [topic for topic, _ in self._since],
            "partitions": [partition for _, partition in self._since],
            "offsets": [*self._since.values()],
            "at_once": _AT_ONCE,
        }
        small = [Stretch(*row) for row in connection.execute(_queries.small, parameters).fetchall()]
        less = 0
        for run in runs(small):
            parts = list(mergeable(run))
            less += sum(merge(connection, part) for part in parts)
            # A run may go on, and the rest of it, merged or not, is its beginning then.
            done = [part for part in parts if sum(stretch.events for stretch in part) >= SMALL]
            self._since[run[0].position] = done[-1][-1].next_offset if done else run[0].first_offset
        return less


def merge(connection: psycopg.Connection[Any], part: Sequence[Stretch]) -> int:
    """Make one segment of those that these stretches are; returns how many there are less.

    None where they are not these any more.
    """
    place = asdict(part[0]) | {"next_offset": part[-1].next_offset}
    found = connection.execute(_queries.contents, place).fetchall()
    if [(first, after) for first, after, _ in found] != [(of.first_offset, of.next_offset) for of in part]:
        return 0
    rows = journal.decode_each((segment for *_, segment in found), part[0].partition)
    content = journal.encode(rows.select(journal.SCHEMA.names).to_arrow()) if rows.height else b""
    connection.execute(_queries.merge, place | {"segment": content})
    return len(part) - 1
