"""patterns: counted events, in the order of the log → the occurrences of the declared patterns (``tandem.patterns``).

A partition remembers the events that can still decide about later ones, per customer; what is older than a pattern's
reach behind the allowed lateness is forgotten, at whatever moment, without a difference to any answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache

import numpy as np
import polars as pl

from stream import before
from stream.before import Flags
from stream.places import gather, runs
from stream.types import MICROSECOND
from tandem.events import EventType
from tandem.patterns import Fires, Pattern

Types = tuple[EventType, ...]
"""Which events a pattern looks at. Patterns of the same types share what is remembered."""

_KIND = pl.Enum([str(kind) for kind in EventType])
HISTORY = pl.DataFrame(
    schema={
        "partition": pl.Int32,
        "customer_id": pl.String,
        "offset": pl.Int64,
        "event_type": _KIND,
        "time_us": pl.Int64,
        "cents": pl.Int64,
        "hash": pl.UInt64,
        "clock_us": pl.Int64,
    }
)
"""What is remembered, by offset. ``hash``: of the customer, to find them quickly; ``clock_us``: the customer's then."""

TOTALS = pl.DataFrame(
    schema={"partition": pl.Int32, "customer_id": pl.String, "order_count": pl.Int64, "revenue_cents": pl.Int64}
)
"""A customer's created orders, of all time."""

FOUND = pl.DataFrame(schema={"partition": pl.Int32, "offset": pl.Int64, "facts": pl.String})
"""Occurrences of a pattern: the event that completes it, and as JSON what its condition looked at."""

_BACK = re.compile(r"^(cents|event_type)_([1-9][0-9]*)$")
_WINDOW = {"earlier_count": pl.Int64(), "earlier_cents": pl.Int64(), "z_score": pl.Float64()}
_ALL_TIME = {"all_earlier_count", "all_earlier_cents"}
_SMALLEST_SWEEP = 10_000


@dataclass(slots=True)
class PatternState:
    """What a partition remembers: events by the types that are looked at together, in the order of the log."""

    history: dict[Types, pl.DataFrame] = field(default_factory=dict)
    added: int = 0

    def of(self, types: Types) -> pl.DataFrame:
        """The remembered events of these types."""
        return self.history.get(types, HISTORY)

    def remember(self, types: Types, rows: pl.DataFrame) -> None:
        """Add the next events, in the form of HISTORY."""
        self.history[types] = pl.concat([self.of(types), rows])
        self.added += rows.height

    def forget(self, before_us: dict[Types, int]) -> None:
        """Drop what no later event can reach: whose customer's clock was not past these times, by types.

        Whole beginnings of a customer's history go, never the middle of it. Sweeping costs as much as there is, so it
        waits until there is half as much again.
        """
        if self.added < max(_SMALLEST_SWEEP, sum(rows.height for rows in self.history.values()) // 2):
            return
        self.history = {
            types: rows.filter(pl.col("clock_us") > before_us[types]).rechunk() for types, rows in self.history.items()
        }
        self.added = 0


def reach(patterns: Iterable[Pattern], types: Types) -> timedelta:
    """How far behind an event those lie that can matter to it."""
    return max(pattern.reach for pattern in patterns if pattern.of == types)


def of_types(events: pl.DataFrame, types: Types) -> pl.DataFrame:
    """Counted events of these types as HISTORY, but for the clock. ``events``: as journalled, or as decided."""
    return events.filter(pl.col("event_type").is_in(list(types))).select(
        "partition",
        "customer_id",
        "offset",
        pl.col("event_type").cast(_KIND),
        pl.col("event_time").dt.epoch("us").alias("time_us"),
        "cents",
        pl.col("customer_id").hash().alias("hash"),
    )


def find(
    patterns: Sequence[Pattern], events: pl.DataFrame, states: Mapping[int, PatternState], totals: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """Occurrences among the next counted events, as FOUND by the pattern's name; the states remember the events.

    ``events``: by partition and offset, with ``cents``. ``totals``: TOTALS of their customers before them, without
    those who have none.
    """
    found: dict[str, pl.DataFrame] = {}
    for types, rows in _next(patterns, events, states):
        found |= _occurrences([pattern for pattern in patterns if pattern.of == types], rows, totals)
    return found


def recall(patterns: Sequence[Pattern], events: pl.DataFrame, states: Mapping[int, PatternState]) -> None:
    """Let the states remember events that were looked at before; see ``find``."""
    for _ in _next(patterns, events, states):
        pass


def _next(
    patterns: Sequence[Pattern], events: pl.DataFrame, states: Mapping[int, PatternState]
) -> Iterator[tuple[Types, pl.DataFrame]]:
    """The rows of ``_in_order`` by the types that are looked at together; the states remember the new ones."""
    for types in dict.fromkeys(pattern.of for pattern in patterns):
        new = of_types(events, types)
        if new.height:
            own = runs(new["partition"])
            rows = _in_order(new, [states[number].of(types) for number, _, _ in own])
            clock_us = np.empty(new.height, np.int64)
            is_new = rows["is_new"].to_numpy()
            clock_us[rows["place"].to_numpy()[is_new]] = rows["clock_us"].to_numpy()[is_new]
            new = new.with_columns(pl.Series("clock_us", clock_us))
            for number, start, end in own:
                states[number].remember(types, new[start:end])
            yield types, rows


def _in_order(new: pl.DataFrame, histories: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The new events and what is remembered of their customers: by customer in the order of the log, with ``group``.

    ``is_new``, and ``place``: of a new one, where it stands among the new.
    """
    wanted = pl.col("hash").is_in(new["hash"].unique().implode())
    known = pl.concat(histories, rechunk=False).filter(wanted)
    rows = pl.concat(
        [
            known.select(*new.columns, pl.lit(0, pl.Int64).alias("place"), pl.lit(value=False).alias("is_new")),
            new.select(*new.columns, pl.int_range(pl.len()).alias("place"), pl.lit(value=True).alias("is_new")),
        ]
    ).sort("hash", "partition", "customer_id", "offset")
    group = rows.select(pl.struct("partition", "customer_id").rle_id().cast(pl.Int64).alias("group")).to_series()
    clock = before.clock(group.to_numpy(), rows["time_us"].to_numpy())
    return rows.hstack([group, pl.Series("clock_us", clock)])


def _occurrences(patterns: Iterable[Pattern], rows: pl.DataFrame, totals: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Of most customers a single event is remembered, before which nothing came: those need no looking back."""
    groups = before.Groups.of(rows["group"].to_numpy())
    alone, is_new = groups.end - groups.first == 1, rows["is_new"].to_numpy()
    followed, single = (gather(rows, np.flatnonzero(of)) for of in (~alone, alone & is_new))
    groups = before.Groups.of(followed["group"].to_numpy())
    found = {}
    for pattern in patterns:
        hits = [_after_others(pattern, followed, groups, totals)] if followed.height else []
        hits += [_alone(pattern, single, totals)] if single.height and pattern.rows == 1 else []
        found[pattern.name] = pl.concat([FOUND, *hits])
    return found


def _after_others(pattern: Pattern, rows: pl.DataFrame, groups: before.Groups, totals: pl.DataFrame) -> pl.DataFrame:
    condition, names = _condition(pattern)
    seen = rows.with_columns(_before(pattern, names, rows, groups, totals))
    fires = _fires(pattern, _holds(condition, seen), rows, groups)
    return _hits(seen, fires & rows["is_new"].to_numpy(), names)


def _alone(pattern: Pattern, rows: pl.DataFrame, totals: pl.DataFrame) -> pl.DataFrame:
    """As ``_after_others`` of events with none of their customer before them; the pattern needs none."""
    condition, names = _condition(pattern)
    nothing = [
        # A window without length holds nothing, its own event neither.
        pl.lit(0 if column != "z_score" and pattern.window else None, kind).alias(column)
        for column, kind in _WINDOW.items()
        if column in names
    ]
    groups = before.Groups.of(np.arange(rows.height))
    earlier = _all_earlier(rows, groups, totals).get_columns() if _ALL_TIME & names else []
    seen = rows.with_columns(*nothing, *earlier)
    return _hits(seen, _holds(condition, seen), names)


def _holds(condition: pl.Expr, rows: pl.DataFrame) -> Flags:
    holds: Flags = rows.select(condition.fill_null(value=False)).to_series().to_numpy()
    return holds


def _hits(rows: pl.DataFrame, fires: Flags, names: Iterable[str]) -> pl.DataFrame:
    """The rows at which it fires, as FOUND."""
    hits = np.flatnonzero(fires)
    return gather(rows, hits).select(*FOUND.columns[:-1], _facts(names)) if len(hits) else FOUND


def _facts(names: Iterable[str]) -> pl.Expr:
    return pl.struct(sorted(names)).struct.json_encode().alias("facts")


@cache
def _condition(pattern: Pattern) -> tuple[pl.Expr, frozenset[str]]:
    condition = pl.sql_expr(pattern.condition)
    return condition, frozenset({"cents", *condition.meta.root_names()})


def _before(
    pattern: Pattern, names: Collection[str], rows: pl.DataFrame, groups: before.Groups, totals: pl.DataFrame
) -> list[pl.Expr | pl.Series]:
    """The columns that the condition names and the rows do not have yet."""
    columns: list[pl.Expr | pl.Series] = [
        before.back(of, groups, int(count)).alias(name)
        for name in names
        if (match := _BACK.match(name))
        for of, count in [match.groups()]
    ]
    if _WINDOW.keys() & names:
        columns += before.window(rows, groups, pattern.window // MICROSECOND, names)
    if _ALL_TIME & set(names):
        columns += _all_earlier(rows, groups, totals).get_columns()
    return columns


def _all_earlier(rows: pl.DataFrame, groups: before.Groups, totals: pl.DataFrame) -> pl.DataFrame:
    base = rows.select("partition", "customer_id").join(
        totals, on=["partition", "customer_id"], how="left", maintain_order="left"
    )
    new = rows["is_new"].to_numpy().astype(np.int64)
    orders = before.earlier_of_group(new, groups)
    cents = before.earlier_of_group(rows["cents"].fill_null(0).to_numpy() * new, groups)
    return base.select(
        (pl.col("order_count").fill_null(0) + pl.lit(pl.Series(orders))).cast(pl.Int128).alias("all_earlier_count"),
        (pl.col("revenue_cents").fill_null(0) + pl.lit(pl.Series(cents))).cast(pl.Int128).alias("all_earlier_cents"),
    )


def _fires(pattern: Pattern, holds: Flags, rows: pl.DataFrame, groups: before.Groups) -> Flags:
    window_us = pattern.window // MICROSECOND
    times, clock = rows["time_us"].to_numpy(), rows["clock_us"].to_numpy()
    holds = holds & before.within(times, groups, pattern.rows, window_us)
    if pattern.fires is Fires.EACH:
        return holds
    held = np.concatenate([np.zeros(1, np.bool_), holds[:-1]]) & groups.reach_back(1)
    in_reach = np.diff(clock, prepend=clock[0]) < window_us
    return holds & ~(held & in_reach)
