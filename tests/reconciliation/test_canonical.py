"""The form that is hashed is plain JSON lines: anyone gets the same hash with what every language has."""

from __future__ import annotations

import hashlib
import json
import random
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from reconciliation import canonical

INSTANTS = st.datetimes(datetime(2017, 1, 1), datetime(2018, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
ROWS = st.lists(st.tuples(st.text(), INSTANTS, st.none() | st.text(), st.integers(-(2**63), 2**63 - 1)), max_size=30)


def by_hand(rows: list[tuple]) -> str:
    def instant(value: datetime) -> str:
        whole = value.strftime("%Y-%m-%dT%H:%M:%S")
        return whole + (f".{value.microsecond:06d}Z" if value.microsecond else "Z")

    ordered = sorted(rows, key=lambda row: (row[0], row[1], row[2] is not None, row[2] or "", row[3]))
    lines = [
        json.dumps([key, instant(at), name, value], separators=(",", ":"), ensure_ascii=False) + "\n"
        for key, at, name, value in ordered
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@given(ROWS, st.randoms(use_true_random=False))
def test_rows_have_the_hash_of_their_json_lines_whatever_their_order(rows: list[tuple], shuffle: random.Random) -> None:
    expected = by_hand(rows)
    shuffle.shuffle(rows)
    assert canonical.sha256(rows) == expected


def test_the_same_instant_in_another_time_zone_is_the_same_row() -> None:
    noon = datetime(2017, 12, 23, 12, tzinfo=UTC)
    assert canonical.sha256([(noon,)]) == canonical.sha256([(noon.astimezone(timezone(timedelta(hours=-5))),)])
