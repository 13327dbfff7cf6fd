"""The tables the speed layer writes, as declarations: the sink derives from them how rows travel and are written.

A new table needs its migration and one declaration here or beside its operator; nothing else names its columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Merge(StrEnum):
    """What a value does to the one that is there under the same key."""

    KEEP = "keep"
    """Nothing: the first value stays."""
    ADD = "add"
    LEAST = "least"
    """The smaller stays; NULL is larger than everything."""
    GREATEST = "greatest"
    """The greater stays; NULL is smaller than everything."""
    REPLACE = "replace"


class Write(StrEnum):
    """What rows do to a table."""

    MERGE = "merge"
    """Insert, or merge into the row with the same key, column by column."""
    APPEND = "append"
    """Insert; a row that is there already is an error."""
    ONCE = "once"
    """Insert; a row that is there already stays as it is."""
    DELETE = "delete"
    """Delete the rows with these keys."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """Rows of a partition leave once ``column`` is further behind its watermark than the setting ``keep`` says.

    They leave when the watermark enters another hour. Needs a column ``partition``.
    """

    column: str
    keep: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for ``speed.<name>``, and how they are written.

    ``keys`` are unique in the table, best in the order of its index: what a row is found by where it is merged or
    deleted. ``values``: the other
    columns that are written, and how each merges; columns that are not named get their default.
    Two declarations may write one table, one with DELETE. Declared order is the order of writing.
    ``documents``: values that are JSON, as texts.
    ``packs``: columns that many rows of a micro-batch share, if any. Where it is not None, rows are appended packed to
    ``speed.<name>_pending`` and settled later, many micro-batches and all partitions together (tandem.pending).
    """

    name: str
    keys: tuple[str, ...]
    values: tuple[tuple[str, Merge], ...] = ()
    write: Write = Write.MERGE
    packs: tuple[str, ...] | None = None
    expiry: Expiry | None = None
    documents: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """What a row holds: frames have these columns, in any order; tuples have them in this order."""
        return self.keys + tuple(name for name, _ in self.values)

    @property
    def incoming(self) -> str:
        """The temporary table that rows are sent to."""
        return f"leaving_{self.name}" if self.write is Write.DELETE else f"incoming_{self.name}"

    @property
    def is_packed(self) -> bool:
        """Whether rows are appended packed and settled later."""
        return self.packs is not None

    @property
    def pending(self) -> str:
        """Where packed rows wait to be settled."""
        return f"{self.name}_pending"

    @property
    def arrays(self) -> tuple[str, ...]:
        """The columns that are arrays in a pending row."""
        return tuple(name for name in self.columns if name not in {*(self.packs or ()), "partition"})


def merging(how: Merge, *names: str) -> tuple[tuple[str, Merge], ...]:
    """Columns that merge alike."""
    return tuple((name, how) for name in names)


JOURNAL = Table(
    "journal",
    ("topic", "partition", "first_offset"),
    merging(
        Merge.KEEP,
        "next_offset",
        "events",
        "min_business_date",
        "max_business_date",
        "max_accepted_time",
        "watermark_before",
        "watermark_after",
        "epoch",
        "rule_version",
        "segment",
    ),
    Write.APPEND,
)
QUARANTINE = Table(
    "quarantine",
    ("topic", "partition", "offset"),
    merging(
        Merge.KEEP,
        "kafka_time",
        "key",
        "value",
        "reasons",
        "event_id",
        "event_type",
        "event_time",
        "order_id",
        "customer_id",
        "business_date",
    ),
    Write.APPEND,
)
ADJUSTMENTS = Table(
    "adjustments",
    ("correction_id",),
    merging(
        Merge.KEEP,
        "business_date",
        "cube",
        "cell_start",
        "key",
        "measure",
        "delta",
        "stream_value",
        "batch_value",
        "run_id",
        "reverses",
        "partition",
        "offset",
    ),
    Write.ONCE,
)
"""The same correction may come more than once; it counts once."""

OUTBOX = Table("outbox", ("dedupe_id",), merging(Merge.KEEP, "topic", "key", "value"), Write.ONCE)
OWN = (JOURNAL, QUARANTINE, ADJUSTMENTS, OUTBOX)
"""What every micro-batch may write whatever the operators."""
