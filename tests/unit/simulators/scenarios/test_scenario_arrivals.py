"""The arrival processes: held against the distributions that they claim, with fixed seeds, and against invariants."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence
from statistics import fmean, variance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.scenarios import arrivals
from simulators.scenarios.description import Daily

KS_LIMIT = 1.95
"""Of sqrt(n) times the distance: at this one a true hypothesis is refused once in a thousand times."""

rates = st.floats(0.01, 200)
durations = st.floats(0.0, 20)
seeds = st.integers(0, 2**32)


def distance(sample: Sequence[float], cumulative: Callable[[float], float]) -> float:
    """The Kolmogorov-Smirnov statistic, times sqrt(n)."""
    n = len(sample)
    expected = [cumulative(value) for value in sorted(sample)]
    largest = max(max((i + 1) / n - p, p - i / n) for i, p in enumerate(expected))
    return largest * math.sqrt(n)


def beta_3_4(x: float) -> float:
    """The cumulative distribution of Beta(3, 4): for whole parameters a sum of binomials."""
    return sum(math.comb(6, k) * x**k * (1 - x) ** (6 - k) for k in range(3, 7))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_gaps_of_poisson_arrivals_are_exponential(seed: int) -> None:
    times = arrivals.poisson(50.0, 100.0, random.Random(seed))
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert distance(gaps, lambda gap: 1 - math.exp(-50.0 * gap)) < KS_LIMIT
    assert fmean(gaps) == pytest.approx(1 / 50, rel=0.05)


def test_the_counts_of_poisson_arrivals_have_a_variance_like_their_mean() -> None:
    times = arrivals.poisson(20.0, 500.0, random.Random(4))
    counts = [0] * 500
    for at_s in times:
        counts[int(at_s)] += 1
    assert fmean(counts) == pytest.approx(20.0, rel=0.03)
    assert variance(counts) == pytest.approx(20.0, rel=0.2)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_storm_is_beta_3_4_distributed(seed: int) -> None:
    times = [at_s / 10 for at_s in arrivals.storm(5_000, 10.0, random.Random(seed))]
    assert distance(times, beta_3_4) < KS_LIMIT
    assert fmean(times) == pytest.approx(3 / 7, abs=0.01)
    assert variance(times) == pytest.approx(12 / (49 * 8), rel=0.06)


def test_a_storm_is_told_from_a_uniform_one() -> None:
    times = [at_s / 10 for at_s in arrivals.storm(200, 10.0, random.Random(1))]
    assert distance(times, lambda x: x) > KS_LIMIT


def test_a_storm_is_fiercest_at_two_fifths_of_its_time() -> None:
    tenths = [0] * 10
    for at_s in arrivals.storm(20_000, 10.0, random.Random(5)):
        tenths[int(at_s)] += 1
    assert max(range(10), key=lambda tenth: tenths[tenth]) in (3, 4)


def test_arrivals_of_a_day_follow_its_curve() -> None:
    traffic = Daily(rate_per_s=100.0, swing=0.8, peak_at_s=13 * 3600.0)
    speed = 86_400 / 60
    times = arrivals.daily(traffic, 60.0, begins_at_s=0.0, speed=speed, chance=random.Random(6))

    def cumulative(at_s: float) -> float:
        """The integral of the intensity, over that of the whole day."""

        def primitive(second: float) -> float:
            angle = 2 * math.pi * (second - traffic.peak_at_s) / 86_400
            return second + traffic.swing * 86_400 / (2 * math.pi) * math.sin(angle)

        return (primitive(at_s * speed) - primitive(0)) / (primitive(86_400) - primitive(0))

    assert len(times) == pytest.approx(6_000, rel=0.05)
    assert distance(times, cumulative) < KS_LIMIT


def test_the_day_begins_where_the_clock_stands() -> None:
    traffic = Daily(rate_per_s=100.0, swing=1.0, peak_at_s=12 * 3600.0)
    noon = arrivals.daily(traffic, 2.0, begins_at_s=12 * 3600.0, speed=1.0, chance=random.Random(7))
    midnight = arrivals.daily(traffic, 2.0, begins_at_s=0.0, speed=1.0, chance=random.Random(7))
    assert len(noon) > 300
    assert len(midnight) < 5


@given(rate=rates, duration=durations)
def test_constant_arrivals_are_even_and_as_many_as_the_rate_says(rate: float, duration: float) -> None:
    times = arrivals.constant(rate, duration)
    assert len(times) == pytest.approx(rate * duration, abs=0.5 + 1e-6)
    assert all(0 <= at_s <= duration for at_s in times)
    assert all(after - before == pytest.approx(1 / rate) for before, after in itertools.pairwise(times))


@given(rate=rates, duration=durations, seed=seeds)
def test_poisson_arrivals_stay_within_their_time_in_order_and_come_again_with_the_seed(
    rate: float, duration: float, seed: int
) -> None:
    times = arrivals.poisson(rate, duration, random.Random(seed))
    assert times == sorted(times)
    assert all(0 <= at_s < duration for at_s in times)
    assert times == arrivals.poisson(rate, duration, random.Random(seed))


@given(rate=rates, swing=st.floats(0, 1), peak=st.floats(0, 86_400), duration=durations, seed=seeds)
def test_a_daily_curve_stays_between_its_bounds_and_its_arrivals_within_their_time(
    rate: float, swing: float, peak: float, duration: float, seed: int
) -> None:
    traffic = Daily(rate_per_s=rate, swing=swing, peak_at_s=peak)
    assert arrivals.daily_rate(traffic, peak) == pytest.approx(rate * (1 + swing))
    assert arrivals.daily_rate(traffic, peak + 43_200) == pytest.approx(rate * (1 - swing), abs=1e-9 * rate)
    times = arrivals.daily(traffic, duration, begins_at_s=3600.0, speed=60.0, chance=random.Random(seed))
    assert times == sorted(times)
    assert all(0 <= at_s < duration for at_s in times)


@given(count=st.integers(0, 300), within=st.floats(0, 100), seed=seeds)
def test_everybody_comes_within_the_time_of_a_storm(count: int, within: float, seed: int) -> None:
    times = arrivals.storm(count, within, random.Random(seed))
    assert len(times) == count
    assert times == sorted(times)
    assert all(0 <= at_s <= within for at_s in times)
