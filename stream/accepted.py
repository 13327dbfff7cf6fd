"""accepted: the ids of accepted events, columnar: a partition of a busy shop remembers millions for a day.

They are kept as texts and found by a hash of theirs (stream.hashed), so the answer is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from stream.hashed import Hashes, Texts, find, of_like_size
from stream.places import gather

Times = npt.NDArray[np.int64]

NEVER = -(1 << 62)
"""Earlier than any event; no horizon before it underflows."""
_PARTS = 6
"""So many parts are looked through before some are merged."""


@dataclass(frozen=True, slots=True)
class Part:
    """Ids that differ, in the order of their ``hashes``, and of each the greatest event time it was accepted with."""

    hashes: Hashes
    ids: pl.Series
    times_us: Times

    @classmethod
    def of(cls, ids: Texts, times_us: Times) -> Part:
        """Ids may repeat."""
        if ids.may_repeat:
            latest = pl.DataFrame({"id": ids.texts, "time": times_us}).group_by("id").agg(pl.col("time").max())
            if latest.height < len(ids):
                return cls.of(Texts.of(latest["id"]), latest["time"].to_numpy())
        return cls(ids.ordered, gather(ids.texts, ids.order), times_us[ids.order])

    def since(self, bound_us: int) -> Part:
        """Without what is older."""
        kept = self.times_us >= bound_us
        if kept.all():
            return self
        return Part(self.hashes[kept], self.ids.filter(pl.Series(kept)), self.times_us[kept])


@dataclass(slots=True)
class AcceptedIds:
    """Of one partition. ``parts``: none is empty; an id may be in several, with other times."""

    parts: list[Part] = field(default_factory=list)
    _forgotten_us: int = NEVER

    def __len__(self) -> int:
        """How many are remembered; one that was accepted again may count twice."""
        return sum(len(part.hashes) for part in self.parts)

    def latest(self, ids: Texts) -> Times:
        """The greatest event time that each of these was accepted with; NEVER where it is not known."""
        found = np.full(len(ids), NEVER, np.int64)
        for part in self.parts:
            places, which = find(part.hashes, ids.ordered)
            if len(places):
                rows = ids.order[which]
                same = (gather(part.ids, places) == gather(ids.texts, rows)).to_numpy()
                np.maximum.at(found, rows[same], part.times_us[places[same]])
        return found

    def add(self, ids: Texts, times_us: Times) -> None:
        """Remember these with their event times, microseconds since 1970."""
        if not len(ids):
            return
        self.parts.append(Part.of(ids, times_us))
        if len(self.parts) > _PARTS:
            self._merge(of_like_size([len(part.hashes) for part in self.parts], _PARTS))

    def forget(self, bound_us: int, every_us: int) -> None:
        """Let go of what was accepted before, if the bound has moved on by so much since that was done last."""
        if bound_us - self._forgotten_us >= every_us:
            self._forgotten_us = bound_us
            self.parts = [kept for part in self.parts if len((kept := part.since(bound_us)).hashes)]

    def _merge(self, count: int) -> None:
        """The last so many parts into one."""
        last = self.parts[-count:]
        hashes = np.concatenate([part.hashes for part in last])
        ids = Texts(pl.concat([part.ids for part in last], rechunk=True), hashes)
        self.parts[-count:] = [Part.of(ids, np.concatenate([part.times_us for part in last]))]
