"""When bytes leave, when they arrive, and when the link is broken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.link_model import DelayLine, FaultSchedule, LinkState, TokenBucket, retransmission_s
from simulators.units import Window

moments = st.floats(0, 1e6, allow_nan=False)


def test_bytes_leave_at_the_rate() -> None:
    bucket = TokenBucket(rate_bits_per_s=8000, burst_bytes=0)
    assert [bucket.reserve(500, 10.0) for _ in range(3)] == [10.5, 11.0, 11.5]


def test_a_burst_leaves_at_once_and_is_earned_again_by_waiting() -> None:
    bucket = TokenBucket(rate_bits_per_s=8000, burst_bytes=1000)
    assert bucket.reserve(1000, 0.0) == 0.0
    assert bucket.reserve(500, 0.0) == 0.5
    assert bucket.reserve(1000, 2.0) == 2.0


@given(
    sends=st.lists(st.tuples(st.integers(0, 100_000), st.floats(0, 2)), max_size=50),
    rate=st.floats(1e3, 1e9),
    burst=st.integers(0, 100_000),
)
def test_no_stretch_of_time_carries_more_than_rate_and_burst(
    sends: list[tuple[int, float]], rate: float, burst: int
) -> None:
    bucket = TokenBucket(rate_bits_per_s=rate, burst_bytes=burst)
    now, total, left = 0.0, 0, 0.0
    for size, pause in sends:
        now += pause
        total += size
        departure = bucket.reserve(size, now)
        assert departure >= max(now, left)
        left = departure
        assert total <= burst + rate / 8 * departure + 1e-3 * total + 1e-6


@given(
    sends=st.lists(st.tuples(st.floats(0, 1), st.floats(-1, 1)), max_size=50),
    delay=st.floats(0, 1),
    jitter=st.floats(0, 1),
)
def test_jitter_keeps_the_order_and_its_bounds(sends: list[tuple[float, float]], delay: float, jitter: float) -> None:
    line = DelayLine(delay_s=delay, jitter_s=jitter)
    now, last = 0.0, 0.0
    for pause, chance in sends:
        now += pause
        arrival = line.arrival(now, chance)
        assert arrival >= last
        assert now <= arrival <= now + delay + jitter + 1e-9
        last = arrival


def test_a_fault_schedule_knows_every_state_and_change() -> None:
    schedule = FaultSchedule(
        cuts=(Window(start_s=30, duration_s=20),),
        black_holes=(Window(start_s=45, duration_s=15), Window(start_s=100, duration_s=1)),
    )
    expected = {
        0: ("UP", 30),
        29.9: ("UP", 30),
        30: ("CUT", 45),
        49.9: ("CUT", 50),
        50: ("BLACK_HOLE", 60),
        60: ("UP", 100),
        100.5: ("BLACK_HOLE", 101),
        101: ("UP", None),
    }
    found = {at: (schedule.state(at).name, schedule.next_change_s(at)) for at in expected}
    assert found == expected


@given(windows=st.lists(st.tuples(moments, st.floats(1e-3, 1e6)), max_size=6), at=moments)
def test_the_state_only_changes_where_the_schedule_says(windows: list[tuple[float, float]], at: float) -> None:
    faults = tuple(Window(start_s=start, duration_s=duration) for start, duration in windows)
    schedule = FaultSchedule(cuts=faults[::2], black_holes=faults[1::2])
    change = schedule.next_change_s(at)
    until = at + 1e9 if change is None else change
    assert change is None or change > at
    assert schedule.state((at + until) / 2) is schedule.state(at)
    if change is None:
        assert schedule.state(until) is LinkState.UP


@pytest.mark.parametrize(("rate", "burst"), [(0, 0), (-1, 0), (1, -1)])
def test_an_impossible_bucket_can_not_be_made(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="rate"):
        TokenBucket(rate_bits_per_s=rate, burst_bytes=burst)


def test_an_impossible_delay_can_not_be_made() -> None:
    with pytest.raises(ValueError, match="0 s or more"):
        DelayLine(delay_s=-1, jitter_s=0)


def test_a_delay_that_becomes_shorter_lets_nothing_overtake() -> None:
    line = DelayLine(delay_s=1.0, jitter_s=0.0)
    assert line.arrival(10.0, 0.0) == 11.0
    line.change(delay_s=0.1, jitter_s=0.0)
    assert [line.arrival(at, 0.0) for at in (10.2, 10.8, 11.0)] == [11.0, 11.0, 11.1]


@pytest.mark.parametrize(("delay", "jitter", "expected"), [(0.0, 0.0, 0.2), (0.28, 0.02, 0.76), (0.1, 0.1, 0.6)])
def test_a_lost_segment_is_late_by_the_retransmission_time_out(delay: float, jitter: float, expected: float) -> None:
    assert retransmission_s(delay_s=delay, jitter_s=jitter) == pytest.approx(expected)
