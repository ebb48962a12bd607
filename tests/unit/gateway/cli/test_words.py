"""Numbers as people read them."""

from __future__ import annotations

import pytest

from gateway.cli import words


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536 * 1024, "1.5 MiB"), (5 * 1024**4, "5120.0 GiB")],
)
def test_sizes_have_the_units_of_the_configuration(size_bytes: int, text: str) -> None:
    assert words.size(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (42.4, "42 s"),
        (60, "1 m"),
        (200, "3 m 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 m"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations_have_their_two_largest_units(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("raw", "wire", "text"), [(0, 0, "–"), (100, 0, "–"), (1000, 100, "90 %"), (100, 100, "0 %"), (100, 120, "0 %")]
)
def test_bytes_saved_are_never_negative(raw: int, wire: int, text: str) -> None:
    assert words.saved(raw, wire) == text
