"""How long records have been here: never for longer than they are, and found out a part of their time late at most."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.spool.ages import PARTS, Ages

LIFE_S = 1000.0
STEPS = st.lists(st.tuples(st.floats(0, 30), st.integers(1, 9)), min_size=1, max_size=60)


@given(steps=STEPS, later_s=st.floats(0, 2 * LIFE_S), wall_us=st.integers(-(10**15), 10**15))
def test_what_came_since_the_start_is_as_old_as_the_steady_clock_says(
    steps: list[tuple[float, int]], later_s: float, wall_us: int
) -> None:
    ages, now_s, next_seq = Ages(), 0.0, 1
    came_s: dict[int, float] = {}
    for waited_s, count in steps:
        now_s += waited_s
        came_s |= dict.fromkeys(range(next_seq, next_seq + count), now_s)
        next_seq += count
        ages.note(now_s, next_seq, LIFE_S)
    now_s += later_s
    expiry = ages.expiry(now_s, wall_us, LIFE_S)
    for seq, at_s in came_s.items():
        is_past = expiry.has_taken(seq + 1, -(10**16))
        assert not is_past or now_s - at_s >= LIFE_S, "it went too early"
        assert is_past or now_s - at_s < LIFE_S * (1 + 1 / PARTS) + 0.001, "it is kept for too long"


@given(start_seq=st.integers(1, 9), seq=st.integers(1, 9), received_at_us=st.integers(0, 9), now_us=st.integers(0, 9))
def test_the_wall_clock_judges_what_was_there_before_the_start_and_nothing_else(
    start_seq: int, seq: int, received_at_us: int, now_us: int
) -> None:
    ages = Ages(start_seq)
    ages.note(0, 10, 2e-6)
    is_old = now_us - received_at_us > 2
    assert ages.expiry(1e-6, now_us, 2e-6).has_taken(seq, received_at_us) == (seq <= start_seq and is_old)


def test_a_year_of_records_takes_no_more_samples_than_there_are_parts() -> None:
    ages = Ages()
    for hour in range(365 * 24):
        ages.note(hour * 3600.0, hour + 2, 30 * 86400.0)
    assert len(ages._samples) <= PARTS + 2
    life_s = 86400.0  # a shorter one forgets what is past it
    ages.note(365 * 86400.0, 365 * 24 + 2, life_s)
    assert len(ages._samples) <= 24 + 2
