"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest

from gateway.words import about, age, count, counted, roughly


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


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (999, "999"), (12345.4, "12 345"), (1_000_000, "1 000 000")])
def test_counts_have_thin_spaces_between_thousands(number: float, text: str) -> None:
    assert count(number).replace("\u202f", " ") == text


def test_numbers_are_grouped_and_counted() -> None:
    assert count(12480) == "12\u202f480"
    assert counted(1, "record") == "1 record"
    assert counted(2, "entry", "entries") == "2 entries"
    assert (about(2), about(178), about(math.inf)) == ("a few seconds", "about 3 min", "more than 100 years")
    assert (age(0), age(59), age(240)) == ("0 s", "59 s", "4 min")
