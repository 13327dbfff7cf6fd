"""sessions: a customer's orders that follow each other within the gap (capability S7).

Two orders of a customer belong to one session where less than GAP lies between them, directly or over others. So the
sessions are a property of the set of orders, and neither their order nor the cuts matter: a late order may lengthen a
session at either end, or make one of two.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import psycopg
import pyarrow as pa

from stream import held
from stream.dedupe import NO_WATERMARK
from stream.held import KEY, HeldState
from stream.operators import Batch, Emitted, Reader
from stream.tables import Expiry, Merge, Table, Write, merging
from stream.types import EPOCH, MICROSECOND, Rules
from tandem import database
from tandem.events import EventType

GAP = timedelta(minutes=30)

_UTC = pl.Datetime("us", "UTC")
_KEYS = (*KEY, "session_start")
_VALUES = ("session_end", "order_count", "revenue_cents", "max_order_cents", "categories")
SESSIONS = Table("sessions", _KEYS, merging(Merge.REPLACE, *_VALUES), expiry=Expiry("session_end", "session_retention"))
REPLACED = Table("sessions", _KEYS, write=Write.DELETE)
"""Sessions that begin earlier now, or are part of another."""

_ROWS = pl.DataFrame(
    schema={
        "partition": pl.Int32(),
        "customer_id": pl.String(),
        "session_start": _UTC,
        "session_end": _UTC,
        "order_count": pl.Int64(),
        "revenue_cents": pl.Int64(),
        "max_order_cents": pl.Int64(),
        "categories": pl.List(pl.String()),
        "time_us": pl.Int64(),
    }
)
"""What is held of a session; ``time_us`` is its end."""


class SessionsState(HeldState):
    """Sessions that may still change. ``watermark_us``: of the partition after the last micro-batch."""

    __slots__ = ("watermark_us",)

    def __init__(self, watermark_us: int, elsewhere_us: int) -> None:
        super().__init__(_ROWS, elsewhere_us)
        self.watermark_us = watermark_us


class Sessions:
    """The operator. Cancellations, amendments and payments do not make or change a session."""

    name = "sessions"
    tables = (REPLACED, SESSIONS)

    def empty(self) -> SessionsState:
        """No session."""
        return SessionsState(NO_WATERMARK, held.NOWHERE)

    def restore(
        self, reader: psycopg.Connection[Any], partition: int, watermark: datetime, rules: Rules
    ) -> SessionsState:
        """Nothing is read now: what a customer left open is looked up when they order again."""
        watermark_us = (watermark - EPOCH) // MICROSECOND
        return SessionsState(watermark_us, watermark_us)

    def fold(self, batch: Batch, states: Mapping[int, SessionsState], rules: Rules) -> Emitted:
        """The sessions that the orders of the micro-batch made or changed, and those that are no more."""
        orders = batch.events.filter(pl.col("event_type") == EventType.ORDER_CREATED)
        # An order is at most this far behind the watermark, so a session that ended by then stays as it is.
        reach_us = (rules.allowed_lateness + GAP) // MICROSECOND
        since_us = {partition: state.watermark_us - reach_us for partition, state in states.items()}
        keys = orders.select(KEY).unique()
        before = held.recall(states, keys, since_us, lambda unknown: _look_up(batch.reader, unknown, rules))
        after = _merge(before, orders, batch.lines)
        held.remember(states, after.drop("changed"), since_us)
        for partition, state in states.items():
            state.watermark_us = batch.watermarks_us[partition]
        gone = before.join(after, on=_KEYS, how="anti")
        return Emitted({REPLACED: gone.select(_KEYS), SESSIONS: after.filter("changed")})


def _merge(before: pl.DataFrame, orders: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Sessions of these customers, as _ROWS, from those held and the new orders, and which of them ``changed``."""
    pieces = pl.concat([before.select(pl.all().exclude("categories", "time_us")), _alone(orders)]).with_row_index(
        "piece"
    )
    placed = pieces.sort(*KEY, "session_start").with_columns(_begins(before.height).cum_sum().alias("session"))
    merged = placed.group_by("session", maintain_order=True).agg(
        pl.col(KEY).first(),
        pl.col("session_start").first(),
        pl.col("session_end").max(),
        pl.col("order_count", "revenue_cents").sum(),
        pl.col("max_order_cents").max(),
        (pl.col("piece").max() >= before.height).alias("changed"),
    )
    categories = _categories(before, orders, lines, placed.sort("piece")["session"], merged["session"])
    return merged.with_columns(categories).select(
        *(name for name in _ROWS.columns if name != "time_us"),
        pl.col("session_end").dt.epoch("us").alias("time_us"),
        "changed",
    )


def _alone(orders: pl.DataFrame) -> pl.DataFrame:
    """Every order as a session of its own."""
    return orders.select(
        *KEY,
        pl.col("event_time").alias("session_start"),
        pl.col("event_time").alias("session_end"),
        pl.lit(1, pl.Int64).alias("order_count"),
        pl.col("total_cents").alias("revenue_cents"),
        pl.col("total_cents").alias("max_order_cents"),
    )


def _begins(held_pieces: int) -> pl.Expr:
    """Whether a piece begins a session; pieces by customer and start, the held ones numbered below ``held_pieces``.

    The latest end of all pieces before: that of the piece right before, or of the last one held. An order ends where it
    begins, and held sessions do not overlap.
    """
    end = pl.col("session_end")
    is_held = pl.col("piece") < held_pieces
    of_same = pl.all_horizontal(pl.col(name) == pl.col(name).shift() for name in KEY)
    held_of_same = pl.all_horizontal(pl.col(name) == pl.when(is_held).then(name).forward_fill().shift() for name in KEY)
    reached = pl.max_horizontal(
        pl.when(of_same).then(end.shift()),
        pl.when(held_of_same).then(pl.when(is_held).then(end).forward_fill().shift()),
    )
    return reached.is_null() | (pl.col("session_start") - reached >= GAP)


def _categories(
    before: pl.DataFrame, orders: pl.DataFrame, lines: pl.DataFrame, session: pl.Series, sessions: pl.Series
) -> pl.Series:
    """The distinct categories of each of ``sessions``, sorted. ``session``: of each piece, those held first."""
    rows = orders["row"].to_numpy()
    of_row = np.zeros(rows.max(initial=0) + 1, np.int64)
    of_row[rows] = session.tail(orders.height).to_numpy()
    bought = lines.filter(pl.col("event_type") == EventType.ORDER_CREATED)
    known = before["categories"].explode(empty_as_null=False)
    of_known = np.repeat(session.head(before.height).to_numpy(), before["categories"].list.len().to_numpy())
    names = pl.concat([known, bought["category"]]).to_arrow().dictionary_encode()
    alphabet = pl.Series("categories", names.dictionary, pl.String)
    # A pair of session and category as one number, so that distinct and sorted cost one sort of numbers.
    place = alphabet.rank("ordinal").to_numpy().astype(np.int64) - 1
    of_pair = np.concatenate([of_known, of_row[bought["row"].to_numpy()]]).astype(np.int64)
    pairs = pl.Series(of_pair * len(alphabet) + place[pl.Series(names.indices).to_numpy()]).unique().sort()
    owner, category = np.divmod(pairs.to_numpy(), max(len(alphabet), 1))
    ends = np.append(np.searchsorted(owner, sessions.to_numpy()), len(owner))
    texts = alphabet.sort().gather(category).to_arrow()
    # Of numpy's numbers, pyarrow asks pandas what they are: to load it takes a second of a worker that takes over.
    places = pl.Series(ends, dtype=pl.Int64).to_arrow()
    return pl.Series("categories", pa.LargeListArray.from_arrays(places, texts), pl.List(pl.String))


def _look_up(reader: Reader | None, keys: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """The last sessions of customers, as many as can be open at once."""
    assert reader is not None  # noqa: S101 - see Batch
    parameters = {
        "partitions": keys["partition"].to_list(),
        "customers": keys["customer_id"].to_list(),
        "each": rules.allowed_lateness // GAP + 2,
    }
    rows = reader.execute(database.queries("speed").last_sessions, parameters).fetchall()
    found = pl.DataFrame(rows, schema=_ROWS.drop("time_us").schema, orient="row")
    return found.with_columns(pl.col("session_end").dt.epoch("us").alias("time_us"))
