"""written: a decided micro-batch → everything that its one transaction writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from stream import corrections, quarantine, retention, sink, tables
from stream.finals import may_close_an_hour
from stream.operators import Emitted
from stream.process import MicroBatch
from stream.source import Polled
from stream.types import Rules
from tandem.checks import RULE_VERSION
from tandem.settings import Settings
from tandem.topics import ORDER_EVENTS


@dataclass(frozen=True, slots=True)
class Written:
    """``adjustments``: the rows of corrections among the writes."""

    writes: sink.Writes
    adjustments: list[tuple[Any, ...]]


def written(
    moves: Sequence[sink.Move], polled: Polled, batch: MicroBatch | None, settings: Settings, rules: Rules
) -> Written:
    """All of it. ``batch``: what the orders of ``polled`` came to; None where there were none."""
    adjustments, refused = corrections.apply(polled.corrections)
    if batch:
        refused += quarantine.of_orders(batch.decided, polled.orders, rules)
    emitted = batch.emitted if batch else Emitted()
    rows = {
        tables.JOURNAL: journal_rows(moves, batch),
        tables.ADJUSTMENTS: adjustments,
        tables.QUARANTINE: [record.row() for record in refused],
    }
    messages = pl.concat([quarantine.messages(refused), emitted.messages])
    frames = {**emitted.frames, tables.OUTBOX: messages}
    closes = rules if batch and _may_close_an_hour(batch, rules) else None
    expired = retention.expired(batch.segments, settings) if batch else {}
    return Written(sink.Writes(moves, frames, rows, closes, expired), adjustments)


def _may_close_an_hour(batch: MicroBatch, rules: Rules) -> bool:
    return any(
        may_close_an_hour(segment.watermark_before, segment.watermark_after, rules) for segment in batch.segments
    )


def journal_rows(moves: Sequence[sink.Move], batch: MicroBatch | None) -> list[tuple[Any, ...]]:
    """A segment per step of an ``order-events`` partition; one without records covers markers and aborted records."""
    segments = {segment.partition: segment for segment in batch.segments} if batch else {}
    rows = []
    for move in moves:
        if move.topic != ORDER_EVENTS:
            continue
        segment = segments.get(move.partition)
        facts: tuple[Any, ...] = (0, None, None, None, None, None)
        if segment:
            facts = (
                segment.events,
                segment.min_business_date,
                segment.max_business_date,
                segment.max_accepted_time,
                segment.watermark_before,
                segment.watermark_after,
            )
        content = segment.content if segment else b""
        rows.append(
            (move.topic, move.partition, move.old_offset, move.new_offset, *facts, move.epoch, RULE_VERSION, content)
        )
    return rows
