"""Rates over a sliding window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rates import SlidingRate


def test_before_anything_was_counted_the_rate_is_zero() -> None:
    assert SlidingRate().per_second(5.0) == 0.0


def test_one_reading_says_nothing_about_a_rate() -> None:
    rate = SlidingRate()
    rate.feed(1.0, 100)
    assert rate.per_second(1.0) == 0.0


def test_before_a_whole_window_has_passed_the_rate_is_over_the_time_so_far() -> None:
    rate = SlidingRate()
    rate.feed(0.0, 0)
    rate.feed(2.0, 100)
    assert rate.per_second(2.0) == pytest.approx(50.0)


def test_a_steady_stream_shows_its_rate() -> None:
    rate = SlidingRate()
    for tick in range(300):
        rate.feed(tick * 0.1, tick * 7)
    assert rate.per_second(29.9) == pytest.approx(70.0, rel=0.05)


def test_what_happened_before_the_window_is_forgotten() -> None:
    rate = SlidingRate()
    rate.feed(0.0, 0)
    rate.feed(1.0, 1_000_000)
    for tick in range(2, 20):
        rate.feed(float(tick), 1_000_000)
    assert rate.per_second(19.0) == 0.0


def test_the_rate_falls_to_zero_when_nothing_is_fed_any_more() -> None:
    rate = SlidingRate()
    rate.feed(0.0, 0)
    rate.feed(1.0, 500)
    assert rate.per_second(60.0) == 0.0


def test_a_counter_that_begins_again_gives_no_negative_rate() -> None:
    rate = SlidingRate()
    rate.feed(0.0, 1000)
    rate.feed(1.0, 10)
    assert rate.per_second(1.0) == 0.0
    rate.feed(2.0, 20)
    assert rate.per_second(2.0) == pytest.approx(10.0)


@pytest.mark.parametrize(("window_s", "steps"), [(0.0, 10), (-1.0, 10), (10.0, 0)])
def test_a_window_without_length_is_refused(window_s: float, steps: int) -> None:
    with pytest.raises(ValueError, match="A rate needs"):
        SlidingRate(window_s=window_s, steps=steps)


@given(st.lists(st.tuples(st.floats(0.001, 3.0), st.integers(0, 10_000)), min_size=1, max_size=200))
def test_memory_is_bounded_and_the_rate_never_exceeds_the_fastest_interval(feeds: list[tuple[float, int]]) -> None:
    rate = SlidingRate()
    now, total, fastest = 0.0, 0, 0.0
    rate.feed(now, total)
    for pause_s, count in feeds:
        now += pause_s
        total += count
        fastest = max(fastest, count / pause_s)
        rate.feed(now, total)
        assert 0.0 <= rate.per_second(now) <= fastest * 1.000001
    assert len(rate._readings) <= 2 * 20 + 3
