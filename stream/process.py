"""One micro-batch: records and what their partitions remember → everything that one transaction will write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import polars as pl

from stream import dedupe, fold, so_far
from stream.accepted import Times
from stream.decode import decode
from stream.hashed import Texts
from stream.memory import Memory
from stream.operators import Batch, Emitted, Reader, together
from stream.places import runs
from stream.registry import OPERATORS
from stream.types import EPOCH, MICROSECOND, Decoded, Records, Rules
from stream.validate import validate
from tandem import journal
from tandem.events import Decision

_UTC = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class Segment:
    """Journal of one partition's records in this micro-batch; see the columns of ``speed.journal``."""

    partition: int
    events: int
    min_business_date: date | None
    max_business_date: date | None
    max_accepted_time: datetime | None
    watermark_before: datetime | None
    watermark_after: datetime | None
    content: bytes


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """What the records come to. ``decided``: every event with its decision; ``emitted``: what the operators write."""

    decided: pl.DataFrame
    emitted: Emitted
    segments: list[Segment]


def process(
    records: Records,
    memories: Mapping[int, Memory],
    rules: Rules,
    reader: Reader | None = None,
) -> MicroBatch:
    """Decode, decide and fold the next records of their partitions. Changes the memories of those partitions.

    ``reader``: as in Batch. The answer is the same however the log is cut into micro-batches.
    """
    return process_decoded(decode(records, rules.currency), memories, rules, reader)


def process_decoded(
    decoded: Decoded, memories: Mapping[int, Memory], rules: Rules, reader: Reader | None = None
) -> MicroBatch:
    """All of ``process`` but the decoding, which remembers nothing and may be done before its turn."""
    states = {partition: memory.ids for partition, memory in memories.items()}
    decided = fold.placed(_decide(validate(decoded.events), states, rules).with_row_index("row"), rules.zone)
    counted, late = (decided.filter(pl.col("decision") == of) for of in (Decision.COUNTED, Decision.LATE))
    present = {partition: memories[partition] for partition, _, _ in runs(decided["partition"])}
    watermarks_us = {partition: memory.ids.watermark_us for partition, memory in present.items()}
    batch = Batch(
        events=counted,
        lines=fold.lines_of(counted, decoded.lines),
        decided=decided,
        watermarks_us=watermarks_us,
        late=late,
        late_lines=fold.lines_of(late, decoded.lines),
        marks={partition: memory.marks for partition, memory in present.items()},
        reader=reader,
        customers=so_far.totals({number: of.customers for number, of in present.items()}, counted, reader),
    )
    emitted = together(
        of.fold(batch, {partition: memory.states[of.name] for partition, memory in present.items()}, rules)
        for of in OPERATORS
    )
    return MicroBatch(decided, emitted, _segments(decided, states))


def _decide(events: pl.DataFrame, states: dict[int, dedupe.PartitionState], rules: Rules) -> pl.DataFrame:
    """The events with ``decision`` complete and ``watermark``, that of their partition before them."""
    horizons = dedupe.Horizons(rules.allowed_lateness // MICROSECOND, rules.dedupe_horizon // MICROSECOND)
    candidate = events["decision"].is_null().to_numpy()
    ids = Texts.of(events["event_id"])
    times = events["event_time"].dt.epoch("us").fill_null(0).to_numpy()
    codes = np.full(events.height, len(dedupe.DECISIONS), dtype=np.int8)
    before = np.empty(events.height, dtype=np.int64)
    for partition, start, end in runs(events["partition"]):
        state = states[partition]
        rows = start + np.flatnonzero(candidate[start:end])
        mark = state.watermark_us
        codes[rows], before_rows = dedupe.decide_many(state, ids.take(rows), times[rows], horizons)
        before[start:end] = _watermarks(end - start, rows - start, before_rows, mark, state.watermark_us)
    return events.with_columns(
        pl.col("decision").fill_null(_decisions(codes)),
        pl.Series("watermark", before).replace(dedupe.NO_WATERMARK, None).cast(_UTC),
    )


def _watermarks(length: int, rows: Times, before: Times, first_us: int, last_us: int) -> Times:
    """The watermark before every record of a run, given it before the candidates among them."""
    position = np.searchsorted(rows, np.arange(length))
    return np.concatenate([before, [last_us if len(rows) else first_us]])[position]


def _decisions(codes: dedupe.Codes) -> pl.Series:
    names = pl.Series([*map(str, dedupe.DECISIONS), None], dtype=pl.String)
    return names.gather(pl.Series(codes).cast(pl.UInt32))


def _segments(decided: pl.DataFrame, states: dict[int, dedupe.PartitionState]) -> list[Segment]:
    rows = decided.with_columns(journal.cents().alias("cents"))
    accepted = pl.when(pl.col("decision") == Decision.COUNTED).then("event_time")
    facts = rows.group_by("partition", maintain_order=True).agg(
        pl.len(),
        pl.col("business_date").min().alias("first_date"),
        pl.col("business_date").max().alias("last_date"),
        accepted.max().alias("accepted_time"),
        pl.col("watermark").first(),
    )
    contents = journal.encode_each(rows.select(journal.SCHEMA.names).to_arrow(), facts["len"].to_list())
    afters = [_moment(states[partition].watermark_us) for partition in facts["partition"]]
    return [Segment(*row, *more) for row, *more in zip(facts.iter_rows(), afters, contents, strict=True)]


def _moment(watermark_us: int) -> datetime | None:
    return None if watermark_us == dedupe.NO_WATERMARK else EPOCH + watermark_us * MICROSECOND
