"""What simulated devices say."""

from __future__ import annotations

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.profiles import MIXED, PROFILES, make_device, profile_names
from simulators.profiles.binary import CHECKSUM, LAYOUT, MAGIC

NOW_US = 1_750_000_000_123_456


@pytest.mark.parametrize("profile", PROFILES)
def test_the_same_device_and_seed_say_the_same(profile: str) -> None:
    one, two = (make_device(profile, 3, seed=7) for _ in range(2))
    assert [one.next(NOW_US + n) for n in range(50)] == [two.next(NOW_US + n) for n in range(50)]


@pytest.mark.parametrize("profile", PROFILES)
def test_another_seed_or_another_device_says_something_else(profile: str) -> None:
    said = {make_device(profile, number, seed=seed).next(NOW_US).payload for number in (1, 2) for seed in (1, 2)}
    assert len(said) == 4


@pytest.mark.parametrize("profile", PROFILES)
def test_no_two_payloads_of_a_device_are_alike_even_at_the_same_moment(profile: str) -> None:
    device = make_device(profile, 1, seed=0)
    assert len({device.next(NOW_US).payload for _ in range(500)}) == 500


@pytest.mark.parametrize("profile", sorted(set(PROFILES) - {"binary"}))
def test_a_json_payload_says_who_which_and_when(profile: str) -> None:
    device = make_device(profile, 2, seed=0)
    for n in (1, 2, 3):
        said = json.loads(device.next(NOW_US).payload)
        assert (said["device"], said["n"], said["ts"]) == (f"{profile}-0002", n, "2025-06-15T15:06:40.123Z")


def test_a_binary_payload_has_the_documented_layout() -> None:
    payload = make_device("binary", 9, seed=0).next(NOW_US).payload
    assert len(payload) == 40
    magic, _flags, number, n, now_us, *_readings = LAYOUT.unpack(payload[:36])
    assert (magic, number, n, now_us) == (MAGIC, 9, 1, NOW_US)
    assert CHECKSUM.unpack(payload[36:]) == (zlib.crc32(payload[:36]),)


@given(number=st.integers(1, 5000), profile=st.sampled_from(profile_names()))
def test_a_topic_names_line_device_and_what(number: int, profile: str) -> None:
    device = make_device(profile, number, seed=0)
    plant, line, name, what = device.next(NOW_US).topic.split("/")
    assert (plant, name) == ("plant", device.client)
    assert line.startswith("line-")
    assert what


def test_a_mixed_fleet_has_every_kind() -> None:
    kinds = {make_device(MIXED, number, seed=0).profile.name for number in range(1, len(PROFILES) + 1)}
    assert kinds == set(PROFILES)


def test_a_profile_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"no profile 'weather'.*climate.*machine"):
        make_device("weather", 1, seed=0)
