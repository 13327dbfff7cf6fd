"""Work with rests in between takes a quarter of a core, and in a hurry hardly rests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.pace import LEAST_S, rest_s

SECONDS = st.floats(0, 60)


def worked(pieces: list[float], leisure_s: float) -> tuple[float, float]:
    """When the work is over, and for how long it rested."""
    elapsed_s = rested_s = 0.0
    for piece_s in pieces:
        elapsed_s += piece_s
        rest = rest_s(piece_s, elapsed_s, leisure_s)
        elapsed_s, rested_s = elapsed_s + rest, rested_s + rest
    return elapsed_s, rested_s


@given(st.lists(st.floats(LEAST_S, 0.01), min_size=1, max_size=50))
def test_with_time_to_spare_it_rests_three_times_as_long_as_it_works(pieces: list[float]) -> None:
    elapsed_s, rested_s = worked(pieces, leisure_s=10)
    assert abs(rested_s - 0.75 * elapsed_s) < 1e-6


@given(SECONDS, SECONDS, SECONDS)
def test_a_rest_is_over_when_the_time_there_is_is_over_but_there_always_is_one(
    piece_s: float, elapsed_s: float, leisure_s: float
) -> None:
    rest = rest_s(piece_s, elapsed_s, leisure_s)
    assert rest == LEAST_S or elapsed_s + rest <= leisure_s + 1e-9


@given(SECONDS, SECONDS, SECONDS)
def test_no_rest_is_so_long_that_postgres_would_end_the_transaction(
    piece_s: float, elapsed_s: float, leisure_s: float
) -> None:
    assert LEAST_S <= rest_s(piece_s, elapsed_s, leisure_s) <= 0.1
