"""corrections: messages of reconciliation → adjusting entries, written beside the running values, never over them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import msgspec

from stream.quarantine import Quarantined
from stream.types import Records
from tandem.events import EARLIEST_EVENT_TIME
from tandem.kpis import CUBES, UNIQUE_CUSTOMERS, measures_of
from tandem.topics import CORRECTIONS

MALFORMED = "MALFORMED_CORRECTION"
DISTINCT = "distinct"

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=512, pattern=r"^[^\x00]*$")]
_Key = Annotated[str, msgspec.Meta(max_length=512, pattern=r"^[^\x00]*$")]
_Value = Annotated[int, msgspec.Meta(ge=-(10**17), le=10**17)]
"""In cents or units. Far more than a shop sells, and sums of many still fit into a bigint."""
_FROM = datetime.fromisoformat(EARLIEST_EVENT_TIME) - timedelta(days=1)
_BEFORE = datetime(9999, 1, 1, tzinfo=UTC)
"""Of an event's hour in any time zone; what lies beyond, not every reader can read."""
_KNOWN = {cube.name: {measure.name for measure in measures_of(cube)} for cube in CUBES} | {
    DISTINCT: {UNIQUE_CUSTOMERS.name}
}
_WITHOUT_KEY = {DISTINCT} | {cube.name for cube in CUBES if cube.key is None}


class Correction(msgspec.Struct, frozen=True):
    """A message of the topic. ``delta`` = batch value - stream value, in the measure's unit."""

    correction_id: _Text
    business_date: date
    cube: str
    cell_start: datetime
    key: _Key
    measure: str
    stream_value: _Value
    batch_value: _Value
    delta: _Value
    run_id: _Text
    reverses: _Text | None = None

    def __post_init__(self) -> None:
        if self.measure not in _KNOWN.get(self.cube, ()):
            raise ValueError("no such measure")
        if self.cell_start.tzinfo is None:
            raise ValueError("cell_start needs an offset")
        if not (_FROM <= self.cell_start < _BEFORE and _FROM.date() <= self.business_date < _BEFORE.date()):
            raise ValueError("no event has such a time")
        if (self.key == "") != (self.cube in _WITHOUT_KEY):
            raise ValueError("the key does not fit the cube")


_DECODER = msgspec.json.Decoder(Correction)


def apply(records: Records) -> tuple[list[tuple[Any, ...]], list[Quarantined]]:
    """Rows of ``speed.adjustments``, and the records that are no corrections."""
    rows, refused = [], []
    for index, value in enumerate(records.values):
        partition, offset = records.partitions[index], records.offsets[index]
        try:
            rows.append(_row(_DECODER.decode(value or b""), partition, offset))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            kafka_time = datetime.fromtimestamp(records.kafka_times_ms[index] / 1000, UTC)
            key = records.keys[index]
            refused.append(Quarantined(CORRECTIONS, partition, offset, kafka_time, key, value, [MALFORMED]))
    return rows, refused


def _row(correction: Correction, partition: int, offset: int) -> tuple[Any, ...]:
    return (
        correction.correction_id,
        correction.business_date,
        correction.cube,
        correction.cell_start,
        correction.key,
        correction.measure,
        correction.delta,
        correction.stream_value,
        correction.batch_value,
        correction.run_id,
        correction.reverses,
        partition,
        offset,
    )
