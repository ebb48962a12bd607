"""When it will be full, when all is delivered, and how that is said."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.episodes import EVERY_S, QUIET_S, Bursts, Episode, Episodes
from gateway.forecast import drained_in_s, full_in_s
from gateway.room import Room
from gateway.words import age, count, counted, roughly


@pytest.mark.parametrize(
    ("free", "into", "out", "seconds"),
    [
        (1000, 20, 10, 100),
        (1000, 10, 10, None),
        (1000, 0, 0, None),
        (0, 20, 10, 0),
        (-5, 0, 9, 0),
        (1e15, 0.1, 0, None),
    ],
)
def test_full_is_foretold_only_where_it_fills_up(free: float, into: float, out: float, seconds: float | None) -> None:
    assert full_in_s(free_bytes=free, in_bytes_per_s=into, out_bytes_per_s=out) == seconds


@pytest.mark.parametrize(
    ("records", "into", "out", "seconds"),
    [
        (0, 5, 0, 0),
        (1000, 10, 20, 100),
        (1000, 10, 10, None),
        (1000, 10, 10.05, None),
        (1000, 10, 0, None),
        (15, 10, 10, 1.5),
        (1e15, 0, 100, None),
    ],
)
def test_drained_is_foretold_only_where_it_drains(
    records: float, into: float, out: float, seconds: float | None
) -> None:
    assert drained_in_s(records=records, in_per_s=into, out_per_s=out) == seconds


finite = st.floats(min_value=0, max_value=1e18)


@given(finite, finite, finite)
def test_forecasts_are_finite_or_none(amount: float, into: float, out: float) -> None:
    for found in (
        full_in_s(free_bytes=amount, in_bytes_per_s=into, out_bytes_per_s=out),
        drained_in_s(records=amount, in_per_s=into, out_per_s=out),
    ):
        assert found is None or 0 <= found < math.inf


def test_a_database_that_has_drained_has_room_though_its_file_is_large() -> None:
    room = Room(limit_bytes=1000, size_bytes=1000, stored_bytes=100, disk_free_bytes=10**12)
    assert room.free_bytes == 892


def test_a_small_disk_bounds_the_room() -> None:
    room = Room(limit_bytes=10**9, size_bytes=1000, stored_bytes=1000, disk_free_bytes=5000)
    assert room.free_bytes == 5000
    assert room.is_disk_full
    assert not Room(limit_bytes=1, size_bytes=1, stored_bytes=1, disk_free_bytes=None).is_disk_full


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "a few seconds"),
        (12, "10 s"),
        (58, "1 min"),
        (178, "3 min"),
        (59.4 * 60, "59 min"),
        (59.6 * 60, "1 h"),
        (47 * 3600, "47 h"),
        (50 * 3600, "2 days"),
        (math.inf, "more than 100 years"),
    ],
)
def test_durations_are_said_in_one_unit(seconds: float, words: str) -> None:
    assert roughly(seconds) == words


def test_numbers_are_grouped_and_counted() -> None:
    assert count(12480) == "12\u202f480"
    assert counted(1, "record") == "1 record"
    assert counted(2, "entry", "entries") == "2 entries"
    assert (age(0), age(59), age(240)) == ("0 s", "59 s", "4 min")


def test_an_episode_is_told_when_it_begins_and_when_it_is_over() -> None:
    episodes, key = Episodes(), ("telemetry", "full")
    episodes.begin(key, 100)
    assert episodes.feed(0, key, 100) is None
    assert episodes.feed(1, key, 107) == Episode(number=7, is_over=False)
    assert episodes.feed(2, key, 200) is None
    assert episodes.feed(2 + QUIET_S - 1, key, 200) is None
    assert episodes.feed(2 + QUIET_S, key, 200) == Episode(number=100, is_over=True)
    assert episodes.feed(900, key, 200) is None
    assert episodes.feed(901, key, 201) == Episode(number=1, is_over=False)


def test_a_reason_that_is_new_began_at_nothing() -> None:
    assert Episodes().feed(5, ("telemetry", "corrupt"), 3) == Episode(number=3, is_over=False)


def test_a_burst_is_told_at_once_and_then_together() -> None:
    bursts = Bursts()
    told = [bursts.feed(float(second), "bad_password", second + 1) for second in range(int(2 * EVERY_S) + 1)]
    assert [number for number in told if number] == [1, EVERY_S, EVERY_S]
    assert sum(told) == 2 * EVERY_S + 1
