from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.units import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("1s", 1.0),
        ("0s", 0.0),
        ("1.5s", 1.5),
        ("10us", 0.00001),
        ("1m30s", 90.0),
        ("2h", 7200.0),
        ("7d", 604_800.0),
        ("1d12h", 129_600.0),
        ("30 s", 30.0),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert re.search(DURATION_PATTERN, text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("250", "'250' has no unit; write 250ms or 250s"),
        ("1m30", "'1m30' has no unit"),
        ("5 sec", "'sec' in '5 sec' is not a unit of time; expected us, ms, s, m, h or d"),
        ("5S", "did you mean 's'?"),
        ("-1s", "found '-1s', which is negative"),
        ("", "expected a duration such as 250ms, 30s or 1h, found ''"),
        ("soon", "expected a duration such as 250ms, 30s or 1h, found 'soon'"),
        ("1e3s", "is not a unit of time"),
        ("30s1m", "must fall from large to small"),
        ("1s1s", "must fall from large to small"),
        ("1..5s", "expected a duration"),
        ("٣s", "expected a duration"),
    ],
)
def test_a_duration_that_can_not_be_meant_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0),
        ("512B", 512),
        ("1KB", 1000),
        ("1KiB", 1024),
        ("128KiB", 131_072),
        ("1.5MiB", 1_572_864),
        ("2GB", 2_000_000_000),
        ("1GiB", 1_073_741_824),
        ("1 GiB", 1_073_741_824),
    ],
)
def test_a_size_is_read_in_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert re.search(SIZE_PATTERN, text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1024", "'1024' has no unit; write 1024B, 1024KiB or 1024MiB"),
        ("1G", "write 1GB (powers of 1000) or 1GiB (powers of 1024)"),
        ("1gib", "did you mean 'GiB'?"),
        ("0.3KiB", "'0.3KiB' is not a whole number of bytes"),
        ("1GiB1MiB", "write one number and one unit"),
        ("-1MiB", "which is negative"),
        ("big", "expected a size such as 128KiB or 1GiB, found 'big'"),
    ],
)
def test_a_size_that_can_not_be_meant_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "250ms"), (90.0, "90s"), (3600, "1h"), (604_800, "7d"), (0.00001, "10us"), (0, "0s"), (1.5, "1500ms")],
)
def test_a_duration_is_written_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (131_072, "128KiB"), (1_000_000, "1MB"), (1500, "1500B"), (2**30, "1GiB")]
)
def test_a_size_is_written_in_its_largest_whole_unit(size: int, text: str) -> None:
    assert format_size(size) == text


@settings(deadline=None)
@given(st.floats(min_value=1e-6, max_value=1e9))
def test_what_is_written_as_a_duration_is_read_back_the_same(seconds: float) -> None:
    assert parse_duration(format_duration(round(seconds, 6))) == round(seconds, 6)


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=2**50))
def test_what_is_written_as_a_size_is_read_back_the_same(size: int) -> None:
    assert parse_size(format_size(size)) == size


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_with_a_value_error(text: str) -> None:
    for parse in (parse_duration, parse_size):
        try:
            parse(text)
        except ValueError as error:
            assert str(error)  # noqa: PT017 - either outcome is right, anything else is not
