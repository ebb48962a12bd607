"""Token buckets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.listener.rates import Throttle, TokenBucket


def test_as_many_as_come_in_one_second_go_at_once_and_the_next_ones_wait() -> None:
    bucket = TokenBucket(10, now_s=0)
    assert bucket.take(10, 0) == 0
    assert bucket.take(5, 0) == 0.5
    assert bucket.take(0, 0.5) == 0
    assert bucket.take(1, 0.5) == pytest.approx(0.1)


def test_what_was_not_used_is_kept_for_one_second_only() -> None:
    bucket = TokenBucket(10, now_s=0)
    assert bucket.take(30, 1000) == 2.0


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(10, now_s=100)
    assert bucket.take(10, 100) == 0
    assert bucket.take(1, 50) == pytest.approx(0.1)


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_of_nothing_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        TokenBucket(rate, now_s=0)


@given(
    rate=st.integers(1, 1000),
    sizes=st.lists(st.integers(0, 5000), max_size=50),
)
def test_whoever_waits_as_long_as_told_is_never_faster_than_the_rate_and_its_one_second(
    rate: int, sizes: list[int]
) -> None:
    bucket = TokenBucket(rate, now_s=0)
    now_s, taken = 0.0, 0
    for size in sizes:
        assert taken <= rate * (now_s + 1) + 1e-6 * (taken + 1)
        now_s += bucket.take(size, now_s)
        taken += size
    assert taken <= rate * (now_s + 1) + 1e-6 * (taken + 1)


def test_the_slower_of_two_rates_holds() -> None:
    throttle = Throttle(messages=10, size_bytes=1000, now_s=0)
    assert throttle.take(messages=10, size_bytes=3000, now_s=0) == 2.0
    assert throttle.take(messages=50, size_bytes=0, now_s=0) == 5.0
    assert Throttle(messages=10, size_bytes=None, now_s=0).take(messages=0, size_bytes=10**9, now_s=0) == 0
