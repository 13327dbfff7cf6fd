"""What a worker has done so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from stream.process import MicroBatch
from tandem import documents
from tandem.events import Decision


@dataclass(slots=True)
class StatsState:
    """Counts since the start of this worker. ``watermark``: the greatest of its partitions."""

    decisions: Counter[str] = field(default_factory=Counter)
    corrections: int = 0
    micro_batches: int = 0
    fenced: int = 0
    watermark: datetime | None = None

    @property
    def events(self) -> int:
        """Records of ``order-events`` that were decided."""
        return self.decisions.total()

    def note(self, batch: MicroBatch | None, corrections: int) -> None:
        """A micro-batch was committed. ``batch``: None where it held no orders."""
        self.micro_batches += 1
        self.corrections += corrections
        if batch:
            self.decisions.update(dict(batch.decided["decision"].value_counts().iter_rows()))
            marks = [self.watermark, *(segment.watermark_after for segment in batch.segments)]
            self.watermark = max(filter(None, marks), default=None)

    def summary(self, seconds: float) -> dict[str, int | float | str | None]:
        """As one line or one JSON object; ``seconds``: how long it took."""
        return {
            "events": self.events,
            **{str(decision): self.decisions[decision] for decision in Decision},
            "corrections": self.corrections,
            "micro_batches": self.micro_batches,
            "fenced": self.fenced,
            "watermark": documents.instant(self.watermark) if self.watermark else None,
            "seconds": round(seconds, 3),
            "events_per_second": round(self.events / seconds) if seconds else 0,
        }
