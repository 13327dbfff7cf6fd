from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.sources.lines import LINE_SCHEMA, assemble, pick
from tandem.sources.payloads import Item, Payload, SourceEvent, amount, cents_of, microseconds, outgoing, timestamp


@settings(deadline=None)
@given(st.integers(-(10**13), 10**13))
def test_an_amount_is_the_exact_decimal_of_its_cents(cents: int) -> None:
    assert Decimal(amount(cents)) == Decimal(cents) / 100
    assert cents_of(amount(cents)) == cents


@pytest.mark.parametrize("text", ["", "12,34", "1.2", "1.234", "$5.00", "1e3", " 1.00", "nan", "٣.00"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        cents_of(text)


def test_a_time_is_written_in_utc_with_a_fraction_only_where_there_is_one() -> None:
    east = timezone(timedelta(hours=2))
    assert timestamp(microseconds(datetime(2017, 12, 24, 1, 30, tzinfo=east))) == "2017-12-23T23:30:00Z"
    assert (
        timestamp(microseconds(datetime(2017, 12, 24, 1, 30, 0, 250_000, tzinfo=UTC))) == "2017-12-24T01:30:00.250000Z"
    )


def test_the_json_holds_the_contracts_fields_and_leaves_out_what_is_not_known() -> None:
    payload = Payload(
        event_id="e",
        event_type="order_created",
        event_time="2017-12-23T00:00:00Z",
        order_id="7",
        customer_id="42",
        total_amount="3.00",
        items=(Item("milk", None, 0, "3.00"),),
    )
    sent = outgoing(SourceEvent(0, 300, payload))
    assert sent.key == b"42"
    assert json.loads(sent.value) == {
        "event_id": "e",
        "event_type": "order_created",
        "event_time": "2017-12-23T00:00:00Z",
        "order_id": "7",
        "customer_id": "42",
        "total_amount": "3.00",
        "items": [{"product_id": "milk", "category": None, "quantity": 0, "amount": "3.00"}],
    }


class Portions:
    """A source whose portions end anywhere, also within an event."""

    name = "portions"

    def __init__(self, lines_per_event: list[int], cuts: list[int]) -> None:
        events = [number for number, count in enumerate(lines_per_event) for _ in range(count)]
        values = {"event_id": [f"e{n}" for n in events], "at_us": events, "amount_cents": [1] * len(events)}
        fixed = {"event_type": "order_created", "total_cents": 1, "quantity": 1}
        self._lines = pl.DataFrame(
            {name: values.get(name, [fixed.get(name)] * len(events)) for name in LINE_SCHEMA}, schema=LINE_SCHEMA
        )
        self._cuts = [0, *sorted(min(cut, len(events)) for cut in cuts), len(events)]

    def size(self) -> int:
        return self._lines["event_id"].n_unique()

    def frames(self):
        return (self._lines[a:b] for a, b in zip(self._cuts, self._cuts[1:], strict=False))


@settings(max_examples=40, deadline=None)
@given(lines=st.lists(st.integers(1, 6), min_size=1, max_size=12), cuts=st.lists(st.integers(0, 40), max_size=8))
def test_events_come_out_whole_wherever_the_portions_end(lines: list[int], cuts: list[int]) -> None:
    source = Portions(lines, cuts)
    assert [(e.payload.event_id, len(e.payload.items)) for e in assemble(source)] == [
        (f"e{number}", count) for number, count in enumerate(lines)
    ]


@settings(max_examples=40, deadline=None)
@given(
    lines=st.lists(st.integers(1, 6), min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 40), max_size=8),
    wanted=st.sets(st.integers(0, 11)),
)
def test_picked_events_are_those_at_the_positions(lines: list[int], cuts: list[int], wanted: set[int]) -> None:
    source = Portions(lines, cuts)
    every = list(assemble(source))
    assert pick(source, wanted) == {n: every[n] for n in wanted if n < len(every)}
