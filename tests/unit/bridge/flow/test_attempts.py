"""How often a frame was tried."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.flow.attempts import MAX_ROUNDS, Attempts


def test_a_record_counts_the_rounds_that_got_past_it_and_a_delivered_one_none() -> None:
    attempts = Attempts()
    assert attempts.of(1) == 1
    attempts.sent(20)
    assert attempts.of(5) == 1
    attempts.begin_again(1)
    attempts.sent(10)
    attempts.begin_again(1)
    assert [attempts.of(seq) for seq in (1, 9, 10, 19, 20)] == [3, 3, 2, 2, 1]
    attempts.begin_again(10)
    assert attempts.of(15) == 2
    attempts.begin_again(20)
    assert attempts.of(20) == 1


@given(st.lists(st.integers(2, 10_000), max_size=300))
def test_any_number_of_rounds_takes_bounded_room_and_the_first_record_counts_them_all(ends: list[int]) -> None:
    attempts = Attempts()
    for end in ends:
        attempts.sent(end)
        attempts.begin_again(1)
    assert attempts.of(1) == len(ends) + 1
    assert len(attempts._rounds) <= MAX_ROUNDS
