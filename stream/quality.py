"""quality: how every record of the contract's event types was judged, by five minutes of event time (Q4). No memory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl
import psycopg

from stream.operators import Batch, Emitted
from stream.tables import Merge, Table, merging
from stream.types import Rules
from tandem.events import Decision

QUALITY = Table("quality", ("pane_start", "partition", "decision", "reasons"), merging(Merge.ADD, "events"))
_AHEAD_US = 3_600_000_000


def pane_start() -> pl.Expr:
    """The five minutes that a record is counted in: of its event time, or of the broker's where that cannot be right.

    Half of what is wrong with records is that their time is missing, malformed or in the future.
    """
    credible = pl.col("event_time").is_not_null() & (pl.col("ahead_us") <= _AHEAD_US)
    return pl.when(credible).then("event_time").otherwise("kafka_time").dt.truncate("5m")


class Quality:
    """The operator. Records whose event type is not in the contract are ignored here too: nothing is known of them."""

    name = "quality"
    tables: tuple[Table, ...] = (QUALITY,)

    def empty(self) -> None:
        """Nothing is remembered."""

    def restore(self, reader: psycopg.Connection[Any], partition: int, watermark: datetime, rules: Rules) -> None:
        """Nothing is remembered."""

    def fold(self, batch: Batch, states: Mapping[int, Any], rules: Rules) -> Emitted:
        """Counts to add."""
        judged = batch.decided.filter(pl.col("decision") != Decision.IGNORED)
        keys = (pane_start().alias("pane_start"), "partition", "decision", "reasons")
        return Emitted({QUALITY: judged.group_by(*keys).agg(pl.len().cast(pl.Int64).alias("events"))})
