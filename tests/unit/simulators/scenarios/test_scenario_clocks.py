"""Clocks that lie, and payloads that nobody should send."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.profiles import Message, make_device, profile_names
from simulators.scenarios.clocks import DeviceClock, device_clock
from simulators.scenarios.description import BadKind, BadPayloads, Clock
from simulators.scenarios.payloads import spoil

NOON_US = 1_750_075_200_000_000
HOUR_US = 3_600_000_000


def test_a_right_clock_shows_the_time() -> None:
    assert device_clock(Clock(), HOUR_US, random.Random(1)).reads(NOON_US, 5) == NOON_US + 5


@given(skew=st.floats(0, 1e7), drift=st.integers(0, 100_000), seed=st.integers(), at=st.integers(0, HOUR_US))
def test_a_clock_is_no_more_wrong_than_it_may(skew: float, drift: int, seed: int, at: int) -> None:
    clock = device_clock(Clock(skew_s=skew, drift_ppm=drift), HOUR_US, random.Random(seed))
    assert abs(clock.reads(NOON_US, at) - (NOON_US + at)) <= skew * 1e6 + at * drift / 1e6 + 2


def test_a_clock_that_drifts_runs_away_with_time() -> None:
    clock = DeviceClock(drift_ppm=100.0)
    assert clock.reads(0, HOUR_US) - HOUR_US == 360_000


def test_a_clock_that_is_put_back_shows_a_time_again() -> None:
    clock = device_clock(Clock(step_back_s=3600.0), HOUR_US, random.Random(3))
    assert clock.steps_at_us is not None
    before, after = clock.reads(NOON_US, clock.steps_at_us - 1), clock.reads(NOON_US, clock.steps_at_us)
    assert before - after == HOUR_US - 1


def test_the_share_of_clocks_without_a_battery_begins_in_1970() -> None:
    clocks = [device_clock(Clock(unset=0.3), HOUR_US, random.Random(seed)) for seed in range(1000)]
    assert sum(clock.reads(NOON_US, 7) == 7 for clock in clocks) == pytest.approx(300, abs=45)


def test_no_clock_shows_a_time_before_1970() -> None:
    assert DeviceClock(is_unset=True, steps_at_us=0, step_back_us=HOUR_US).reads(NOON_US, 5) == 0


@pytest.mark.parametrize("kind", BadKind)
@pytest.mark.parametrize("profile", profile_names())
def test_spoiled_payloads_of_a_device_are_bad_and_all_unlike(profile: str, kind: BadKind) -> None:
    device = make_device(profile, 1, seed=1)
    chance = random.Random(2)
    options = BadPayloads(huge_bytes=5000, oversized_bytes=9000)
    spoiled: list[Message] = []
    for number in range(50):
        meant = device.next(NOON_US + number)
        spoiled.append(spoil(meant, kind, number, options, chance))
        assert spoiled[-1] != meant
    assert len({(message.topic, message.payload) for message in spoiled}) == 50
    sizes = {len(message.payload) for message in spoiled}
    match kind:
        case BadKind.EMPTY:
            assert sizes == {0}
        case BadKind.HUGE:
            assert sizes == {5000}
        case BadKind.OVERSIZED:
            assert sizes == {9000}
        case BadKind.NESTED:
            assert all(message.payload.startswith(b"[[[[") for message in spoiled)
        case BadKind.MARKUP:
            assert all("<script>" in json.loads(message.payload)["name"] for message in spoiled)
        case BadKind.CONTROL:
            with pytest.raises(UnicodeDecodeError):
                spoiled[0].payload.decode()
        case BadKind.TRUNCATED | BadKind.NOISE:
            for message in spoiled:
                with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
                    json.loads(message.payload)
