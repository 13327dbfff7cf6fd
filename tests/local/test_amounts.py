"""Numbers of things as people write them."""

from __future__ import annotations

from tandem.amounts import count


def test_one_thing_is_not_told_as_several() -> None:
    assert [count(number, "row differs", "rows differ") for number in (0, 1, 1_200)] == [
        "0 rows differ",
        "1 row differs",
        "1,200 rows differ",
    ]
    assert [count(number, "event") for number in (0, 1, 2)] == ["0 events", "1 event", "2 events"]
